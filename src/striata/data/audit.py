"""What the data is, before anything is trained on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..disk.documents import Document, strictly
from ..errors import StudyError
from ..tasks import Task, plain_label
from .splits import Splits, encode_labels
from .table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedTable:
    """One table.

    Args:
        source: where its rows come from.
        rows: how many.
        labels: rows of each label.
        tokens: mean, median, 95th percentile and maximum length in tokens, of the whole texts; in words without an encoder.
        truncated: rows longer than the greatest length, which are cut there.
        empty: rows without a text.
        duplicates: rows whose text an earlier row has.
        conflicting: texts that occur with more than one label.
        reading: which columns were read, and how the source is written, in words.
        dropped: rows without a text or a label that were left out.
        without_rows: labels that the source declares and no row has; they are left out.
        numbers: where labels are numbers, their mean, standard deviation, least, median and largest; empty elsewhere.
    """

    source: str
    rows: int
    labels: dict[str, int]
    tokens: dict[str, float]
    truncated: int
    empty: int
    duplicates: int
    conflicting: int
    reading: str = ""
    dropped: int = 0
    without_rows: tuple[str, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def values(self) -> str:
        """What its labels are, in words."""
        if self.numbers:
            return "numbers " + ", ".join(f"{name} {value:.6g}" for name, value in self.numbers.items())
        counts = ", ".join(f"{label} {count:,}" for label, count in list(self.labels.items())[:10])
        return counts + (f" and {len(self.labels) - 10} more" if len(self.labels) > 10 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All tables of a study, and what they share.

    Args:
        parts: by name.
        shared: for pairs of tables (`train and validation`), rows of the second whose text the first has.
        max_length: most tokens of a text; None without an encoder, when texts are not cut.
        fingerprint: of the data.
        near_labels: labels that differ in nothing but capitals, spaces or the spelling of a number.
    """

    parts: Mapping[str, AuditedTable]
    shared: Mapping[str, int]
    max_length: int | None
    fingerprint: str
    near_labels: tuple[tuple[str, ...], ...] = ()

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "parts": {name: asdict(part) for name, part in self.parts.items()},
            "shared": dict(self.shared),
            "max_length": self.max_length,
            "fingerprint": self.fingerprint,
            "near_labels": [list(labels) for labels in self.near_labels],
        }

    def lines(self) -> list[str]:
        """What a person should read before training."""
        lines, read = [], set[str]()
        for name, part in self.parts.items():
            lines.append(f"{name}: {part.rows:,} rows; {part.values}")
            if part.reading and part.reading not in read:  # parts of one source are read alike, which is said once
                lines.append(f"  {part.reading}")
                read.add(part.reading)
            if part.dropped:
                lines.append(f"  {part.dropped:,} rows without a text or a label left out")
            if part.without_rows:
                lines.append(f"  declared labels that no row has, left out: {', '.join(part.without_rows)}")
            unit = "words" if self.max_length is None else "tokens"
            cut = f"; cut at {self.max_length}: {part.truncated:,} ({part.truncated / part.rows:.1%})" if self.max_length else ""
            lines.append(
                f"  {unit}: mean {part.tokens['mean']:.0f}, median {part.tokens['median']:.0f}, 95 % up to "
                f"{part.tokens['p95']:.0f}, longest {part.tokens['longest']:.0f}{cut}"
            )
            if part.duplicates or part.conflicting:
                what = "number" if part.numbers else "label"
                lines.append(f"  {part.duplicates:,} duplicate texts, {part.conflicting:,} texts with more than one {what}")
        for labels in self.near_labels:
            lines.append(f"labels that are nearly equal: {', '.join(map(repr, labels))}; they count as different labels")
        lines += [f"{pair} share {count:,} texts" for pair, count in self.shared.items() if count]
        return lines


AUDIT = "audit.json"
_DOCUMENT = Document(
    kind="data audit", parse=strictly(Audit), error=StudyError, advice="delete it and run `striata train` again, which writes it"
)


def write_audit(folder: Path, audit: Audit) -> None:
    """Keeps an audit in a study's folder.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    _DOCUMENT.write(folder / AUDIT, audit.to_json())


def read_audit(folder: Path) -> Audit | None:
    """The audit in a study's folder; None where there is none.

    Raises:
        StudyError: it cannot be read.
    """
    return _DOCUMENT.read(folder / AUDIT) if (folder / AUDIT).exists() else None


def audit_data(splits: Splits, lengths: Mapping[str, npt.NDArray[np.int64]], max_length: int | None) -> Audit:
    """Counts what is worth knowing about a study's data.

    Args:
        splits: the tables.
        lengths: tokens of each whole text, or words without an encoder, (rows,), by the same names.
        max_length: most tokens of a text; longer ones are cut there; None for no limit.
    """
    tables = splits.tables()
    seen = {name: set(_keys(table)) for name, table in tables.items()}
    shared = {
        f"{first} and {second}": sum(key in seen[first] for key in _keys(tables[second]))
        for first, second in combinations(tables, 2)
    }
    parts = {name: _part(table, lengths[name], splits.labels, splits.task, max_length) for name, table in tables.items()}
    return Audit(
        parts=parts,
        shared=shared,
        max_length=max_length,
        fingerprint=splits.fingerprint,
        near_labels=nearly_equal(splits.labels),
    )


def nearly_equal(labels: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of labels that differ in nothing but capitals, spaces or the spelling of a number."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups[" ".join(plain_label(label.strip()).casefold().split())].append(label)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _keys(table: Table) -> list[tuple[str, str]]:
    return list(zip(table.texts, table.pairs or [""] * len(table), strict=True))


def _part(
    table: Table, lengths: npt.NDArray[np.int64], labels: tuple[str, ...], task: Task, max_length: int | None
) -> AuditedTable:
    targets = encode_labels(table, labels, task)
    counts = Counter(label for value in task.spell(targets, labels) for label in task.parts(value))
    by_text: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key, label in zip(_keys(table), table.labels or (), strict=True):
        by_text[key].add(label)
    return AuditedTable(
        source=table.source,
        rows=len(table),
        labels={} if task.numeric else {label: counts[label] for label in labels},
        tokens={
            "mean": round(float(lengths.mean()), 2),
            "median": float(np.median(lengths)),
            "p95": float(np.percentile(lengths, 95)),
            "longest": float(lengths.max()),
        },
        truncated=0 if max_length is None else int((lengths > max_length).sum()),
        empty=sum(not text.strip() for text in table.texts),
        duplicates=len(table) - len(by_text),
        conflicting=sum(len(names) > 1 for names in by_text.values()),
        reading=table.reading,
        dropped=table.dropped,
        without_rows=() if task.numeric else tuple(label for label in table.label_names or () if not counts[label]),
        numbers=_spread(targets) if task.numeric else {},
    )


def _spread(numbers: npt.NDArray[np.float64]) -> dict[str, float]:
    return {
        "mean": float(numbers.mean()),
        "sd": float(numbers.std()),
        "least": float(numbers.min()),
        "median": float(np.median(numbers)),
        "largest": float(numbers.max()),
    }
