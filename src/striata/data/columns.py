"""Which column is the text, which the second text, which the label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..errors import DataError, did_you_mean
from .dialect import Dialect
from .usual import LABEL, NUMBER, PAIR_OF, ROW_NAMES, TEXT, is_truth, normal

_SHOWN = 12  # names of columns in a sentence
_LONGEST_NAME, _MOST_WORDS = 60, 4  # letters and words of a column's name, above which it looks like a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of columns, None for what is found by its usual name, and what is stated of how a source is read.

    Args:
        text: the text; usual names are text, sentence, content, document, review, then tweet, comment, message, body, ..., then
            title, headline, description, ... Several, in a tuple or with commas between them, are joined with spaces.
        text_pair: a second text; text_pair, sentence2, question2, hypothesis, or sentence beside question.
        label: the label, or, of several labels a text, the columns with 0 or 1 of each; usual names are label, category, class,
            target, topic, then sentiment, intent, stars, is_..., and so on; of two columns the one that is not the text.
        weight: how much a row counts in training, a number above 0; None weighs all alike.
        order: all labels, lowest first; None where numbers, the source or the alphabet say it.
        dialect: how files are written, where that is not to be determined from them.
        drop_empty: whether rows without a text or, in training, a label are left out instead of refused.
        task: what a label is, of :data:`striata.choices.TASKS`.
        separator: between several labels in one text; None for `|`.
    """

    text: str | tuple[str, ...] | None = None
    text_pair: str | None = None
    label: str | tuple[str, ...] | None = None
    weight: str | None = None
    order: tuple[str, ...] | None = None
    dialect: Dialect = field(default_factory=Dialect)
    drop_empty: bool = False
    task: str = "single-label"
    separator: str | None = None

    def __post_init__(self) -> None:
        for name in ("text", "label"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.label, tuple) and self.task != "multilabel":
            raise DataError(
                f"data.label has {len(self.label)} columns, which is for several labels a text; write `task: multilabel`"
            )
        if self.order is not None and len(set(self.order)) < max(2, len(self.order)):
            raise DataError(
                f"order is {', '.join(self.order) or 'empty'}; expected all labels, each once, lowest first", argument="order"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """All that are asked for."""
        texts, labels = (names if isinstance(names, tuple) else (names,) for names in (self.text, self.label))
        return tuple(name for name in (*texts, self.text_pair, *labels, self.weight) if name is not None)

    @property
    def by_name(self) -> Columns:
        """What new rows are read by: how a file is written and how much a row counts are matters of that file."""
        return Columns(text=self.text, text_pair=self.text_pair, label=self.label, task=self.task, separator=self.separator)

    @property
    def unweighted(self) -> Columns:
        """Without weights, for rows that are not trained on."""
        return replace(self, weight=None)

    def to_json(self) -> dict[str, object]:
        """The names, None where the column is found by its usual name, the task where it is no single label, and what else is
        stated."""
        text = list(self.text) if isinstance(self.text, tuple) else self.text
        label = list(self.label) if isinstance(self.label, tuple) else self.label
        task = {} if self.task == "single-label" else {"task": self.task}
        task |= {} if self.separator is None else {"separator": self.separator}
        weight = {} if self.weight is None else {"weight": self.weight}
        return {"text": text, "text_pair": self.text_pair, "label": label} | task | weight | self.reading()

    def reading(self) -> dict[str, object]:
        """What is stated of how a source is read, by the names that a study has for it; nothing for what is not."""
        return self.dialect.to_json() | ({"drop_empty": True} if self.drop_empty else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumns:
    """Names of columns as they stand in a source; None where there is none.

    Args:
        texts: of the text, which is all of them joined where there are several.
        text_pair: of the second text.
        label: of the label.
        weight: of how much a row counts.
        labels: of the labels, where each has a column of 0 and 1; `label` is then the first of them.
        task: what a label is.
        separator: between several labels in one text; None for `|`.
    """

    texts: tuple[str, ...]
    text_pair: str | None
    label: str | None
    weight: str | None = None
    labels: tuple[str, ...] = ()
    task: str = "single-label"
    separator: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns that have to be read, each once."""
        all_names = (*self.texts, self.text_pair, self.label, *self.labels, self.weight)
        return list(dict.fromkeys(name for name in all_names if name is not None))

    def shown(self, names: Iterable[str]) -> str:
        """Which columns of a source are read as what, and which are left, in words.

        Args:
            names: of all columns.
        """
        several = "columns" if len(self.texts) > 1 else "column"
        parts = [f"text from {several} {' and '.join(map(repr, self.texts))}"]
        parts += [f"second text from '{self.text_pair}'"] if self.text_pair is not None else []
        if self.labels:
            parts += [f"labels from {' and '.join(map(repr, self.labels))}"]
        else:
            parts += [f"label from '{self.label}'"] if self.label is not None else []
        parts += [f"weight from '{self.weight}'"] if self.weight is not None else []
        others = [name for name in names if name not in self.names]
        left = (
            f"; left alone: {', '.join(others[:12])}{f' and {len(others) - 12} more' if len(others) > 12 else ''}"
            if others
            else ""
        )
        return ", ".join(parts) + left


def find_columns(names: Sequence[str], columns: Columns, source: str, *, label: bool, strict: bool = True) -> SourceColumns:
    """Looks for the columns of a source.

    Args:
        names: all columns of the source.
        columns: names asked for.
        source: for messages.
        label: whether labels, and weights where a column of them is named, are wanted.
        strict: whether the label column must be there; otherwise one that is missing or not clear is None.

    Raises:
        DataError: a column is missing, or more than one has a usual name.
    """
    weight = _named(names, columns.weight, "weight", source) if columns.weight and label else None
    names = [name for name in names if name != weight]
    texts = _texts(names, columns, source)
    pair = _pair(names, columns, texts, source)
    several = _several(names, columns, source) if label else ()
    label_column = None if not label else several[0] if several else _label(names, columns, texts, pair, source, strict=strict)
    for one in several or (label_column,):
        if one in texts:
            raise DataError(
                f"{source}: column '{one}' would be both text and label; expected two columns; name another as `text`"
            )
    return SourceColumns(
        texts=texts, text_pair=pair, label=label_column, labels=several, task=columns.task, separator=columns.separator,
        weight=weight,
    )  # fmt: skip


def _several(names: Sequence[str], columns: Columns, source: str) -> tuple[str, ...]:
    """The columns of 0 and 1 that are named as labels, in a list or with commas between them; none where one column is."""
    chosen = columns.label
    if isinstance(chosen, str) and columns.task == "multilabel" and "," in chosen and normal(chosen) not in map(normal, names):
        chosen = tuple(part.strip() for part in chosen.split(","))
    if not isinstance(chosen, tuple):
        return ()
    several = tuple(_named(names, name, "label", source) for name in chosen)
    if len(set(several)) < len(several):
        raise DataError(f"{source}: a label column is named twice ({', '.join(several)}); expected different columns")
    return several


def _texts(names: Sequence[str], columns: Columns, source: str) -> tuple[str, ...]:
    if columns.text is None:
        return (_text_by_name(names, columns, source),)
    choice = columns.text
    if isinstance(choice, str):
        split = tuple(part.strip() for part in choice.split(","))
        known = any(normal(name) == normal(choice) for name in names)
        choice = (choice,) if known or len(split) == 1 else split
    chosen = tuple(_named(names, name, "text", source) for name in choice)
    if len(set(chosen)) < len(chosen):
        raise DataError(f"{source}: a text column is named twice ({', '.join(chosen)}); expected different columns")
    return chosen


def _label(
    names: Sequence[str], columns: Columns, texts: tuple[str, ...], pair: str | None, source: str, *, strict: bool
) -> str | None:
    try:
        if isinstance(columns.label, str):
            return _named(names, columns.label, "label", source)
        usual = _usual(names, _label_names(columns)) or [name for name in names if is_truth(normal(name)) and name not in texts]
        rest = [name for name in names if name not in (*texts, pair)]
        if not usual and strict and len(rest) == 1 and normal(rest[0]) not in ROW_NAMES and (len(names) == 2 or columns.text):
            return rest[0]
        return _only(usual, names, "label", LABEL[0], source)
    except DataError:
        if strict:
            raise
        return None


def _label_names(columns: Columns) -> Sequence[Sequence[str]]:
    return NUMBER if columns.task == "regression" else LABEL


def _pair(names: Sequence[str], columns: Columns, texts: tuple[str, ...], source: str) -> str | None:
    if columns.text_pair:
        pair = _named(names, columns.text_pair, "text_pair", source)
        if pair in texts:
            raise DataError(
                f"{source}: column '{pair}' is asked for as text and as text_pair; expected two columns; "
                "name another as `text_pair`"
            )
        return pair
    pairs = [name for name in names if normal(texts[0]) in PAIR_OF.get(normal(name), ())] if len(texts) == 1 else []
    return _only(pairs, names, "text_pair", tuple(PAIR_OF), source) if pairs else None


def _text_by_name(names: Sequence[str], columns: Columns, source: str) -> str:
    present = {normal(name) for name in names}
    partners = {text for pair, texts in PAIR_OF.items() if pair in present for text in texts}
    seconds = {pair for pair, texts in PAIR_OF.items() if present.intersection(texts)}
    first = tuple(partners.union(TEXT[0]) - seconds)
    stated = columns.label if isinstance(columns.label, tuple) else (columns.label,) if columns.label else ()
    labels = [name for name in names if normal(name) in map(normal, stated)] or _usual(names, _label_names(columns))
    candidates = [name for name in _usual(names, (first, *TEXT[1:])) if name not in stated]
    if not candidates and len(names) == 2 and len(labels) == 1:
        candidates = [name for name in names if name not in labels and normal(name) not in ROW_NAMES]
    return _only(candidates, names, "text", TEXT[0], source)


def _usual(names: Sequence[str], usual: Iterable[Sequence[str]]) -> list[str]:
    """The columns with names of the first group that has any."""
    groups = ([name for name in names if normal(name) in group] for group in usual)
    return next((group for group in groups if group), [])


def _only(candidates: Sequence[str], names: Sequence[str], role: str, usual: Sequence[str], source: str) -> str:
    flag = role.replace("_", "-")
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        what = f"more than one {role} column ({', '.join(map(repr, candidates))})"
        join = f", or join them with `data.text: [{', '.join(candidates)}]`" if role == "text" else ""
        raise DataError(f"{source}: {what}; say which with `data.{role}: NAME` or `--{flag} NAME`{join}")
    hint = ""
    if any(len(name) > _LONGEST_NAME or len(name.split()) > _MOST_WORDS or name.strip().isdecimal() for name in names):
        hint = (
            " (the first line looks like a row: the file seems to have no header; name its columns in order with `data.header`, "
            "for instance `header: [label, title, text]`)"
        )
    raise DataError(
        f"{source}: no {role} column among {_listed(names)}{hint}; expected one of {', '.join(usual)}, "
        f"or name it with `data.{role}: NAME` or `--{flag} NAME`"
    )


def _named(names: Sequence[str], choice: str, role: str, source: str) -> str:
    exact = [name for name in names if name == choice]
    same = exact or [name for name in names if name.lower() == choice.lower()]
    same = same or [name for name in names if normal(name) == normal(choice)]
    if len(same) == 1:
        return same[0]
    option = f"`data.{role}` or `--{role.replace('_', '-')}`"
    if same:
        raise DataError(f"{source}: {len(same)} columns are named '{choice}'; rename all but one, or change {option}")
    raise DataError(f"{source}: no column '{choice}' among {_listed(names)}{did_you_mean(choice, names)}; change {option}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name if len(name) <= 40 else name[:37] + "...") for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "no columns"
