"""Runs side by side on the validation rows they share: the only place where outputs of several runs meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RunError
from ..tasks import Task
from .run import Run, Validation

Places = npt.NDArray[np.int64]
Targets = npt.NDArray[Any]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Runs and their logits for the same validation rows, in one order of rows and of labels.

    Args:
        names: of the runs.
        trainable: parameters of each.
        encoders: what stands for the frozen encoder that each reads texts with; None for those that need none.
        task: what a label is.
        labels: names, in the order of the logits; that of the first run.
        ids: row numbers, ascending, (rows,).
        texts: what stands for the rows' texts, (rows,) uint64.
        targets: places of the true labels, (rows,), or as the task has them.
        logits: (runs, rows, labels) float32.
    """

    names: tuple[str, ...]
    trainable: tuple[int, ...]
    encoders: tuple[str | None, ...]
    task: Task
    labels: tuple[str, ...]
    ids: Places
    texts: npt.NDArray[np.uint64]
    targets: Targets
    logits: Logits

    def rows(self, chosen: npt.NDArray[np.bool_] | Places) -> Pool:
        """The same runs on some of the rows, given as a mask (rows,) or as places."""
        return replace(
            self, ids=self.ids[chosen], texts=self.texts[chosen], targets=self.targets[chosen], logits=self.logits[:, chosen]
        )

    def numbered(self, ids: Places) -> Pool:
        """The same runs on the rows of these numbers, in this order.

        Raises:
            RunError: a number is not among the validation rows.
        """
        strangers = np.setdiff1d(ids, self.ids)
        if len(strangers):
            raise RunError(
                f"run {self.names[0]} was not validated on row {strangers[0]} ({len(strangers):,} such rows); expected the "
                "validation rows it was trained with; restore the data"
            )
        return self.rows(np.searchsorted(self.ids, ids))

    def members(self, names: Sequence[str]) -> Pool:
        """Some of the runs, in the order of `names`."""
        places = [self.names.index(name) for name in names]
        return replace(
            self,
            names=tuple(names),
            trainable=tuple(self.trainable[at] for at in places),
            encoders=tuple(self.encoders[at] for at in places),
            logits=self.logits[places],
        )

    def by_name(self) -> dict[str, Logits]:
        """Logits of each run, (rows, labels), by its name."""
        return dict(zip(self.names, self.logits, strict=True))

    def predicted(self, names: Sequence[str]) -> Places:
        """Places of the labels that runs predict, (runs, rows), in the order of `names`."""
        places: Places = self.task.decide(self.members(names).logits)
        return places

    def right(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Where runs predict the true label, (runs, rows), in the order of `names`."""
        logits = self.members(names).logits
        right: npt.NDArray[np.bool_] = np.stack([self.task.right(one, self.targets) for one in logits])
        return right


def in_order(logits: npt.NDArray[Any], own: Sequence[str], labels: Sequence[str]) -> npt.NDArray[Any]:
    """Logits or targets (rows, labels) with the labels `own` in the order of `labels`, which are the same ones."""
    if tuple(own) == tuple(labels):
        return logits
    ordered: npt.NDArray[Any] = logits[:, [own.index(name) for name in labels]]
    return ordered


def join(runs: Mapping[str, Run], *, across: bool = False) -> Pool:
    """Puts runs side by side: rows joined by their number or their text, labels by their name, never by place.

    Args:
        runs: by the names they are to have in the pool.
        across: whether runs over different data are joined all the same, by their texts: on the rows whose text all of them were
            validated on, and each of them once. Row numbers are then those of the first run's data.

    Raises:
        RunError: there are none; one has no rows, a row twice, or logits that are not finite or not one per label; or two
            differ in task, labels, true labels, validation rows or (unless `across`) data.
    """
    if not runs:
        raise RunError("there is no finished run to choose from; run `striata train` first")
    first, *others = runs.values()
    for run in others:
        _check_labels(first, run)
    fingerprints = {run.facts.data_fingerprint for run in runs.values()}
    if len(fingerprints) > 1 and not across:
        run = next(run for run in others if run.facts.data_fingerprint != first.facts.data_fingerprint)
        raise RunError(
            f"runs {first.name} and {run.name} were trained on different data; expected runs over the same data: take one of "
            f"them out of {run.path.parent}"
        )
    seen = [_read(run, first.labels) for run in runs.values()]
    if len(fingerprints) > 1:
        seen = _of_shared_texts(seen)
    else:
        for run, own in zip(others, seen[1:], strict=True):
            _check_rows(first, run, seen[0], own)
    for run, own in zip(others, seen[1:], strict=True):
        _check_truth(first, run, seen[0], own)
    return Pool(
        names=tuple(runs),
        trainable=tuple(run.trainable for run in runs.values()),
        encoders=tuple(run.facts.base_sha256 for run in runs.values()),
        task=first.task,
        labels=first.labels,
        ids=seen[0].ids,
        texts=seen[0].texts,
        targets=seen[0].labels,
        logits=np.stack([own.logits for own in seen]),
    )


def _read(run: Run, labels: Sequence[str]) -> Validation:
    """A run's validation rows by ascending number, its labels in the order of `labels`."""
    validation = run.validation()
    ids, logits = validation.ids, validation.logits
    if len(np.unique(ids)) < len(ids) or not len(ids):
        fault = "has a validation row twice" if len(ids) else "has no validation rows"
        raise RunError(f"run {run.name} {fault}; train it again, or take it out of {run.path.parent}")
    if logits.shape[1] != len(run.labels):
        raise RunError(
            f"run {run.name} has {len(run.labels)} labels, but {logits.shape[1]} logits a row; train it again, or take it out of "
            f"{run.path.parent}"
        )
    unusable = ~np.isfinite(logits).all(1)
    if unusable.any():
        raise RunError(
            f"run {run.name} has logits that are not finite for {int(unusable.sum()):,} validation rows, the first for row "
            f"{ids[unusable.argmax()]}; train it again with a lower learning rate, or take it out of {run.path.parent}"
        )
    if run.task.one_label:
        targets = np.array([labels.index(name) for name in run.labels])[validation.labels]
    elif run.task.numeric:
        targets = validation.labels
    else:
        targets = in_order(validation.labels, run.labels, labels)
    whole = Validation(ids=ids, texts=validation.texts, labels=targets, logits=in_order(logits, run.labels, labels))
    return _take(whole, np.argsort(ids, kind="stable"))


def _take(validation: Validation, rows: Places) -> Validation:
    return Validation(
        ids=validation.ids[rows],
        texts=validation.texts[rows],
        labels=validation.labels[rows],
        logits=validation.logits[rows],
    )


def _of_shared_texts(seen: Sequence[Validation]) -> list[Validation]:
    """The rows whose text occurs once in each, in the order of the first."""
    shared: npt.NDArray[np.uint64] | None = None
    for own in seen:
        texts, counts = np.unique(own.texts, return_counts=True)
        once = texts[counts == 1]
        shared = once if shared is None else np.intersect1d(shared, once, assume_unique=True)
    assert shared is not None
    common = seen[0].texts[np.isin(seen[0].texts, shared)]
    order = [np.argsort(own.texts, kind="stable") for own in seen]
    places = [rows[np.searchsorted(own.texts[rows], common)] for own, rows in zip(seen, order, strict=True)]
    return [_take(own, rows) for own, rows in zip(seen, places, strict=True)]


def _check_labels(first: Run, run: Run) -> None:
    if run.task != first.task:
        raise RunError(
            f"runs {first.name} and {run.name} are of different tasks ({first.task.name}, {run.task.name}); expected one task"
        )
    if set(run.labels) != set(first.labels):
        odd = sorted(set(run.labels) ^ set(first.labels))
        raise RunError(
            f"runs {first.name} and {run.name} have different labels ({', '.join(odd)} in one of them only); expected runs over "
            "the same labels"
        )


def _check_rows(first: Run, run: Run, of_first: Validation, of_run: Validation) -> None:
    strangers = np.setxor1d(of_first.ids, of_run.ids)
    if len(strangers):
        raise RunError(
            f"runs {first.name} and {run.name} were validated on different rows: row {strangers[0]} is in one of them only "
            f"({len(strangers):,} such rows); expected the same rows: keep data.validation and data.seed, train the odd one again"
        )


def _check_truth(first: Run, run: Run, of_first: Validation, of_run: Validation) -> None:
    unequal = of_run.labels != of_first.labels
    unequal = unequal if unequal.ndim == 1 else unequal.any(1)
    if unequal.any():
        at = int(unequal.argmax())
        one, other = (first.task.spell(seen.labels[at : at + 1], first.labels)[0] for seen in (of_first, of_run))
        raise RunError(
            f"runs {first.name} and {run.name} have different true labels for validation row {of_first.ids[at]} "
            f"('{one}' and '{other}'; {int(unequal.sum()):,} such rows); "
            "expected runs over the same labelled data"
        )
