"""The shares of the labels, or the mean of the numbers, whatever the text."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..figures.folds import deal_folds
from .rows import Ints, Logits, Rows, Targets, Weights, are_numbers, part_of
from .selection import cross_fit
from .store import Facts, read_baseline, refuse, write_baseline


class MajorityFacts(Facts):
    """What `baseline.json` says of it."""

    kind: Literal["majority"]


@dataclass(frozen=True, kw_only=True)
class Majority:
    """Every text gets the training rows' shares of the labels, with one row of each label added (Laplace), or the mean of their
    numbers.

    Args:
        priors: logarithms of the shares, (labels,) float32, or the mean, (1,).
        rows: how many it was fitted on.
        seconds: wall time of the fit.
        notes: none.
    """

    kind: ClassVar[str] = "majority"
    embedded: ClassVar[bool] = False

    priors: Logits
    rows: int
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> int:
        """How many labels."""
        return len(self.priors)

    @property
    def trainable(self) -> int:
        """How many numbers were fitted: a share for each label."""
        return len(self.priors)

    @classmethod
    def fit(cls, rows: Rows, targets: Targets, labels: int, *, seed: int = 0) -> Majority:
        """See :meth:`striata.baselines.rows.Baseline.fit`."""
        start = time.perf_counter()
        return cls(priors=constant(targets, labels, rows.weights), rows=len(rows), seconds=time.perf_counter() - start)

    def logits(self, rows: Rows) -> Logits:
        """See :meth:`striata.baselines.rows.Baseline.logits`."""
        return np.tile(self.priors, (len(rows), 1))

    def out_of_fold(self, rows: Rows, targets: Targets, *, seed: int = 0) -> Logits:
        """See :meth:`striata.baselines.rows.Baseline.out_of_fold`."""

        def score(inside: Ints, held: Ints) -> Logits:
            return np.tile(constant(targets[inside], self.labels, part_of(rows.weights, inside)), (len(held), 1))

        return cross_fit(score, deal_folds(targets, 5, seed, rows.groups), self.labels)

    def receipt(self) -> dict[str, Any]:
        """See :meth:`striata.baselines.rows.Baseline.receipt`."""
        return self._facts().receipt()

    def _facts(self) -> MajorityFacts:
        return MajorityFacts(kind="majority", labels=self.labels, rows=self.rows, trainable=self.trainable, seconds=self.seconds)

    def write(self, folder: Path) -> None:
        """See :meth:`striata.baselines.rows.Baseline.write`."""
        write_baseline(folder, self._facts(), {"priors": self.priors})

    @classmethod
    def read(cls, folder: Path) -> Majority:
        """See :meth:`striata.baselines.rows.Baseline.read`."""
        facts, tensors = read_baseline(folder, MajorityFacts)
        try:
            return cls(priors=tensors["priors"], rows=facts.rows, seconds=facts.seconds)
        except KeyError as error:
            refuse(folder, error)


def constant(targets: Targets, labels: int, weights: Weights | None = None) -> Logits:
    """The scores that every text gets where nothing is known of it, (labels,) float32: the mean of numbers, which has the
    smallest squared error, else :func:`log_shares`."""
    if are_numbers(targets):
        return np.array([np.average(targets, weights=weights)], np.float32)
    return log_shares(targets, labels, weights)


def log_shares(targets: Ints, labels: int, weights: Weights | None = None) -> Logits:
    """Logarithms of the labels' shares, with one row of each label added, (labels,) float32; where rows have several labels the
    log-odds of each, with one row that has it and one that has not. Weights are those of the rows."""
    if targets.ndim == 2:
        factors = np.ones(len(targets)) if weights is None else weights
        having = factors @ targets
        odds: Logits = np.log((having + 1) / (factors.sum() - having + 1)).astype(np.float32)
        return odds
    counts = np.bincount(targets, weights, minlength=labels) + 1.0
    shares: Logits = np.log(counts / counts.sum()).astype(np.float32)
    return shares
