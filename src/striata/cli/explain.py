"""`striata explain`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import EXPLANATIONS
from .options import Bases, Device, Json, ModelPath, Precision, Text, TextPair, named_columns

if TYPE_CHECKING:
    from ..model import Explanation, Model

Source = Annotated[str, typer.Argument(metavar="TEXT|FILE", help="A text, or a file or folder of texts that is there.")]
Pair = Annotated[str | None, typer.Option(metavar="TEXT", help="The second text, for a model of pairs.")]
Method = Annotated[str, typer.Option(help=f"How: {EXPLANATIONS.help}.")]
OfLabel = Annotated[str | None, typer.Option("--label", metavar="NAME", help="Explain this label, not the one that comes out.")]
Steps = Annotated[int | None, typer.Option(help="Of the gradients; without it 32, doubled up to 256 while they do not add up.")]
Rows = Annotated[int, typer.Option(help="How many of the nearest training rows, with --method neighbours.")]
Most = Annotated[int, typer.Option("--texts", metavar="NUMBER", help="How many texts of a file, from its beginning.")]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page of HTML.")]

_STYLES = {2: "bold white on blue", 1: "blue", -1: "dark_orange3", -2: "bold white on dark_orange3"}
_MARKS = {2: "[++]", 1: "[+]", 0: "", -1: "[-]", -2: "[--]"}
_LISTED = 8  # words with their weights


def explain(
    model: ModelPath,
    source: Source,
    pair: Pair = None,
    method: Method = "auto",
    label: OfLabel = None,
    steps: Steps = None,
    rows: Rows = 5,
    texts: Most = 10,
    html: Html = None,
    text: Text = None,
    text_pair: TextPair = None,
    base: Bases = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    as_json: Json = False,
) -> None:
    """Show why a text gets its label: the words that speak for it and against it, or the training rows that lie nearest.

    Weights say what this model computes with these words, not what makes the label true.

    Example: striata explain runs/mine/ensemble new.csv --texts 3
    """
    from ..disk.files import apart, named
    from ..errors import DataError
    from ..extras import require
    from .inputs import open_model
    from .output import print_json

    EXPLANATIONS.check(method, DataError)
    for name, value in (("texts", texts), ("rows", rows), ("steps", steps)):
        if value is not None and value < 1:
            raise DataError(f"{value}: expected at least 1", argument=name)
    file = is_source(source)
    if html is not None:
        named(html, ".html", argument="html")
        require("a page of explanations", "jinja2")
        if file:
            apart(html, source)
    opened = open_model(model, source if file else None, base=base, device=device, precision=precision)
    read = _rows(opened, source, text, text_pair, texts) if file else ([source], None if pair is None else [pair])
    explained = opened.explain(*read, method=method, label=label, steps=steps, rows=rows)
    if html is not None:
        from ..report.marked_words import write_explanations

        write_explanations(explained, html)
    if as_json:
        print_json({"explanations": [one.to_json() for one in explained]})
        return
    for at, one in enumerate(explained):
        show(one, first=at == 0)
    if html is not None:
        from .output import note

        note(f"also in {html}")


def is_source(text: str) -> bool:
    """Whether a text names a file or folder that is there, or ends like a data file."""
    from ..choices import READERS
    from ..disk.paths import is_there

    if "\n" in text:
        return False
    return is_there(text) or (len(text.split()) == 1 and Path(text).suffix.lower() in READERS)


def _rows(
    model: Model, source: str, text: list[str] | None, text_pair: str | None, most: int
) -> tuple[list[str], list[str] | None]:
    from ..data import read_texts
    from .output import note

    table = read_texts(source, replace(named_columns(model.columns, text=text, text_pair=text_pair), label=None))
    if len(table) > most:
        note(f"the first {most:,} of {len(table):,} texts; --texts takes more")
    return table.texts[:most], None if table.pairs is None else table.pairs[:most]


def show(explained: Explanation, *, first: bool = True) -> None:
    """Prints a text with its words marked, the strongest of them, or the rows that lie near.

    Args:
        explained: the text.
        first: whether to say what the marks mean.
    """
    from rich.text import Text as Styled

    from .output import console, note, say, table, visible

    own = f" ({explained.beside})" if explained.beside else ""
    say(f"{'' if first else chr(10)}{explained.label} {explained.probability:.1%}{own}")
    coloured = console.is_terminal and console.color_system is not None and not console.no_color
    for part, whole in enumerate((explained.text, explained.pair)):
        line = Styled()
        for piece, word in explained.pieces(part) if whole is not None else ():
            level = 0 if word is None else explained.level(word)
            line.append(visible(piece), _STYLES.get(level, "") if word is None or word.read else "dim")
            line.append("" if coloured else _MARKS[level])
        if whole is not None:
            console.print(line, soft_wrap=not console.is_terminal)
    if explained.method == "neighbours":
        table(
            ["similarity", "row", "label", "training row"],
            [
                (f"{row.similarity:.3f}", row.row, row.label + ("" if explained.agrees(row) else " *"), row.text)
                for row in explained.rows
            ],
            cut="training row",
        )
        if not all(explained.agrees(row) for row in explained.rows):
            note("* another label than the one that is explained: wrong labels show among rows that lie near")
    elif explained.words:
        table(["word", "weight"], [(one.word, f"{one.weight:+.3f}") for one in explained.strongest(_LISTED)])
    unread = sum(not one.read for one in explained.words)
    note(f"{explained.told}{f'; {unread:,} words are behind the length that is read' if unread else ''}")
    if first and explained.words:
        marks = "blue for the label, orange against" if coloured else "[++] and [+] for the label, [--] and [-] against"
        note(f"{marks}; weights say what this model computes, not what makes the label true")
