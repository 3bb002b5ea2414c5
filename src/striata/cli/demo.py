"""`striata demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..choices import DEMOS
from .fit import Minutes
from .options import Json, Settings


def demo(
    what: Annotated[str, typer.Argument(help=f"What is shown: {DEMOS.help}.")] = "fit",
    minutes: Minutes = 2.0,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Fit Reuters R8 with MiniLM: baselines, adapters, an ensemble, a report, predictions of unlabelled texts.

    Needs the demo's parts, which `make demo` installs. Writes runs/demo and runs/demo-data; with `layouts`, which trains the nine
    built-in depth layouts as a study and takes no --minutes, runs/demo-layouts.

    Example: striata demo --minutes 2
    """
    from .. import demo as parts
    from ..errors import StudyError
    from .output import print_json, say, without_lines

    DEMOS.check(what, StudyError)
    if what == "fit" and settings:
        raise StudyError(
            "is for `striata demo layouts`; what `striata demo` trains is written to runs/demo/study.yaml", argument="settings"
        )
    began = time.monotonic()
    encoder, data = parts.encoder_folder(), parts.write_data()
    with without_lines(as_json):
        document = _layouts(encoder, data, settings or []) if what == "layouts" else _fit(encoder, data, minutes)
        say(f"took        {time.monotonic() - began:.0f} s in all")
    if as_json:
        print_json(document)


def _fit(encoder: Path, data: Path, minutes: float) -> dict[str, object]:
    from .. import fit as fit_data
    from .fit import show_fit
    from .output import command, note, say
    from .progress import progress

    train, test = str(data / "r8-train.csv"), str(data / "r8-test.csv")
    note(command("fit", train, "--test", test, "--base", encoder, "--minutes", f"{minutes:g}", "--out", "runs/demo") + "\n")
    with progress() as listen:
        fitted = fit_data(train, test=test, base=str(encoder), minutes=minutes, output="runs/demo", listen=listen)
    say()
    show_fit(fitted)
    predictions = _predict(fitted.model, data, fitted.folder)
    say(f"next        {command('leaderboard', fitted.folder)}")
    return {**fitted.to_json(), "predictions": str(predictions)}


def _layouts(encoder: Path, data: Path, settings: list[str]) -> dict[str, object]:
    from .. import demo as parts
    from .. import load, load_study
    from .. import train as train_study
    from .leaderboard import show_leaderboard
    from .output import command, note, say
    from .progress import progress

    here = [f"base={encoder}", f"data.train={data / 'r8-train.csv'}", "output=runs/demo-layouts"]
    study = load_study(parts.study_file(), [*here, *settings])
    note(f"encoder: {encoder}\ndata: {data}\n")
    with progress() as listen:
        result = train_study(study, listen=listen)
    say()
    show_leaderboard(result.folder)
    assert result.ensemble is not None
    note("measuring the ensemble on the official test ...")
    measured = load(result.ensemble.folder).evaluate(data / "r8-test.csv")
    say()
    say(f"ensemble    {result.ensemble.folder} ({', '.join(result.ensemble.members)})")
    say(f"test        {measured.accuracy:.4f} right on the {measured.metrics.rows:,} rows of the official R8 test")
    predictions = _predict(result.ensemble.folder, data, result.folder)
    say(f"next        {command('report', result.folder)}")
    return {**result.to_json(), "measured": measured.to_json(), "predictions": str(predictions)}


def _predict(model: Path, data: Path, folder: Path) -> Path:
    """Predicts the unlabelled texts into a study's folder."""
    from .. import load
    from ..model.whole_file import predict_file
    from .output import say
    from .progress import counter

    out = folder / "predictions.csv"
    with counter("texts") as count:
        rows = predict_file(load(model), data / "r8-unlabelled.csv", out, progress=count)
    say(f"predictions {out} ({rows:,} rows of {data / 'r8-unlabelled.csv'})")
    return out
