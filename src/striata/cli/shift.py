"""`striata shift`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Bases, Device, Json, ModelPath, Precision, Read, Seed, TextPair, named_columns

if TYPE_CHECKING:
    from ..data import Columns, Table
    from ..model import Model
    from ..robustness import Shift
    from ..robustness.shift import Part

_TITLES = {"whole": "all rows", "copies": "copies", "rest": "rows that are no copies"}
_SHOWN = 5
_MOSTLY = 0.5
SHIFTED = 3  # exit code


def shift(
    model: ModelPath,
    unlabelled: Annotated[str, typer.Option(help="The rows in question.")],
    known: Annotated[
        str | None,
        typer.Option(
            help="Rows the model is meant for, but was not trained on; labels are used if there. By default the validation rows "
            "of the model's study, without their labels."
        ),
    ] = None,
    train: Annotated[str | None, typer.Option(help="More rows that the unlabelled ones may be copies of.")] = None,
    rows: Annotated[int, typer.Option(help="Most rows of either file to embed; a random sample when there are more.")] = 2000,
    permutations: Annotated[int, typer.Option(help="Of the two-sample test.")] = 999,
    seed: Seed = 0,
    text: Annotated[str | None, typer.Option(help="Name of the text column, in all files.")] = None,
    text_pair: TextPair = None,
    read: Read = None,
    label: Annotated[str | None, typer.Option(help="Name of the known rows' label column.")] = None,
    base: Bases = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Also write copies and scores row by row to this CSV file.")] = None,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code", help=f"End with {SHIFTED} where the rows in question are told apart from the known ones (p <= 0.05)."
        ),
    ] = False,
) -> None:
    """Tell whether unlabelled rows are like known ones, which are copies, and how accurate the model may be on them.

    Example: striata shift runs/mine/ensemble --unlabelled new.csv --exit-code
    """
    from ..robustness import measure_shift, read_rows
    from .inputs import open_model
    from .output import print_json

    opened = open_model(model, known, unlabelled, train, base=base, device=device, precision=precision)
    columns = named_columns(opened.columns, text=text, text_pair=text_pair, label=label, read=read)
    tables = _known(opened, known, columns), read_rows(unlabelled, columns, labels=False)
    more = None if train is None else read_rows(train, columns, labels=False)
    shift = measure_shift(opened, *tables, train=more, rows=rows, permutations=permutations, seed=seed, out=out)
    if as_json:
        print_json(shift.to_json())
    else:
        show_shift(shift)
    if exit_code and _differs(shift.part("whole")):
        raise typer.Exit(SHIFTED)


def _known(model: Model, source: str | None, columns: Columns) -> Table:
    """The rows that a model is meant for."""
    from ..errors import DataError
    from ..robustness import read_rows, validation_rows

    if source is not None:
        return read_rows(source, columns, labels=True)
    rows = validation_rows(model)
    if rows is None:
        raise DataError(
            f"the rows that {model.folder} was validated on cannot be read; give rows that it is meant for", argument="known"
        )
    return replace(rows, labels=None)


def show_shift(shift: Shift) -> None:
    """Prints the verdict on each part, copies, words, and the rows that differ most."""
    from .output import note, say, table

    lines = []
    for part in shift.parts:
        test, accuracy = part.test, part.accuracy
        cells = [part.name, f"{part.rows:,}", f"{part.sampled:,}"]
        cells += ["-"] * 3 if test is None else [f"{test.auc:.3f}", f"{test.p_value:.2g}", f"{test.foreign:.0%}"]
        cells.append("-" if accuracy is None else f"{accuracy.value:.3f} ({accuracy.low:.3f} to {accuracy.high:.3f})")
        cells.append("-" if part.second is None else f"{part.second:.3f}")
        lines.append(cells)
    table(["part", "rows", "sampled", "AUC", "p", "foreign", "accuracy, guessed", "second"], lines)
    say()
    for part in shift.parts:
        if part.rows:
            say(f"{_TITLES[part.name]}: {_verdict(part)}")
    exact = sum(copy.exact for copy in shift.copies)
    trained = sum(copy.of == "train" for copy in shift.copies)
    share = len(shift.copies) / shift.part("whole").rows
    say(f"copies: {len(shift.copies):,} rows ({share:.1%}), {exact:,} of them exact; of training rows {trained:,}")
    words = shift.wording
    say(f"tokens: {words.tokens_other:.1f} on average, known rows {words.tokens_known:.1f} (p {words.length_p_value:.3g})")
    say(f"unseen words: {words.unseen_other:.1%}, known rows among themselves {words.unseen_known:.1%}")
    say(
        f"divergence of words: {words.divergence_other:.3f} bits, known rows among themselves {words.divergence_known:.3f}; "
        f"more frequent here: {', '.join(words.words)}"
    )
    if shift.known_accuracy is not None:
        say(f"check of the estimate on the known rows: {shift.known_estimate:.4f}, measured {shift.known_accuracy.value:.4f}")
    say()
    different = [(r.row, f"{r.score:.2f}", " ".join(r.text[:100].split())) for r in shift.different[:_SHOWN]]
    table(["row", "score", "differs most"], different, fold="differs most")
    note("foreign: at least this share of the rows is not from the known rows' distribution")
    note(f"accuracy: threshold fitted on the {shift.fitted_on} rows. It assumes that {_assumptions()}")


def _assumptions() -> str:
    from ..robustness.accuracy_estimate import ASSUMPTIONS

    return ASSUMPTIONS


def _differs(part: Part) -> bool:
    return part.test is not None and part.test.p_value <= 0.05


def _verdict(part: Part) -> str:
    if part.test is None:
        return "not tested (they are known or training rows)" if part.name == "copies" else "not tested (too few)"
    if not _differs(part):
        return f"no difference to the known rows found (p {part.test.p_value:.2g})"
    text = f"not from the known rows' distribution (p {part.test.p_value:.2g})"
    return text if part.test.foreign < _MOSTLY else f"{text}, and most of them foreign: the guesses of accuracy say little here"
