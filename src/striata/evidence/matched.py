"""The runs of a study on their validation rows, joined by row number and label name."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import RunError, StudyError
from ..runs.run import Run
from .references import Named

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Named):
    """The runs of one layout and recipe.

    Args:
        runs: by seed.
    """

    runs: Mapping[int, Run]

    @property
    def first(self) -> Run:
        """The run of the lowest seed."""
        return self.runs[min(self.runs)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Runs on the same rows, in one order.

    Args:
        labels: names; places count in them.
        ids: row numbers, ascending, (rows,).
        truth: places of the true labels, (rows,).
        predicted: places of the predicted labels by run name, (rows,) each.
    """

    labels: tuple[str, ...]
    ids: Places
    truth: Places
    predicted: Mapping[str, Places]

    def right(self, runs: Sequence[Run]) -> npt.NDArray[np.bool_]:
        """Where runs are right, (runs, rows)."""
        return np.stack([self.predicted[run.name] == self.truth for run in runs])


def group(runs: Sequence[Run]) -> list[Group]:
    """Runs by layout and recipe, in the order of the names.

    Raises:
        StudyError: two runs are one layout, recipe and seed under one name.
    """
    found: dict[tuple[str, str, str], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        key = (run.title, run.plan.hash, json.dumps(run.facts["recipe"], sort_keys=True))
        found[key][run.seed] = run
    titles = [title for title, _, _ in found]
    for title in titles:
        if titles.count(title) > 1:
            raise StudyError(
                f"the runs of {title} have different plans or recipes, so they are no seeds of one layout; "
                "keep the runs of one of them, or give each layout a name of its own"
            )
    return [
        Group(
            title=title,
            layout=by_seed[min(by_seed)].layout,
            aliases=tuple(dict.fromkeys(alias for run in by_seed.values() for alias in run.aliases)),
            control=by_seed[min(by_seed)].control,
            control_of=_control_of(list(by_seed.values())),
            runs=by_seed,
        )
        for (title, _, _), by_seed in found.items()
    ]


def _control_of(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    kinds = dict.fromkeys(kind for run in runs for kind in run.control_of)
    return {kind: tuple(dict.fromkeys(t for run in runs for t in run.control_of.get(kind, ()))) for kind in kinds}


def match(runs: Sequence[Run]) -> Matched:
    """Joins runs on their validation rows.

    Raises:
        StudyError: they differ in labels, data, rows or the rows' labels.
        RunError: a run's logits are not finite.
    """
    first = runs[0]
    labels = tuple(sorted(first.labels))
    ids, truth, predicted = _read(first, labels)
    found = {first.name: predicted}
    for run in runs[1:]:
        if tuple(sorted(run.labels)) != labels:
            odd = sorted(set(run.labels) ^ set(labels))
            raise StudyError(
                f"runs {first.name} and {run.name} have different labels ({', '.join(odd)} in one only); expected "
                "runs of one study"
            )
        if run.facts["data_fingerprint"] != first.facts["data_fingerprint"]:
            raise StudyError(
                f"runs {first.name} and {run.name} were trained on different data; expected runs of one study over the same data"
            )
        own, own_truth, predicted = _read(run, labels)
        if not np.array_equal(own, ids):
            both = len(np.intersect1d(own, ids))
            raise StudyError(
                f"runs {first.name} and {run.name} were measured on different validation rows ({len(ids):,} and {len(own):,}, of "
                f"which {both:,} are in both); expected the same rows: keep data.validation and data.seed, train the odd one anew"
            )
        if not np.array_equal(own_truth, truth):
            at = int(np.flatnonzero(own_truth != truth)[0])
            raise StudyError(
                f"runs {first.name} and {run.name} disagree about the true label of validation row {ids[at]} "
                f"('{labels[truth[at]]}', '{labels[own_truth[at]]}'); expected runs over the same labelled data"
            )
        found[run.name] = predicted
    return Matched(labels=labels, ids=ids, truth=truth, predicted=found)


def _read(run: Run, labels: Sequence[str]) -> tuple[Places, Places, Places]:
    """Row numbers, true and predicted labels of a run, by row number, labels counted as in `labels`."""
    validation = run.validation()
    bad = ~np.isfinite(validation.logits).all(1)
    if bad.any():
        raise RunError(
            f"run {run.path} has logits that are no finite numbers for {int(bad.sum()):,} validation rows (the first is row "
            f"{validation.ids[bad.argmax()]}); remove the folder and train the run anew with a lower learning rate"
        )
    order = np.argsort(validation.ids, kind="stable")
    ids = validation.ids[order]
    if len(ids) == 0 or (ids[1:] == ids[:-1]).any():
        raise RunError(f"run {run.path} has no validation rows, or one of them twice; remove the folder and train the run anew")
    place = np.array([labels.index(name) for name in run.labels])
    return ids, place[validation.labels[order]], place[validation.logits[order].argmax(1)]
