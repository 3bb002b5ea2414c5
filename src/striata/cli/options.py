"""Arguments and options that several commands have, each defined once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import DATA_HELP, DEVICES, HEADS, PRECISIONS, RANKINGS, TRACKERS

if TYPE_CHECKING:
    from ..data import Columns


def count(text: str) -> int:
    """A number of parameters: 900000, 900k or 1M."""
    from ..settings.fields import as_count

    value = as_count(text)
    try:
        return int(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number of parameters such as 900k or 1M") from None


def _existing(path: Path) -> Path:
    """A model's folder, looked for before anything that takes long is loaded; a file is refused by what opens it."""
    if not path.exists():
        from ..disk.sealed import refuse_missing
        from ..errors import RunError

        refuse_missing(path, "run", RunError)
    return path


def _readable(source: str) -> str:
    """Texts, looked for likewise."""
    from ..data import check_source

    check_source(source)
    return source


StudyFile = Annotated[Path, typer.Argument(help="Study file (YAML).")]
StudyPath = Annotated[Path, typer.Argument(help="A study's folder.")]
ModelPath = Annotated[
    Path,
    typer.Argument(help="Folder of a run, an ensemble, a pack, or a study (its ensemble, or its best run).", callback=_existing),
]
Texts = Annotated[str, typer.Argument(help=f"Texts: {DATA_HELP}.", callback=_readable)]
LabelledTexts = Annotated[str, typer.Argument(help=f"Labelled texts: {DATA_HELP}.", callback=_readable)]

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the study, e.g. recipe.max_steps=100; may be repeated."),
]
Text = Annotated[str | None, typer.Option(help="Name of the text column.")]
TextPair = Annotated[str | None, typer.Option(help="Name of the second text's column.")]
Label = Annotated[str | None, typer.Option(help="Name of the label column.")]
Device = Annotated[str, typer.Option(help=f"Where it is computed: {DEVICES.help}.")]
Precision = Annotated[str, typer.Option(help=f"What the encoder multiplies in: {PRECISIONS.help}.")]
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
Track = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help=f"Also send curves and figures to {TRACKERS.names}; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Head = Annotated[str, typer.Option(help=f"What is trained on top: {HEADS.help}.")]
Budget = Annotated[int | None, typer.Option(parser=count, metavar="NUMBER", help="Most trainable parameters, head included.")]
Ranking = Annotated[str, typer.Option(help=f"Validation figure that decides: {RANKINGS.names}.")]
Seed = Annotated[int, typer.Option(help="Of everything random: samples, folds, permutations.")]
Confidence = Annotated[float, typer.Option(help="Of the intervals; 1 minus it is the level of the verdicts.")]


def named_columns(
    columns: Columns, *, text: str | None = None, text_pair: str | None = None, label: str | None = None
) -> Columns:
    """A model's names of columns, with those that the command line names instead."""
    names = {"text": text, "text_pair": text_pair, "label": label}
    return replace(columns, **{key: name for key, name in names.items() if name is not None})
