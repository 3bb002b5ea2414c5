"""A model under worse and worse texts, and where it is weak to begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..data import Table, encode_labels
from ..disk.files import apart, write_json
from ..errors import DataError
from ..figures.intervals import LEVEL, Interval, paired_difference, share
from ..figures.pvalues import holm
from ..tasks import SINGLE_LABEL, Task, check_labels
from .checks import FORMAT, model_json, model_name, sample_rows, study_of
from .documents import STRESS, keep
from .perturbations import PERTURBATIONS, STRENGTHS, perturbed

if TYPE_CHECKING:
    from ..model.model import Model

LEAST = 30  # rows of a slice
_LENGTHS = 5  # slices by length
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stressed:
    """A model under one perturbation at one strength. A row is right where the model answers all of its labels and no other.

    Args:
        perturbation: name.
        strength: 1, 2 or 3.
        amount: what the strength means, in words.
        changed: share of the rows whose tokens are others; 0 for case where the encoder knows none.
        accuracy: with Wilson's interval.
        difference: to the accuracy on the texts as they are, paired.
        broken: rows right before and wrong now.
        mended: rows wrong before and right now.
    """

    perturbation: str
    strength: int
    amount: str
    changed: float
    accuracy: Interval
    difference: Interval
    broken: int
    mended: int

    def to_json(self) -> dict[str, object]:
        """All fields; intervals as value, low and high."""
        plain = {key: getattr(self, key) for key in ("perturbation", "strength", "amount", "changed", "broken", "mended")}
        return {**plain, "accuracy": self.accuracy.to_json(), "difference": self.difference.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some of the rows, as they are.

    Args:
        by: "label" or "length".
        name: the label, or the range of words.
        rows: how many.
        accuracy: with a Wilson interval at a level that makes all slices' intervals hold together (Bonferroni), so that the
            worst one's does too.
        p_value: of the slice being as accurate as the rest (Fisher's exact test), corrected for the number of slices (Holm).
    """

    by: str
    name: str
    rows: int
    accuracy: Interval
    p_value: float

    def to_json(self) -> dict[str, object]:
        """All fields; the interval as value, low and high."""
        return {
            "by": self.by, "name": self.name, "rows": self.rows, "accuracy": self.accuracy.to_json(), "p_value": self.p_value,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Stress:
    """What stress did to a model.

    Args:
        model: name, folder and identity.
        source: of the rows.
        rows: measured.
        rows_in_source: of which they are a random sample.
        seed: of sample and perturbations.
        clean: accuracy on the texts as they are.
        stressed: by perturbation and strength.
        slices: worst first; only those with at least 30 rows.
        small: slices that were left out for having fewer.
    """

    model: dict[str, object]
    source: str
    rows: int
    rows_in_source: int
    seed: int
    clean: Interval
    stressed: tuple[Stressed, ...]
    slices: tuple[Slice, ...]
    small: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The document that `stress-NAME.json` holds.

        Keys: `format_version` 1, `kind` "stress", `model` (`name`, `folder`, `identity`), `source`, `rows`, `rows_in_source`,
        `seed`, `level` of the intervals, `clean` (`value`, `low`, `high`), `stressed` (a list of `perturbation`, `strength`
        1 to 3, `amount` in words, `changed`, `broken`, `mended`, and `accuracy` and `difference`, each with `value`, `low`,
        `high`), `slices` (worst first: `by` "label" or "length", `name`, `rows`, `accuracy` with bounds that hold for all
        slices together, `p_value` corrected for their number), `small_slices` (names of those left out).
        """
        return {
            "format_version": FORMAT,
            "kind": "stress",
            "model": self.model,
            "source": self.source,
            "rows": self.rows,
            "rows_in_source": self.rows_in_source,
            "seed": self.seed,
            "level": LEVEL,
            "clean": self.clean.to_json(),
            "stressed": [result.to_json() for result in self.stressed],
            "slices": [result.to_json() for result in self.slices],
            "small_slices": list(self.small),
        }


def run_stress(
    model: Model,
    table: Table,
    *,
    rows: int = 1000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    out: Path | None = None,
) -> Stress:
    """Measures a model under every perturbation at every strength, and its slices.

    The result is also written to `checks/stress-NAME.json` in the folder of the model's study, where it has one.

    Args:
        model: a run or an ensemble.
        table: labelled rows.
        rows: the most to use; a random sample when there are more.
        seed: of sample and perturbations.
        progress: told how many texts were predicted.
        out: also write the document to this file, and first, so that an earlier result stays where that fails.

    Raises:
        DataError: `rows` is below 1, or a label is not one of the model's.
        StriataError: the result cannot be written.
    """
    check_labels(model.task, "a stress test", DataError)
    if rows < 1:
        raise DataError(f"{rows}: expected at least 1", argument="rows")
    if out is not None:
        apart(out, table.source)
    chosen = table.take(sample_rows(table, rows, seed))
    model.warn_of_known(chosen)
    targets = encode_labels(chosen, model.labels, model.task)
    right = model.right(model.logits(chosen.texts, chosen.pairs), targets)
    done = len(chosen)
    stressed = []
    for name in PERTURBATIONS:
        for strength in STRENGTHS:
            changed, now = _under(model, chosen, targets, right, (name, strength, seed))
            stressed.append(_stressed(name, strength, changed, right, now))
            done += changed
            if progress is not None:
                progress(done)
    slices, small = find_slices(chosen, right, model.task)
    stress = Stress(
        model=model_json(model),
        source=table.source,
        rows=len(chosen),
        rows_in_source=len(table),
        seed=seed,
        clean=share(int(right.sum()), len(right)),
        stressed=tuple(stressed),
        slices=slices,
        small=small,
    )
    if out is not None:
        write_json(out, stress.to_json())
    keep(study_of(model.folder), f"stress-{model_name(model)}", STRESS, stress.to_json())
    return stress


def _under(
    model: Model, table: Table, targets: npt.NDArray[np.int64], right: Bools, how: tuple[str, int, int]
) -> tuple[int, Bools]:
    """How many rows a perturbation gives other tokens, and which of all rows the model gets right then."""
    name, strength, seed = how
    texts, pairs = perturbed(table, name, strength, seed=seed)
    rows = np.flatnonzero(model.differ((table.texts, table.pairs), (texts, pairs)))
    now = right.copy()
    if len(rows):
        logits = model.logits([texts[i] for i in rows], None if pairs is None else [pairs[i] for i in rows])
        now[rows] = model.right(logits, targets[rows])
    return len(rows), now


def _stressed(name: str, strength: int, changed: int, before: Bools, now: Bools) -> Stressed:
    broken, mended = int((before & ~now).sum()), int((~before & now).sum())
    kind = PERTURBATIONS[name]
    return Stressed(
        perturbation=name,
        strength=strength,
        amount=f"{kind.amounts[strength - 1]:.0%} {kind.what}",
        changed=changed / len(before),
        accuracy=share(int(now.sum()), len(now)),
        difference=paired_difference(broken, mended, len(now)),
        broken=broken,
        mended=mended,
    )


def find_slices(table: Table, right: Bools, task: Task = SINGLE_LABEL) -> tuple[tuple[Slice, ...], tuple[str, ...]]:
    """The slices of labelled rows by label and by length, worst first, and the names of those with too few rows.

    Args:
        table: labelled rows.
        right: whether a model is, (rows,).
        task: of the labels; where a row has several, it is in the slice of each.
    """
    from scipy.stats import fisher_exact

    own = [task.parts(value) for value in table.labels or ()]
    names = sorted({label for labels in own for label in labels})
    masks = [("label", name, np.array([name in labels for labels in own])) for name in names]
    lengths = np.array([len(text.split()) for text in table.texts])
    edges = np.unique(np.quantile(lengths, np.arange(1, _LENGTHS) / _LENGTHS))
    part = np.searchsorted(edges, lengths, "left")
    for at in np.unique(part):
        inside = lengths[part == at]
        masks.append(("length", f"{inside.min()} to {inside.max()} words", part == at))
    small = tuple(name for _, name, mask in masks if mask.sum() < LEAST)
    large = [(by, name, mask) for by, name, mask in masks if LEAST <= mask.sum() < len(right)]
    level = 1 - (1 - LEVEL) / max(1, len(large))
    p_values = []
    for _, _, mask in large:
        ins, outs = right[mask], right[~mask]
        counts = np.array([[ins.sum(), (~ins).sum()], [outs.sum(), (~outs).sum()]])
        p_values.append(float(fisher_exact(counts)[1]))
    slices = [
        Slice(by=by, name=name, rows=len(ins), accuracy=share(int(ins.sum()), len(ins), level=level), p_value=p)
        for (by, name, ins), p in zip([(by, name, right[mask]) for by, name, mask in large], holm(p_values), strict=True)
    ]
    return tuple(sorted(slices, key=lambda part: (part.accuracy.value, part.name))), small
