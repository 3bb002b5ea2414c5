"""`striata leaderboard`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import CONTROLS, RANKINGS
from .options import Confidence, Json, StudyPath

if TYPE_CHECKING:
    from ..evidence import Comparison, LayoutResult, Worth
    from ..runs import Standing, StudyFolder


def leaderboard(
    folder: StudyPath,
    runs: Annotated[bool, typer.Option("--runs", help="List single runs, not layouts over their seeds.")] = False,
    reference: Annotated[
        str | None,
        typer.Option(help=f"What each layout is compared with: a layout, or its own control: {CONTROLS.help}."),
    ] = None,
    confidence: Confidence = 0.95,
    explain: Annotated[bool, typer.Option("--explain", help="Say every difference in a sentence of its own.")] = False,
    as_json: Json = False,
) -> None:
    """Show the layouts of a study, best first, with intervals and which differences are real.

    It opens with what the fine-tuned encoder and the ensemble gain over the best baseline, and at which cost.

    A layout's accuracy is the mean over its seeds on the validation rows. Its difference to the reference (its own :uniform
    control, or the one that was not adapted, else the study's first layout) has a p-value corrected for the number of
    comparisons, and a verdict.

    Example: striata leaderboard runs/mine --explain
    """
    from ..evidence import compare_study
    from ..runs import StudyFolder
    from ..runs import leaderboard as standings
    from .output import print_json

    opened = StudyFolder.open(folder)
    if not as_json:
        show_leaderboard(folder, runs=runs, reference=reference, confidence=confidence, explain=explain)
    elif runs:
        print_json([row.to_json() for row in standings(opened)])
    else:
        comparison = compare_study(opened, reference=reference, confidence=confidence)
        print_json({"worth": _worth(opened, confidence).to_json()} | comparison.to_json())


def show_leaderboard(
    folder: Path, *, runs: bool = False, reference: str | None = None, confidence: float = 0.95, explain: bool = False
) -> None:
    """Prints the leaderboard of a study's folder, by layout or by run."""
    from ..evidence import compare_study
    from ..runs import StudyFolder
    from ..runs.refusal import check_lines
    from .output import note, say

    opened = StudyFolder.open(folder)
    for sentence in _worth(opened, confidence).sentences:
        say(sentence)
    say()
    if runs:
        _show_runs(opened)
        for sentence in check_lines(opened.runs()):
            note(sentence)
    else:
        show_comparison(compare_study(opened, reference=reference, confidence=confidence), explain=explain)
    for name, reason in opened.failed().items():
        note(f"{name} failed: {reason}")
    for sentence in opened.strays():
        note(sentence)


def _worth(opened: StudyFolder, confidence: float) -> Worth:
    """Whether the encoder and the ensemble are worth their cost; an ensemble that cannot be opened is left out, and named."""
    from ..ensemble import load_ensemble
    from ..errors import EnsembleError
    from ..evidence import measure_worth
    from .output import note

    runs, ensemble = opened.finished(), None
    if (opened.path / "ensemble").is_dir():
        try:
            ensemble = load_ensemble(opened.path / "ensemble")
        except EnsembleError as error:
            note(f"the ensemble is left out: {error}")
    return measure_worth(runs, ensemble, confidence=confidence)


