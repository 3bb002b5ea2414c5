"""Explained texts as HTML: words on the colour of what they speak for, underlined so that it shows without colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from ..disk.files import write_text
from ..model.explanation import Explanation, WordWeight
from .palette import DARK, LIGHT, variables

_CLASSES = {2: "for strong", 1: "for", -1: "against", -2: "against strong"}
_LISTED = 8  # words with their weights

WORDS_STYLE = (
    ".words{margin:6px 0;max-width:76ch;white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.9}"
    ".words mark{color:inherit;border-radius:3px;padding:1px 2px;background:none}"
    ".words .for{background:color-mix(in srgb,var(--heat) 18%,transparent);border-bottom:2px solid var(--heat)}"
    ".words .for.strong{background:color-mix(in srgb,var(--heat) 45%,transparent)}"
    ".words .against{background:color-mix(in srgb,var(--warm) 18%,transparent);border-bottom:2px dotted var(--warm)}"
    ".words .against.strong{background:color-mix(in srgb,var(--warm) 45%,transparent)}"
    ".words .unread{opacity:.45}"
)
_PAGE_STYLE = (
    f":root{{{variables(LIGHT)}color-scheme:light dark}}@media (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"
    "body{margin:0 auto;max-width:960px;padding:24px 20px 60px;background:var(--ground);color:var(--ink);"
    'font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}h1{font-size:1.5rem}h2{margin:2rem 0 0;font-size:1.1rem}'
    "p{margin:2px 0 8px;max-width:76ch}.muted{color:var(--muted)}table{border-collapse:collapse;font-size:.875rem}"
    "th,td{padding:3px 12px 3px 0;border-top:1px solid var(--grid);text-align:left;vertical-align:top}.n{text-align:right}"
)
CAVEAT = "Weights say what this model computes with these words, not what makes the label true."


def heading(explained: Explanation) -> str:
    """Label and probability in a line, and what the model says itself where another label is explained."""
    own = f"; {explained.beside}" if explained.beside else ""
    return f"{explained.label}, {explained.probability:.1%}{own}"


def words(explained: Explanation) -> Markup:
    """Both texts with their words marked."""
    parts = [Markup("").join(_piece(explained, *piece) for piece in explained.pieces(part)) for part in (0, 1)]
    shown = [part for part, text in zip(parts, (explained.text, explained.pair), strict=True) if text is not None]
    return Markup("").join(Markup('<p class="words" dir="auto">{}</p>').format(part) for part in shown)


def marked_excerpt(explained: Explanation, length: int = 280) -> Markup:
    """The beginning of both texts, about `length` characters, with their words marked."""
    pieces = [*explained.pieces(), *([(" ‖ ", None), *explained.pieces(1)] if explained.pair is not None else [])]
    shown, room = list[Markup | str](), length
    for text, word in pieces:
        if room <= 0:
            return Markup("").join([*shown, " …"])
        shown.append(_piece(explained, text if len(text) <= 2 * length else text[:length], word))
        room -= len(text)
    return Markup("").join(shown)


def _piece(explained: Explanation, text: str, word: WordWeight | None) -> Markup:
    if word is None:
        return Markup("{}").format(text)
    if not word.read:
        return Markup('<span class="unread">{}</span>').format(text)
    kind = _CLASSES.get(explained.level(word))
    if kind is None:
        return Markup("{}").format(text)
    return Markup('<mark class="{}" title="{:+.3f}">{}</mark>').format(kind, word.weight, text)


def explanation(explained: Explanation) -> Markup:
    """Words marked with the strongest listed, or near rows, and how that was found."""
    if explained.method == "neighbours":
        rows = [
            (f"{row.similarity:.3f}", row.label, str(row.row), row.text if row.pair is None else f"{row.text} ‖ {row.pair}")
            for row in explained.rows
        ]
        body = words(explained) + _table(("similarity", "label", "row", "text"), rows)
    else:
        strongest = [(one.word, f"{one.weight:+.3f}") for one in explained.strongest(_LISTED)]
        body = words(explained) + _table(("word", "weight"), strongest)
    return body + Markup('<p class="muted">{}. {}</p>').format(_sentence(explained.told), CAVEAT)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    if not rows:
        return Markup("")
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in columns)
    lines = [
        Markup("<tr>{}</tr>").format(Markup("").join(Markup('<td dir="auto">{}</td>').format(cell) for cell in row))
        for row in rows
    ]
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, Markup("").join(lines))


def write_explanations(explanations: Sequence[Explanation], path: Path) -> None:
    """Writes one HTML page of explained texts.

    Args:
        explanations: in this order.
        path: of the file.

    Raises:
        StriataError: it cannot be written.
    """
    legend = Markup(
        '<p class="words">Words <mark class="for strong">for</mark> the label are underlined, words '
        '<mark class="against strong">against</mark> it dotted; faint words are not read.</p>'
    )
    body = Markup("").join(Markup("<h2>{}</h2>{}").format(heading(one), explanation(one)) for one in explanations)
    page = Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Why these labels</title><style>{}</style></head><body><h1>Why these labels</h1>{}{}</body></html>\n"
    ).format(Markup(_PAGE_STYLE + WORDS_STYLE), legend, body)
    write_text(path, str(page))
