"""`striata ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import COMBINATIONS, METHODS
from .options import Json, Ranking, count

if TYPE_CHECKING:
    from ..ensemble import Ensemble
    from ..ensemble.soup import Soup


def ensemble(
    folders: Annotated[list[Path], typer.Argument(help="Folders of one or more studies.")],
    out: Annotated[
        Path | None, typer.Option(help="The ensemble's folder; by default `ensemble` in the folder of the one study.")
    ] = None,
    size: Annotated[int, typer.Option(help="How many of the best runs; with greedy the most.")] = 4,
    by: Ranking = "accuracy",
    method: Annotated[str, typer.Option(help=f"How: {METHODS.help}.")] = "top",
    combine: Annotated[str, typer.Option(help=f"What is averaged: {COMBINATIONS.help}.")] = "logits",
    budget: Annotated[
        int | None, typer.Option(parser=count, metavar="NUMBER", help="Most trainable parameters, of all members together.")
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="For soup: rank of the merged adapters; by default the largest of the runs'.")
    ] = None,
    device: Annotated[str, typer.Option(help="For soup, which is measured: cpu, cuda, or auto.")] = "auto",
    as_json: Json = False,
) -> None:
    """Combine runs of a study into FOLDER/ensemble, or merge them into one model, FOLDER/soup.

    Runs of several studies are combined into --out; they may be on different encoders, but have the same labels. Where the
    studies' data differ, validation rows are joined by their texts.
    """
    from ..errors import EnsembleError
    from .output import print_json

    if METHODS.check(method, EnsembleError).merges:
        if combine != "logits":
            raise EnsembleError("a soup combines weights; leave --combine out")
        if len(folders) > 1 or out is not None:
            raise EnsembleError("a soup is of one study and lies in its folder; give one folder and leave --out out")
        from ..ensemble.soup import write_soup

        soup = write_soup(folders[0], size=size, by=by, budget=budget, rank=rank, device=device)
        if as_json:
            print_json(soup.to_json())
        else:
            _show_soup(soup)
        return
    from ..ensemble import write_ensemble

    if rank is not None:
        raise EnsembleError("--rank is of merged weights; give it with --method soup")
    made = write_ensemble(*folders, out=out, size=size, by=by, method=method, combine=combine, budget=budget)
    if as_json:
        print_json(_document(made))
    else:
        show_ensemble(made)


def _document(made: Ensemble) -> dict[str, object]:
    calibration = made.calibration()
    return {
        "folder": str(made.folder),
        "method": made.method,
        "combination": made.combination,
        "members": dict(made.members),
        "metrics": dict(made.metrics),
        "nested": dict(made.nested),
        "single": dict(made.single),
        "studies": dict(made.studies),
        "rows": made.rows,
        "trainable": made.trainable,
        "calibration": calibration.to_json(),
    }


def show_ensemble(made: Ensemble) -> None:
    """Prints members, the figure that flatters and the one that does not, and the calibration."""
    from .output import note, say

    if len(made.studies) > 1:
        sizes = ", ".join(f"{rows:,} of {name}" for name, rows in made.studies.items())
        say(f"{made.rows:,} validation rows are shared by all studies ({sizes}); the figures are of these")
    for name, weight in made.members.items():
        say(f"{name}  weight {weight:.3g}, validation accuracy {made.runs[name].metrics['accuracy']:.4f}")
    say(f"together: validation accuracy {made.metrics['accuracy']:.4f}, {made.trainable:,} trained parameters, in {made.folder}")
    if made.nested:
        accuracy = made.nested["accuracy"]
        error = (accuracy * (1 - accuracy) / made.rows) ** 0.5
        say(f"chosen without the rows it is measured on: {accuracy:.4f} (standard error {error:.4f})")
        say(f"the best single run, chosen likewise: {made.single['accuracy']:.4f}")
    calibration = made.calibration()
    before, after = calibration.before, calibration.after
    say(
        f"temperature {calibration.temperature:.3f}: calibration error {before.ece:.4f} -> {after.ece:.4f}, "
        f"Brier score {before.brier:.4f} -> {after.brier:.4f}"
    )
    note("the accuracy together flatters: the members were chosen on these same validation rows; rely on the one below it")


def _show_soup(soup: Soup) -> None:
    from .output import say

    for name, accuracy in soup.members.items():
        say(f"{name}  validation accuracy {accuracy:.4f}")
    say(f"soup of these ({soup.form}): validation accuracy {soup.run.metrics['accuracy']:.4f}, the best of them {soup.best:.4f}")
    say(f"{soup.run.trainable:,} trained parameters, in {soup.run.path}")
