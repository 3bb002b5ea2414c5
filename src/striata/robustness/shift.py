"""Whether unlabelled rows come from the distribution that a model is known to be good on, and how good it may be on them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data import Table, encode_labels
from ..data.copies import find_copies
from ..disk.files import apart, write_text
from ..errors import DataError
from ..figures.intervals import LEVEL, Interval, share
from ..runs.joined import join
from ..tasks import check_one_label
from .accuracy_estimate import ASSUMPTIONS, by_mean_confidence, certainty, check_estimate, confidence, estimate_accuracy
from .checks import FORMAT, model_json, model_name, sample_rows, study_of
from .documents import SHIFT, keep
from .twosample import LEAST, TwoSample, two_sample
from .wording import Wording, compare_wording

if TYPE_CHECKING:
    from ..model.model import Model

SHOWN = 20  # rows in the document
_EXCERPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedRow:
    """An unlabelled row that is a copy.

    Args:
        row: its number in the file.
        of: "known" or "train".
        other: the number of the row it is a copy of.
        similarity: share of word triples in common.
        exact: whether the two are equal but for case and white space.
    """

    row: int
    of: str
    other: int
    similarity: float
    exact: bool

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "row": self.row, "of": self.of, "other": self.other, "similarity": self.similarity, "exact": self.exact,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The unlabelled rows, or those of them that are copies, or the rest.

    Args:
        name: "whole", "copies" or "rest".
        rows: in the file.
        sampled: of which this many were looked at.
        test: against the known rows; None for copies, which are known rows, and for fewer than 30 sampled rows.
        accuracy: estimated by average thresholded confidence; None without a sampled row.
        second: accuracy estimated by the difference of mean confidences; None likewise.
    """

    name: str
    rows: int
    sampled: int
    test: TwoSample | None
    accuracy: Interval | None
    second: float | None

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "name": self.name,
            "rows": self.rows,
            "sampled": self.sampled,
            "test": None if self.test is None else self.test.to_json(),
            "accuracy": None if self.accuracy is None else self.accuracy.to_json(),
            "second_accuracy": self.second,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentRow:
    """A sampled unlabelled row by how little it looks like a known one.

    Args:
        row: its number in the file.
        score: about 0 for a known row and 1 for an unlabelled one.
        text: its beginning.
    """

    row: int
    score: float
    text: str

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {"row": self.row, "score": self.score, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What is known of unlabelled rows.

    Args:
        model: name, folder and identity.
        sources: file by role: known, unlabelled, and train or None.
        rows: of the known file, in all and sampled.
        seed: of samples, folds, permutations and bootstrap.
        parts: whole, copies, rest.
        copies: rows that are copies of known or training rows.
        wording: lengths and words.
        fitted_on: what the accuracy threshold was fitted on: the "known" rows, or "validation" rows where those have no labels.
        known_accuracy: measured on the sampled known rows; None without labels.
        known_estimate: what the estimate says of them, cross-fitted; None without labels.
        different: all sampled rows, most different first.
    """

    model: dict[str, object]
    sources: dict[str, str | None]
    rows: tuple[int, int]
    seed: int
    parts: tuple[Part, ...]
    copies: tuple[CopiedRow, ...]
    wording: Wording
    fitted_on: str
    known_accuracy: Interval | None
    known_estimate: float | None
    different: tuple[DifferentRow, ...]

    def part(self, name: str) -> Part:
        """The part "whole", "copies" or "rest"."""
        return next(part for part in self.parts if part.name == name)

    def to_json(self) -> dict[str, object]:
        """The document that `shift-NAME.json` holds.

        Keys: `format_version` 1, `kind` "shift", `model` (`name`, `folder`, `identity`), `sources` (`known`, `unlabelled`,
        `train` or null), `known_rows`, `known_sampled`, `seed`, `level` of the intervals, `parts` (a list of `name` "whole",
        "copies" or "rest", `rows`, `sampled`, `test` (null, or `rows`, `auc`, `p_value`, `permutations`, `foreign_at_least`),
        `accuracy` (null, or `value`, `low`, `high`), `second_accuracy` (null, or a number)),
        `copies` (`rows`, `share`, `exact`, `near`, `of_known`, `of_train`,
        and `first`, a list of `row`, `of`, `other`, `similarity`, `exact`), `wording` (the fields of
        :class:`striata.robustness.wording.Wording`), `accuracy` (`fitted_on`, `known_accuracy`, `known_estimate`,
        `assumptions`), `different` (a list of `row`, `score`, `text`). Lists of rows hold the first 20.
        """
        whole = self.part("whole")
        count = len(self.copies)
        return {
            "format_version": FORMAT,
            "kind": "shift",
            "model": self.model,
            "sources": self.sources,
            "known_rows": self.rows[0],
            "known_sampled": self.rows[1],
            "seed": self.seed,
            "level": LEVEL,
            "parts": [part.to_json() for part in self.parts],
            "copies": {
                "rows": count,
                "share": count / whole.rows,
                "exact": sum(copy.exact for copy in self.copies),
                "near": sum(not copy.exact for copy in self.copies),
                "of_known": sum(copy.of == "known" for copy in self.copies),
                "of_train": sum(copy.of == "train" for copy in self.copies),
                "first": [copy.to_json() for copy in self.copies[:SHOWN]],
            },
            "wording": self.wording.to_json(),
            "accuracy": {
                "fitted_on": self.fitted_on,
                "known_accuracy": None if self.known_accuracy is None else self.known_accuracy.to_json(),
                "known_estimate": self.known_estimate,
                "assumptions": ASSUMPTIONS,
            },
            "different": [row.to_json() for row in self.different[:SHOWN]],
        }


def measure_shift(
    model: Model,
    known: Table,
    unlabelled: Table,
    *,
    train: Table | None = None,
    rows: int = 2000,
    permutations: int = 999,
    seed: int = 0,
    out: Path | None = None,
) -> Shift:
    """Compares unlabelled rows with known ones.

    Copies are looked for among all rows, everything else on random samples. The result is also written to
    `checks/shift-NAME.json` in the folder of the model's study, where it has one.

    Args:
        model: a run or an ensemble.
        known: rows of the distribution the model is meant for, best ones it was not trained on; with or without labels.
        unlabelled: the rows in question.
        train: more rows that the unlabelled ones may be copies of.
        rows: the most to sample of either.
        permutations: of the two-sample test.
        seed: of all that is random.
        out: also write the rows to this CSV file, and first, so that an earlier result stays where that fails.

    Raises:
        DataError: there are too few rows, a text is empty, a label is not one of the model's, or a number is out of range.
        StriataError: the result cannot be written.
    """
    check_one_label(model.task, "a measure of shift", DataError)
    _check(known, unlabelled, rows, permutations)
    if out is not None:
        apart(out, *(table.source for table in (known, unlabelled, train) if table is not None))
    copies = _copies(known, unlabelled, train)
    old, new = known.take(sample_rows(known, rows, seed)), unlabelled.take(sample_rows(unlabelled, rows, seed + 1))
    copied = np.isin(new.ids, [copy.row for copy in copies])
    judged, right, fitted_on = _fitted(model, old)
    masks = {
        "whole": (len(unlabelled), np.ones(len(new), bool)),
        "copies": (len(copies), copied),
        "rest": (len(unlabelled) - len(copies), ~copied),
    }
    parts = _parts(model, old, new, masks, (judged, right), permutations, seed)
    assert parts[0].test is not None
    lengths = model.lengths(old.texts, old.pairs), model.lengths(new.texts, new.pairs)
    on_known = fitted_on == "known"
    shift = Shift(
        model=model_json(model),
        sources={"known": known.source, "unlabelled": unlabelled.source, "train": None if train is None else train.source},
        rows=(len(known), len(old)),
        seed=seed,
        parts=parts,
        copies=copies,
        wording=compare_wording(old.whole_texts, new.whole_texts, lengths, seed=seed),
        fitted_on=fitted_on,
        known_accuracy=share(int(right.sum()), len(right)) if on_known else None,
        known_estimate=check_estimate(certainty(judged), right, seed=seed) if on_known else None,
        different=_different(new, parts[0].test.scores[len(old) :]),
    )
    if out is not None:
        write_shift_rows(shift, out)
    keep(study_of(model.folder), f"shift-{model_name(model)}", SHIFT, shift.to_json())
    return shift


def _check(known: Table, unlabelled: Table, rows: int, permutations: int) -> None:
    if rows < LEAST:
        raise DataError(f"{rows}: expected at least {LEAST}, or nothing can be tested", argument="rows")
    if permutations < 19:
        raise DataError(f"{permutations}: expected at least 19, or no p-value can reach 0.05", argument="permutations")
    for table in (known, unlabelled):
        if len(table) < LEAST:
            raise DataError(f"{table.source} has {len(table)} rows; expected at least {LEAST}, or nothing can be tested")
        for row, text in zip(table.ids, table.texts, strict=True):
            if not text.strip():
                raise DataError(f"{table.source}: row {row} (counted from 0) has no text; fill or delete it", row=int(row))
    if (known.pairs is None) != (unlabelled.pairs is None):
        raise DataError(f"of {known.source} and {unlabelled.source} one has second texts; name their column (`text_pair`)")


def _copies(known: Table, unlabelled: Table, train: Table | None) -> tuple[CopiedRow, ...]:
    """Copies of known rows, and of training rows where no known row is as alike."""
    best: dict[int, CopiedRow] = {}
    texts = unlabelled.whole_texts
    for of, table in (("known", known), ("train", train)):
        if table is None:
            continue
        for copy in find_copies(texts, table.whole_texts):
            row = int(unlabelled.ids[copy.row])
            before = best.get(row)
            if before is None or (copy.exact, copy.similarity) > (before.exact, before.similarity):
                other = int(table.ids[copy.other])
                best[row] = CopiedRow(row=row, of=of, other=other, similarity=copy.similarity, exact=copy.exact)
    return tuple(best[row] for row in sorted(best))


def _fitted(model: Model, known: Table) -> tuple[np.ndarray, np.ndarray, str]:
    """Logits of labelled rows and whether the model is right there: the known rows, else its runs' validation rows."""
    if known.labels is not None:
        logits = model.logits(known.texts, known.pairs)
        return logits, model.right(logits, encode_labels(known, model.labels, model.task)), "known"
    pool = join(model.runs, across=True)
    combined = model.combiner.apply(pool.by_name())
    return combined, model.right(combined, pool.targets), "validation"


def _parts(
    model: Model,
    known: Table,
    unlabelled: Table,
    masks: Mapping[str, tuple[int, np.ndarray]],
    labelled: tuple[np.ndarray, np.ndarray],
    permutations: int,
    seed: int,
) -> tuple[Part, ...]:
    """Each part tested against the known rows, with its accuracy estimated.

    Args:
        model: whose texts they are.
        known: sampled rows.
        unlabelled: sampled rows.
        masks: for each part the number of its rows in the file, and which of the sampled rows are in it.
        labelled: from :func:`_fitted`.
        permutations: of the two-sample test.
        seed: of all that is random.
    """
    logits, right = labelled
    before, after = model.embed(known.texts, known.pairs), model.embed(unlabelled.texts, unlabelled.pairs)
    outputs = model.logits(unlabelled.texts, unlabelled.pairs)
    parts = []
    for name, (rows, inside) in masks.items():
        test = accuracy = second = None
        if name != "copies" and inside.sum() >= LEAST:
            test = two_sample(before, after[inside], permutations=permutations, seed=seed)
        if inside.any():
            accuracy = estimate_accuracy(certainty(logits), right, certainty(outputs[inside]), seed=seed)
            second = by_mean_confidence(confidence(logits), right, confidence(outputs[inside]))
        parts.append(Part(name=name, rows=rows, sampled=int(inside.sum()), test=test, accuracy=accuracy, second=second))
    return tuple(parts)


def _different(table: Table, scores: np.ndarray) -> tuple[DifferentRow, ...]:
    order = np.argsort(-scores, kind="stable").tolist()
    return tuple(
        DifferentRow(row=int(table.ids[at]), score=float(scores[at]), text=" ".join(table.texts[at].split())[:_EXCERPT])
        for at in order
    )


def write_shift_rows(shift: Shift, path: Path) -> None:
    """Writes a CSV of unlabelled rows, copies and sampled ones: row, copy (exact, near or empty), of, other, similarity, score.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    copies = {copy.row: copy for copy in shift.copies}
    scores = {row.row: row.score for row in shift.different}
    lines: list[Sequence[object]] = [("row", "copy", "of", "other", "similarity", "score")]
    for row in sorted(copies.keys() | scores.keys()):
        copy, score = copies.get(row), f"{scores[row]:.4f}" if row in scores else ""
        if copy is None:
            lines.append((row, "", "", "", "", score))
        else:
            lines.append((row, "exact" if copy.exact else "near", copy.of, copy.other, f"{copy.similarity:.4f}", score))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    write_text(path, text.getvalue())
