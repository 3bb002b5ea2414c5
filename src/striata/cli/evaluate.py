"""`striata evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Bases, Device, Json, Label, LabelledTexts, ModelPath, Precision, Read, Text, TextPair, named_columns

if TYPE_CHECKING:
    from ..model.evaluation import Evaluation


def evaluate(
    model: ModelPath,
    file: LabelledTexts,
    sets: Annotated[
        float | None, typer.Option(metavar="COVERAGE", help="Also measure label sets that should hold the true label this often.")
    ] = None,
    intervals: Annotated[
        float | None,
        typer.Option(metavar="COVERAGE", help="Of numbers: also measure intervals that should hold the true one this often."),
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the wrong rows here, most confident first; numbers by error (.csv, .jsonl, .parquet).",
        ),
    ] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    read: Read = None,
    base: Bases = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
) -> None:
    """Measure a run or an ensemble on labelled rows; the figures are kept beside it, for the report and the card.

    Example: striata evaluate runs/mine/ensemble test.csv
    """
    from ..calibration import check_share
    from ..choices import PREDICTIONS
    from ..disk.files import apart, named
    from .inputs import coverage_of, open_model
    from .output import note, print_json

    for share, option in ((sets, "sets"), (intervals, "intervals")):
        if share is not None:
            check_share(share, option)
    if errors is not None:
        apart(named(errors, *PREDICTIONS, argument="errors"), file)
    opened = open_model(model, base=base, device=device, precision=precision)
    columns = named_columns(opened.columns, text=text, text_pair=text_pair, label=label, read=read)
    from ..model.evaluation import write_errors
    from ..robustness import keep_evaluation

    measured = opened.evaluate(file, columns=columns, coverage=coverage_of(opened.task, sets, intervals))
    if errors is not None:
        write_errors(measured, errors)
        what = "wrong rows" if measured.bounds is None else "rows, the largest errors first,"
        note(f"{len(measured.wrong):,} {what} in {errors}")
    keep_evaluation(opened, measured)
    if as_json:
        print_json(measured.to_json())
    else:
        show_metrics(measured)


def show_metrics(measured: Evaluation) -> None:
    """Prints figures, a line per label, and the confusion matrix."""
    from ..choices import RANKINGS
    from ..figures.scores import in_words, special_figures
    from .output import say, table

    metrics, scores = measured.metrics, measured.metrics.scores
    before, after = measured.uncalibrated, measured.calibrated
    if before is None or after is None:
        low, high = (RANKINGS[measured.figure].shown(end) for end in (measured.interval.low, measured.interval.high))
        first = {measured.figure: measured.interval.value}
        say(f"{metrics.rows:,} rows: {in_words(first | special_figures(scores))}")
        say(f"95 % interval of the {RANKINGS[measured.figure].title}: {low} to {high}")
        if measured.intervals is not None:
            say(
                f"intervals of coverage {measured.intervals.nominal:g}: {measured.intervals.coverage:.4f} hold the true number, "
                f"{measured.intervals.width:.4g} wide"
            )
        return
    right = f"accuracy {scores.accuracy:.4f} ({measured.interval.low:.4f} to {measured.interval.high:.4f})"
    say(f"{metrics.rows:,} rows: {right}, macro F1 {scores.macro_f1:.4f}, log loss {scores.loss:.4f}")
    if special := special_figures(scores):
        say(in_words(special))
    if metrics.absent:
        shown = ", ".join(metrics.absent[:8]) + (", ..." if len(metrics.absent) > 8 else "")
        say(f"labels without a row here: {shown}; macro F1 counts one as 0 where it is predicted, else leaves it out")
    if "hamming_loss" in scores:
        say(f"a row is right when all of its labels are; Hamming loss {scores['hamming_loss']:.4f}")
    say(
        f"calibration error {after.ece:.4f}, Brier score {after.brier:.4f} "
        f"(without the model's temperature {before.ece:.4f}, {before.brier:.4f}, log loss {before.loss:.4f})"
    )
    if measured.sets is not None:
        say(
            f"label sets of coverage {measured.sets.nominal:g}: {measured.sets.coverage:.4f} hold the true label, "
            f"{measured.sets.mean_size:.2f} labels on average, {measured.sets.single:.1%} are one label"
        )
    say()
    table(
        ["label", "precision", "recall", "F1", "rows"],
        [
            (name, f"{f['precision']:.4f}", f"{f['recall']:.4f}", f"{f['f1']:.4f}", f"{f['rows']:,}")
            for name, f in metrics.per_label.items()
        ],
    )
    if not metrics.confusion:
        return
    say()
    table(
        ["true \\ predicted", *metrics.labels],
        [[name, *row] for name, row in zip(metrics.labels, metrics.confusion, strict=True)],
    )