def show_comparison(comparison: Comparison, *, explain: bool) -> None:
    """Prints layouts, differences, and a summary of these or a sentence about each."""
    from ..evidence.sentences import chance, counted, shown_difference
    from .output import fits, note, say, table

    against = {difference.layout: difference for difference in comparison.differences}
    tested, figure = any(row.test_value is not None for row in comparison.layouts), comparison.figure
    of_labels = figure == "accuracy"
    headings = [
        "layout",
        "seeds",
        "trainable",
        "validation" if of_labels else RANKINGS[figure].title,
        f"{comparison.confidence:.0%} interval",
        *(["loss", "macro F1"] if of_labels else []),
        *(RANKINGS[name].title for name in comparison.layouts[0].special if name != figure),
        "seconds",
    ]
    headings += ["texts/s"] if _timed(comparison.layouts) else []
    headings += ["test"] if tested else []
    extra = ["difference", "reference", "p (Holm)" if len(against) > 1 else "p", "verdict"]
    figures = [_figures(row, tested, _timed(comparison.layouts)) for row in comparison.layouts]
    compared = []
    for row in comparison.layouts:
        cells = [""] * len(extra)
        if row.layout in against:
            one = against[row.layout]
            difference, low, high = (shown_difference(value, figure) for value in (one.difference, one.low, one.high))
            cells = [f"{difference} ({low} to {high})", one.reference]
            cells += [chance(one.p_adjusted).removeprefix("= "), one.verdict]
        compared.append(cells)
    beside = [[*left, *right] for left, right in zip(figures, compared, strict=True)]
    if not against:
        table(headings, figures)
    elif fits([*headings, *extra], beside):
        table([*headings, *extra], beside)
    else:
        table(headings, figures)
        say()
        table(["layout", *extra], [[left[0], *right] for left, right in zip(figures, compared, strict=True) if right[0]])
    say()
    for mean in comparison.together:
        say(mean.sentence)
    for sentence in [one.sentence for one in comparison.differences] if explain else comparison.summary:
        say(sentence)
    rows = counted(comparison.rows, "row")
    what = "in percentage points" if of_labels else f"of {RANKINGS[figure].title}, the lower the better"
    note(f"{rows} of validation; compared with: {comparison.reference}; differences {what}")
    for remark in comparison.notes:
        note(remark)


def _timed(rows: Sequence[LayoutResult] | Sequence[Standing]) -> bool:
    return any(row.texts_per_second is not None for row in rows)


def _titles(rows: Sequence[LayoutResult] | Sequence[Standing]) -> list[str]:
    """Of the figures that only some tasks have."""
    return [RANKINGS[name].title for name in rows[0].special]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}" if seconds < 100 else f"{seconds:,.0f}"


def _figures(row: LayoutResult, tested: bool, timed: bool) -> list[str]:
    from ..evidence.sentences import speed

    shown = RANKINGS[row.by].shown
    cells = [row.layout, str(len(row.seeds)), f"{row.trainable:,}", shown(row.value), f"{shown(row.low)}-{shown(row.high)}"]
    cells += [f"{value:.4f}" for value in ((row.loss, row.macro_f1) if row.by == "accuracy" else ())]
    cells += [RANKINGS[name].shown(value) for name, value in row.special.items() if name != row.by] + [_seconds(row.seconds)]
    if timed:
        cells.append(speed(row.texts_per_second))
    if tested:
        cells.append("-" if row.test_value is None else shown(row.test_value))
    return cells


def _show_runs(opened: StudyFolder) -> None:
    from ..evidence.sentences import speed
    from ..runs import leaderboard as standings
    from .output import note, table

    rows = standings(opened)
    tested = any(row.test is not None for row in rows)
    of_labels = "accuracy" in rows[0].figures
    common = ["validation", "loss", "macro F1"] if of_labels else []
    headings = ["run", "trainable", *common, *_titles(rows), "best step", "seconds"]
    headings += ["texts/s"] if _timed(rows) else []
    lines = []
    for row in rows:
        cells = [row.run, f"{row.trainable:,}"]
        cells += [f"{value:.4f}" for value in ((row.accuracy, row.loss, row.macro_f1) if of_labels else ())]
        cells += [RANKINGS[name].shown(value) for name, value in row.special.items()]
        cells += [f"{row.best_step}/{row.steps}", _seconds(row.seconds)]
        if _timed(rows):
            cells.append(speed(row.texts_per_second))
        if tested:
            by = "accuracy" if of_labels else row.by
            cells.append("-" if row.test is None else RANKINGS[by].shown(row.test[by]))
        lines.append(cells)
    table([*headings, "test"] if tested else headings, lines)
    if rows[0].by != "accuracy":
        note(f"best first by {RANKINGS[rows[0].by].title}, which recipe.best_by names{'' if of_labels else '; so is test'}")
