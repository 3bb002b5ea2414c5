"""Which column is the text, which the second text, which the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import DataError, did_you_mean

TEXT = ("text", "sentence", "content", "document", "review")
PAIR_OF = {
    "text_pair": ("text",),
    "sentence2": ("sentence1", "sentence"),
    "question2": ("question1",),
    "sentence": ("question",),
    "hypothesis": ("premise",),
}
_LONGEST_NAME, _MOST_WORDS = 60, 4  # letters and words of a column's name, above which it looks like a text
LABEL = ("label", "labels", "category", "class", "target", "topic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of columns; None is found by its usual name.

    Args:
        text: the text; usual names are text, sentence, content, document, review.
        text_pair: a second text; text_pair, sentence2, question2 or hypothesis beside its partner.
        label: the label; usual names are label, labels, category, class, target, topic.
    """

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """The three names, None where the column is found by its usual name."""
        return {"text": self.text, "text_pair": self.text_pair, "label": self.label}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumns:
    """Names of columns as they stand in a source; None where there is none."""

    text: str
    text_pair: str | None
    label: str | None

    @property
    def names(self) -> list[str]:
        """The columns that have to be read, each once."""
        return list(dict.fromkeys(name for name in (self.text, self.text_pair, self.label) if name is not None))


def find_columns(names: Sequence[str], columns: Columns, source: str, *, label: bool, strict: bool = True) -> SourceColumns:
    """Looks for the columns of a source.

    Args:
        names: all columns of the source.
        columns: names asked for.
        source: for messages.
        label: whether labels are wanted.
        strict: whether the label column must be there; otherwise one that is missing or not clear is None.

    Raises:
        DataError: a column is missing, or more than one has a usual name.
    """
    text = _named(names, columns.text, "text", source) if columns.text else _text_by_name(names, source)
    label_column = _label(names, columns, source, strict=strict) if label else None
    if label_column == text:
        raise DataError(f"{source}: column '{text}' would be both text and label; expected two columns; name another as `text`")
    return SourceColumns(text=text, text_pair=_pair(names, columns, text, source), label=label_column)


def _label(names: Sequence[str], columns: Columns, source: str, *, strict: bool) -> str | None:
    try:
        if columns.label:
            return _named(names, columns.label, "label", source)
        return _only([name for name in names if name.lower() in LABEL], names, "label", LABEL, source)
    except DataError:
        if strict:
            raise
        return None


def _pair(names: Sequence[str], columns: Columns, text: str, source: str) -> str | None:
    if columns.text_pair:
        pair = _named(names, columns.text_pair, "text_pair", source)
        if pair == text:
            raise DataError(
                f"{source}: column '{text}' is asked for as text and as text_pair; expected two columns; "
                "name another as `text_pair`"
            )
        return pair
    pairs = [name for name in names if text.lower() in PAIR_OF.get(name.lower(), ())]
    return _only(pairs, names, "text_pair", tuple(PAIR_OF), source) if pairs else None


def _text_by_name(names: Sequence[str], source: str) -> str:
    lower = {name.lower() for name in names}
    partners = {text for pair, texts in PAIR_OF.items() if pair in lower for text in texts}
    seconds = {pair for pair, texts in PAIR_OF.items() if lower.intersection(texts)}
    usual = partners.union(TEXT) - seconds
    return _only([name for name in names if name.lower() in usual], names, "text", TEXT, source)


def _only(candidates: Sequence[str], names: Sequence[str], role: str, usual: Sequence[str], source: str) -> str:
    flag = role.replace("_", "-")
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        what = f"more than one {role} column ({', '.join(map(repr, candidates))})"
        raise DataError(f"{source}: {what}; say which with `data.{role}: NAME` or `--{flag} NAME`")
    hint = ""
    if len(names) == 1 and (mark := next((mark for mark in (";", "\t", "|") if mark in names[0]), None)):
        hint = f" (the header has {mark!r} in it: a .csv file is separated by commas, a .tsv file by tabs)"
    elif any(len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS or name.strip().isdecimal() for name in names):
        hint = " (the first line looks like a row: the file seems to have no header, which has to be added above it)"
    raise DataError(
        f"{source}: no {role} column among {_listed(names)}{hint}; expected one of {', '.join(usual)}, "
        f"or name it with `data.{role}: NAME` or `--{flag} NAME`"
    )


def _named(names: Sequence[str], choice: str, role: str, source: str) -> str:
    exact = [name for name in names if name == choice]
    same = exact or [name for name in names if name.lower() == choice.lower()]
    if len(same) == 1:
        return same[0]
    option = f"`data.{role}` or `--{role.replace('_', '-')}`"
    if same:
        raise DataError(f"{source}: {len(same)} columns are named '{choice}'; rename all but one, or change {option}")
    raise DataError(f"{source}: no column '{choice}' among {_listed(names)}{did_you_mean(choice, names)}; change {option}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name if len(name) <= 40 else name[:37] + "...") for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "no columns"
