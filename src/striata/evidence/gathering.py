"""What a comparison is made of: runs joined, and how much seeds scatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import StudyError
from ..figures.spread import Variance, seed_parts
from ..runs.joined import Pool, join
from ..runs.refusal import refusals
from ..runs.run import Run
from ..runs.standings import deciding_figure, test_metrics
from ..runs.study_folder import StudyFolder
from .groups import Group, group_runs, run_alone
from .measure import RIGHT, Measure, measure_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A study's layouts on their common rows, and how much their seeds scatter.

    Args:
        groups: the layouts.
        pool: their runs.
        measure: by which they are compared.
        by: the figure that orders them, of :data:`striata.choices.RANKINGS`: the one by which the study chooses checkpoints.
        scatter: variance of :meth:`striata.evidence.measure.Measure.of_seed` of each, by title.
        f1: of macro F1, likewise; of freedom 0 where there is none.
        tests: figures on the test rows, by run.
        refused: runs that the validation check refuses.
        confidence: of the intervals.
    """

    groups: list[Group]
    pool: Pool
    measure: Measure
    by: str
    scatter: dict[str, Variance]
    f1: dict[str, Variance]
    tests: Mapping[str, Mapping[str, float]]
    refused: frozenset[str]
    confidence: float


def gather(folder: StudyFolder, runs: Sequence[Run], confidence: float, *, alone: bool = False) -> Evidence:
    """Joins runs of a study.

    Args:
        folder: of the study.
        runs: at least one.
        confidence: of the intervals.
        alone: whether each run is a layout of its own.

    Raises:
        StudyError: the confidence is none, or runs are no seeds of one layout.
        RunError: runs cannot be joined.
    """
    if not 0 < confidence < 1:
        raise StudyError(f"confidence {confidence:g} is not between 0 and 1; expected for instance 0.95")
    groups = [run_alone(run) for run in runs] if alone else group_runs(runs)
    pool, measure = join({run.name: run for run in runs}), measure_of(runs[0])
    means = [[measure.of_seed(float(measure.of_runs(pool, [run.name]).mean())) for run in one.runs.values()] for one in groups]
    f1s = [[run.metrics["macro_f1"] for run in one.runs.values()] for one in groups] if measure is RIGHT else [[]] * len(groups)
    titles = [one.title for one in groups]
    return Evidence(
        groups=groups,
        pool=pool,
        measure=measure,
        by=deciding_figure(folder.settings()),
        scatter=dict(zip(titles, seed_parts(means), strict=True)),
        f1=dict(zip(titles, seed_parts(f1s), strict=True)),
        tests=test_metrics(folder, runs),
        refused=frozenset(refusals(runs)),
        confidence=confidence,
    )
