"""Runs side by side on their validation rows, joined by row number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..errors import EnsembleError
from ..runs.run import Run

RANKINGS = ("accuracy", "macro_f1", "loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Runs to choose from and what they said of the validation rows.

    Args:
        names: of the runs.
        trainable: parameters of each.
        labels: names, in the order of the logits.
        ids: row numbers, ascending, (rows,).
        targets: places of the true labels, (rows,).
        logits: (runs, rows, labels) float32.
    """

    names: tuple[str, ...]
    trainable: tuple[int, ...]
    labels: tuple[str, ...]
    ids: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Pool:
        """The same runs on some of the rows."""
        return replace(self, ids=self.ids[chosen], targets=self.targets[chosen], logits=self.logits[:, chosen])

    def members(self, names: Sequence[str]) -> Pool:
        """Some of the runs, in the order given."""
        at = [self.names.index(name) for name in names]
        return replace(self, names=tuple(names), trainable=tuple(self.trainable[i] for i in at), logits=self.logits[at])


def check_same(runs: Sequence[Run]) -> None:
    """Checks that runs can be combined.

    Raises:
        EnsembleError: they differ in labels, encoder, texts or validation rows.
    """
    first = runs[0]
    for run in runs[1:]:
        for key in ("labels", "base_sha256", "head", "max_length", "data_fingerprint"):
            if run.facts[key] != first.facts[key]:
                raise EnsembleError(
                    f"runs {first.name} and {run.name} differ in {key} ({first.facts[key]!r}, {run.facts[key]!r}); expected "
                    "runs of one encoder over the same data"
                )


def join(runs: Sequence[Run]) -> Pool:
    """Puts runs side by side.

    Raises:
        EnsembleError: there are none, they do not belong together, or their validation rows, true labels or logits are wrong.
    """
    if not runs:
        raise EnsembleError("there is no finished run to choose from; run `striata train` first")
    check_same(runs)
    ids, targets, logits = _sorted(runs[0])
    found = [logits]
    for run in runs[1:]:
        other_ids, other_targets, other_logits = _sorted(run)
        strangers = np.setxor1d(ids, other_ids)
        if len(strangers):
            raise EnsembleError(
                f"runs {runs[0].name} and {run.name} were validated on different rows: row {strangers[0]} is in one of them only "
                f"({len(strangers):,} such rows); expected runs over the same validation rows"
            )
        unequal = other_targets != targets
        if unequal.any():
            raise EnsembleError(
                f"runs {runs[0].name} and {run.name} have different true labels for validation row {ids[unequal.argmax()]} "
                f"({int(unequal.sum()):,} such rows); expected runs over the same data"
            )
        found.append(other_logits)
    return Pool(
        names=tuple(run.name for run in runs),
        trainable=tuple(run.plan.trainable for run in runs),
        labels=runs[0].labels,
        ids=ids,
        targets=targets,
        logits=np.stack(found),
    )


def _sorted(run: Run) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    seen = run.validation()
    if len(np.unique(seen.ids)) < len(seen.ids) or not len(seen.ids):
        what = "has a validation row twice" if len(seen.ids) else "has no validation rows"
        raise EnsembleError(f"run {run.name} {what}; train it again, or take it out of {run.path.parent}")
    wrong = ~np.isfinite(seen.logits).all(1)
    if wrong.any():
        raise EnsembleError(
            f"run {run.name} has logits that are not finite, the first for validation row {seen.ids[wrong.argmax()]}; train it "
            f"again with a lower learning rate, or take it out of {run.path.parent}"
        )
    if seen.logits.shape[1] != len(run.labels):
        raise EnsembleError(f"run {run.name} has {len(run.labels)} labels, but {seen.logits.shape[1]} logits a row")
    order = np.argsort(seen.ids, kind="stable")
    return seen.ids[order], seen.labels[order], seen.logits[order]


def score(outputs: npt.NDArray[np.floating], targets: npt.NDArray[np.int64], by: str) -> float:
    """A figure that is larger for better outputs: accuracy, macro F1, or minus the log loss.

    Args:
        outputs: logits or log-probabilities, (rows, labels).
        targets: places of the true labels, (rows,).
        by: of :data:`RANKINGS`.
    """
    if by == "loss":
        shifted = outputs.astype(np.float64) - outputs.max(1, keepdims=True)
        return float((shifted[np.arange(len(targets)), targets] - np.log(np.exp(shifted).sum(1))).mean())
    predicted = outputs.argmax(1)
    right = predicted == targets
    if by == "accuracy":
        return float(right.mean())
    labels = outputs.shape[1]
    both = np.bincount(predicted, minlength=labels) + np.bincount(targets, minlength=labels)
    hits = np.bincount(targets[right], minlength=labels)
    return float((2 * hits / np.maximum(both, 1)).mean())
