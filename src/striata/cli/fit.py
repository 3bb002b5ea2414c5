"""`striata fit`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Budget, Cores, Device, Json, Label, LabelledTexts, Order, Ray, Read, Seed, Task, Text, TextPair, Weight

if TYPE_CHECKING:
    from ..automl.verdict import Fitted

Minutes = Annotated[float, typer.Option(min=0.1, help="Time for everything, also over several calls.")]
Test = Annotated[str | None, typer.Option(help="Labelled texts for the last word; without, some rows are held out.")]
Base = Annotated[str | None, typer.Option(help="Encoder: folder or Hub name, or none; MiniLM when left out.")]
Out = Annotated[str | None, typer.Option(help="Folder of everything that comes out; runs/NAME of the data when left out.")]


def fit(
    data: LabelledTexts,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    weight: Weight = None,
    read: Read = None,
    task: Task = "single-label",
    order: Order = None,
    test: Test = None,
    base: Base = None,
    minutes: Minutes = 5.0,
    budget: Budget = 1_000_000,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    ray: Ray = None,
    cores: Cores = None,
    as_json: Json = False,
) -> None:
    """Find the best classifier for labelled texts in minutes: nothing but the data is needed.

    Columns, length, recipe and layouts are found; baselines that cost seconds come first, then adapters for the rest of the time,
    then an ensemble of all. Writes the study file that repeats it, and a report. Interrupted, the same command goes on; the time
    spent counts. With --ray the places of a cluster train the adapters.

    Example: striata fit train.csv --minutes 5
    """
    from .. import fit as fit_data
    from ..data import Columns
    from .options import listed, named_columns
    from .output import print_json
    from .progress import progress

    _look_for(task, (data, test), base)
    columns = named_columns(Columns(), text=text, read=read)
    with progress() as listen:
        fitted = fit_data(
            data,
            text=columns.text,
            text_pair=text_pair,
            label=label,
            weight=weight,
            dialect=columns.dialect,
            drop_empty=columns.drop_empty,
            task=task,
            order=listed(order),
            test=test,
            base=base,
            minutes=minutes,
            budget=budget,
            output=out,
            seed=seed,
            listen=listen,
            device=device,
            ray=ray,
            cores=cores,
        )
    if as_json:
        print_json(fitted.to_json())
        return
    show_fit(fitted)
    _show_next(fitted, task)


def _show_next(fitted: Fitted, task: str) -> None:
    from ..ensemble import load_ensemble
    from ..runs.standings import find_model
    from ..tasks import SINGLE_LABEL
    from .output import command, say

    model = fitted.folder if find_model(fitted.folder) == fitted.model else fitted.model
    say(f"next: {command('predict', model, 'FILE')}")
    say(f"      {command('leaderboard', fitted.folder)}")
    say(f"      {command('evaluate', model, 'FILE')}")
    if fitted.name == "ensemble" and task == SINGLE_LABEL.name and len(load_ensemble(fitted.folder / "ensemble").runs) > 1:
        say(f"with texts that nobody has labelled: {command('selftrain', fitted.folder, '--unlabelled', 'FILE')}")


def _look_for(task: str, sources: Iterable[str | None], base: str | None) -> None:
    """Says at once which task, source or encoder there is not."""
    from ..choices import TASKS
    from ..data import check_source
    from ..errors import StudyError
    from ..layout import check_base
    from ..settings.file import NO_ENCODER

    TASKS.check(task, StudyError)
    for source in sources:
        if source is not None:
            check_source(source)
    if base is not None and base != NO_ENCODER:
        check_base(base)


def show_fit(fitted: Fitted) -> None:
    """Prints what came out of a fit, how long it took and where it lies."""
    from .output import say

    say(fitted.sentence)
    if fitted.cascade is not None:
        say(
            f"faster: {fitted.cascade} answers {fitted.answered_early:.0%} of the texts without the encoder; "
            f"with 95 % confidence less than {fitted.most_lost:.1%} of all are lost by that"
        )
    over = f", {fitted.seconds - fitted.limit:.0f} s more than it had" if fitted.seconds > 1.1 * fitted.limit else ""
    say(
        f"took {fitted.seconds:.0f} s of {fitted.limit:.0f}{over}; in {fitted.folder}"
        + ("" if fitted.report is None else f"; report: {fitted.report}")
    )
