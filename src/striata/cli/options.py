"""Arguments and options that several commands have, each defined once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import DATA_HELP, DEVICES, HEADS, PRECISIONS, QUOTINGS, RANKINGS, TASKS, TRACKERS

if TYPE_CHECKING:
    from ..data import Columns

_READING = ("delimiter", "quoting", "encoding", "header", "drop_empty")


def count(text: str) -> int:
    """A number of parameters: 900000, 900k or 1M."""
    from ..settings.fields import as_count

    value = as_count(text)
    try:
        return int(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number of parameters such as 900k or 1M") from None


def _existing(path: Path) -> Path:
    """A model's folder, looked for before anything that takes long is loaded, unless it is on the Hub."""
    if not path.exists():
        from ..disk.sealed import refuse_missing
        from ..downloads import PREFIX
        from ..errors import RunError

        if not path.as_posix().startswith(PREFIX):
            refuse_missing(path, "run", RunError)
    return path


def readable(source: str) -> str:
    """Texts, looked for likewise."""
    from ..data import check_source

    check_source(source)
    return source


StudyFile = Annotated[Path, typer.Argument(help="Study file (YAML).")]
StudyPath = Annotated[Path, typer.Argument(help="A study's folder.")]
ModelPath = Annotated[
    Path,
    typer.Argument(
        help="Folder of a run, an ensemble, a pack, or a study (its ensemble, or its best run), or hub:OWNER/NAME on the Hub.",
        callback=_existing,
    ),
]
Texts = Annotated[str, typer.Argument(help=f"Texts: {DATA_HELP}.", callback=readable)]
LabelledTexts = Annotated[str, typer.Argument(help=f"Labelled texts: {DATA_HELP}.", callback=readable)]

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the study, e.g. recipe.max_steps=100; may be repeated."),
]
Text = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Name of the text column; repeated for several, which are joined with spaces."),
]
TextPair = Annotated[str | None, typer.Option(help="Name of the second text's column.")]
Label = Annotated[str | None, typer.Option(help="Name of the label column.")]
Task = Annotated[str, typer.Option(help=f"What a label is: {TASKS.help}.")]
Order = Annotated[
    str | None, typer.Option(metavar="LABEL,...", help="All labels, lowest first, with commas between them; for --task ordinal.")
]
Weight = Annotated[str | None, typer.Option(help="Name of a column that says how much each row counts in training.")]
Read = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help=f"How the file is written, where that cannot be seen: delimiter, quoting ({QUOTINGS.names}), encoding, header or "
        "drop_empty; may be repeated.",
    ),
]
Device = Annotated[str, typer.Option(help=f"Where it is computed: {DEVICES.help}.")]
Precision = Annotated[
    str, typer.Option(help=f"What the encoder multiplies in: {PRECISIONS.help}; auto is fp32 wherever the study says fp32.")
]
Base = Annotated[
    str | None,
    typer.Option("--base", metavar="FOLDER", help="Where the encoder lies now, if not where it was; its weights are compared."),
]
Bases = Annotated[
    list[str] | None,
    typer.Option(
        "--base",
        metavar="FOLDER",
        help="Where the encoder lies now, if not where it was; its weights are compared. Repeated for several encoders.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Ray cluster that does the work: local (of this machine), auto (the one that runs here) or HOST:PORT; all machines "
        "have to see the same folders.",
    ),
]
Cores = Annotated[int | None, typer.Option(min=1, help="With --ray: cores of a task, which are its threads.")]
Track = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help=f"Also send curves and figures to {TRACKERS.names}; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Head = Annotated[str, typer.Option(help=f"What is trained on top: {HEADS.help}.")]
Budget = Annotated[int | None, typer.Option(parser=count, metavar="NUMBER", help="Most trainable parameters, head included.")]
Ranking = Annotated[
    str | None,
    typer.Option(help=f"Validation figure that decides: {RANKINGS.names}; by default accuracy, or of numbers rmse."),
]
Seed = Annotated[int, typer.Option(help="Of everything random: samples, folds, permutations.")]
Confidence = Annotated[float, typer.Option(help="Of the intervals; 1 minus it is the level of the verdicts.")]


def listed(names: str | None) -> tuple[str, ...] | None:
    """What a text lists with commas between; None of None."""
    return None if names is None else tuple(name.strip() for name in names.split(","))


def named_columns(
    columns: Columns,
    *,
    text: Sequence[str] | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    read: Sequence[str] | None = None,
) -> Columns:
    """A model's names of columns, with those that the command line names instead, and what it says of how files are written.

    Raises:
        DataError: a key or a value of `--read` is not known.
    """
    texts = columns.text if not text else text[0] if len(text) == 1 else tuple(text)
    named = replace(columns, text=texts, text_pair=text_pair or columns.text_pair, label=label or columns.label)
    return _stated(named, read) if read else named


def _stated(columns: Columns, read: Sequence[str]) -> Columns:
    from ..data import Dialect
    from ..errors import DataError, did_you_mean

    values: dict[str, str] = {}
    for entry in read:
        key, equals, value = entry.partition("=")
        if not equals or key not in _READING:
            raise DataError(
                f"--read {entry}: unknown key{did_you_mean(key, _READING)}; expected {', '.join(_READING)} and a value"
            )
        values[key] = value
    drop = values.pop("drop_empty", "true" if columns.drop_empty else "false")
    if drop not in ("true", "false"):
        raise DataError(f"--read drop_empty={drop}; expected true or false")
    header = values.pop("header", None)
    names = None if header is None else header == "true" if header in ("true", "false") else tuple(header.split(","))
    return replace(columns, dialect=Dialect(header=names, **values), drop_empty=drop == "true")
