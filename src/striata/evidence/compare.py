"""The layouts of a study against each other: how good, how sure, and which differences are real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..choices import BASELINES, CONTROLS, RANKINGS, UNADAPTED
from ..errors import StudyError
from ..figures.bootstrap import f1_draws, f1_interval
from ..figures.pvalues import holm
from ..figures.spread import Variance, spread
from ..runs.refusal import check_lines
from ..runs.run import Run
from ..runs.study_folder import StudyFolder
from .gathering import Evidence, gather
from .groups import Group
from .measure import RIGHT, Rows, as_numbers
from .paired import Estimate, compare_crossed, compare_many, compare_numbers, compare_two
from .power import Design, Noise, rows_needed, seeds_needed
from .references import find, own_controls, references
from .results import Comparison, Difference, LayoutResult, Together
from .sentences import adaptation_sentence, sentence

CROSSED = "variance components over seeds and rows"
_BASELINES_ONLY = "none: there are baselines only"
MCNEMAR = "exact McNemar over rows"
PAIRED = "paired t over rows"


def compare_study(folder: StudyFolder, *, reference: str | None = None, confidence: float = 0.95) -> Comparison:
    """Every layout of a study with its interval, and its difference to a reference.

    Args:
        folder: of the study.
        reference: a layout or a baseline for all; of :data:`striata.choices.CONTROLS` for each layout's own control; None for the
            own uniform control, or that without adaptation, and the study's first layout where there is none. Baselines are no
            layouts: unless one is named here, they are listed only, and :func:`striata.evidence.measure_worth` judges them.
        confidence: of the intervals.

    Raises:
        StudyError: no run is finished, the reference is unknown, or runs cannot be compared.
        RunError: a run is damaged, or runs cannot be joined on their validation rows.
    """
    evidence = gather(folder, folder.finished(), confidence)
    known = evidence.groups if reference is not None and reference not in CONTROLS else _layouts(evidence.groups)
    pairs, rule = references(known, _first(known, folder), reference, folder.path) if known else ([], _BASELINES_ONLY)
    layouts = _results(evidence, evidence.groups)
    place = {result.layout: at for at, result in enumerate(layouts)}
    notes = _notes(evidence)
    if evidence.by != evidence.measure.figure:
        by, figure = RANKINGS[evidence.by].title, RANKINGS[evidence.measure.figure].title
        notes.append(f"best first by {by}, which recipe.best_by names; intervals and differences are of {figure}")
    compared = []
    for one, other in sorted(pairs, key=lambda pair: place[pair[0].label]):
        common = sorted(set(one.runs) & set(other.runs))
        if not common:
            notes.append(f"{one.label} and {other.label} have no seed in common and are not compared")
        elif _same(one, other):
            notes.append(f"{one.label} and {other.label} are one and the same plan and recipe and are not compared")
        else:
            compared.append((one, other, common))
    return Comparison(
        layouts=layouts,
        differences=_differences(evidence, compared),
        together=tuple(filter(None, (_together(evidence, kind) for kind in CONTROLS))),
        reference=rule,
        rows=len(evidence.pool.ids),
        confidence=confidence,
        notes=tuple(notes),
        figure=evidence.measure.figure,
    )


def compare_pair(folder: StudyFolder, a: str, b: str, *, confidence: float = 0.95) -> Comparison:
    """Two layouts, or two runs, of a study: their figures and the one difference, a minus b.

    Args:
        folder: of the study.
        a: name of a layout or of a run.
        b: likewise.
        confidence: of the intervals.

    Raises:
        StudyError: there is no such layout or run, the two are the same, or they cannot be compared.
        RunError: a run is damaged, or runs cannot be joined on their validation rows.
    """
    runs = folder.finished()
    if len(runs) == 1:
        raise StudyError(
            f"{folder.path} has only one finished run, {runs[0].name}, and nothing to compare it with; train another"
        )
    by_name = {run.name: run for run in runs}
    if a in by_name and b in by_name:
        return _compare_runs(folder, by_name[a], by_name[b], confidence)
    if a in by_name or b in by_name:
        raise StudyError(f"one of '{a}' and '{b}' is a run and one a layout; give two runs or two layouts")
    evidence = gather(folder, runs, confidence)
    one, other = find(evidence.groups, a, folder.path), find(evidence.groups, b, folder.path)
    if one is other:
        raise StudyError(f"'{a}' and '{b}' are the same runs ({', '.join(one.names)}); give two different layouts")
    common = sorted(set(one.runs) & set(other.runs))
    if not common:
        raise StudyError(
            f"{one.label} has seeds {_listed(one.runs)} and {other.label} {_listed(other.runs)}: none in common; train "
            "both with the same seeds"
        )
    notes = _notes(replace(evidence, groups=[one, other]))
    if _same(one, other):
        notes.append(f"{one.label} and {other.label} are one and the same plan and recipe: any difference is of random draws")
    results = {result.layout: result for result in _results(evidence, [one, other])}
    return Comparison(
        layouts=(results[one.label], results[other.label]),
        differences=_differences(evidence, [(one, other, common)]),
        together=(),
        reference=other.label,
        rows=len(evidence.pool.ids),
        confidence=confidence,
        notes=tuple(notes),
        figure=evidence.measure.figure,
    )


def _compare_runs(folder: StudyFolder, one: Run, other: Run, confidence: float) -> Comparison:
    """Two runs, each as if it were a layout with one seed."""
    if one.name == other.name:
        raise StudyError(f"'{one.name}' was given twice; give two different runs")
    evidence = gather(folder, [one, other], confidence, alone=True)
    first, second = evidence.groups
    difference = _difference(evidence, first, second, (), _estimate(evidence, first, second, ()), None, 1)
    results = {result.layout: result for result in _results(evidence, evidence.groups)}
    return Comparison(
        layouts=(results[one.name], results[other.name]),
        differences=(difference,),
        together=(),
        reference=other.name,
        rows=len(evidence.pool.ids),
        confidence=confidence,
        notes=("two runs are compared, by rows only: another seed of the same layouts may say otherwise",),
        figure=evidence.measure.figure,
    )


def _first(groups: Sequence[Group], folder: StudyFolder) -> Group:
    """The first finished layout in the order of the study."""
    for entry in folder.settings()["layouts"]:
        name = entry if isinstance(entry, str) else entry.get("name") or entry["layout"]
        for one in groups:
            if name in (*one.names, one.layout):
                return one
    return groups[0]


def _layouts(groups: Sequence[Group]) -> list[Group]:
    """The groups that are no baselines."""
    return [one for one in groups if one.first.kind not in BASELINES]


def _same(one: Group, other: Group) -> bool:
    return one.first.identity == other.first.identity


def _listed(seeds: Mapping[int, Run] | Sequence[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _notes(evidence: Evidence) -> list[str]:
    notes = []
    layouts = _layouts(evidence.groups)
    every = sorted({seed for one in layouts for seed in one.runs})
    for one in layouts:
        if one.aliases:
            notes.append(f"{one.label} stands for {', '.join(one.aliases)} too: one and the same plan and recipe, trained once")
        missing = [seed for seed in every if seed not in one.runs]
        if missing:
            notes.append(f"{one.label} has no run of seed {_listed(missing)}; it is compared by the seeds that both sides have")
    runs = [run for one in evidence.groups for run in one.runs.values()]
    notes += check_lines(runs)
    if any(run.facts.transductive for run in runs):
        notes.append("transductive: runs have seen rows without labels; figures on these rows are not those of new data")
    if len(every) == 1:
        notes.append("one seed only: intervals and tests speak of these runs on other rows, not of the layouts with other seeds")
    elif len({id(part) for part in evidence.scatter.values()}) > 1:
        counts = [id(part) for part in evidence.scatter.values()]
        pool = max(set(counts), key=counts.count)
        odd = [one.label for one in layouts if id(evidence.scatter[one.title]) != pool]
        if odd:
            notes.append(f"seeds of {', '.join(odd)} scatter more than the other layouts'; they are judged by their own")
    return notes


def _results(evidence: Evidence, groups: Sequence[Group]) -> tuple[LayoutResult, ...]:
    pool, names = evidence.pool, [run.name for one in groups for run in one.runs.values()]
    resampled = {}
    if evidence.measure is RIGHT:
        draws = f1_draws(pool.targets, pool.predicted(names), len(pool.labels))
        resampled = {name: draws[:, at] for at, name in enumerate(names)}
    results = (_result(evidence, one, resampled) for one in groups)
    merit = RANKINGS[evidence.by].merit

    def place(row: LayoutResult) -> tuple[bool, float, float, str]:
        return row.refused == row.runs, -merit(row.figures[evidence.by]), row.loss, row.layout

    return tuple(sorted(results, key=place))


def _result(evidence: Evidence, one: Group, resampled: Mapping[str, npt.NDArray[np.float64]]) -> LayoutResult:
    seeds, measure = sorted(one.runs), evidence.measure
    runs = [one.runs[seed] for seed in seeds]
    table = spread(as_numbers(measure.of_runs(evidence.pool, one.at(seeds))))
    interval = measure.interval(table, evidence.scatter[one.title], level=evidence.confidence)
    figures = {name: sum(run.metrics[name] for run in runs) / len(runs) for name in runs[0].metrics}
    f1 = None
    if resampled:
        f1s = np.array([run.metrics["macro_f1"] for run in runs])
        f1 = f1_interval(f1s, np.stack([resampled[run.name] for run in runs], 1), evidence.f1[one.title], evidence.confidence)
        figures["macro_f1"] = f1.value
    tests = [evidence.tests[run.name][measure.figure] for run in runs if run.name in evidence.tests]
    speeds = [run.facts.texts_per_second for run in runs if run.facts.texts_per_second is not None]
    return LayoutResult(
        layout=one.label,
        aliases=one.aliases,
        plan_hash=runs[0].facts.plan_hash,
        runs=tuple(run.name for run in runs),
        seeds=tuple(seeds),
        trainable=runs[0].facts.trainable,
        lora=runs[0].facts.lora,
        by=measure.figure,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        figures=figures | {measure.figure: interval.value},
        macro_f1_low=None if f1 is None else f1.low,
        macro_f1_high=None if f1 is None else f1.high,
        test_value=sum(tests) / len(tests) if len(tests) == len(runs) else None,
        seconds=sum(run.facts.seconds for run in runs) / len(runs),
        texts_per_second=sum(speeds) / len(speeds) if len(speeds) == len(runs) else None,
        refused=tuple(run.name for run in runs if run.name in evidence.refused),
    )


def _differences(evidence: Evidence, pairs: Sequence[tuple[Group, Group, Sequence[int]]]) -> tuple[Difference, ...]:
    """All differences, corrected for their number."""
    estimates = [_estimate(evidence, one, other, common) for one, other, common in pairs]
    corrected = holm([estimate.p for estimate in estimates])
    return tuple(
        _difference(evidence, one, other, tuple(common), estimate, p, len(pairs))
        for (one, other, common), estimate, p in zip(pairs, estimates, corrected, strict=True)
    )


def _tables(evidence: Evidence, one: Group, other: Group, seeds: Sequence[int]) -> tuple[Rows, Rows]:
    """How good the answers of both are, (seeds, rows); of two runs, whatever their seeds, (1, rows)."""
    names = ([one.first.name], [other.first.name]) if not seeds else (one.at(seeds), other.at(seeds))
    return evidence.measure.of_runs(evidence.pool, names[0]), evidence.measure.of_runs(evidence.pool, names[1])


def _estimate(evidence: Evidence, one: Group, other: Group, common: Sequence[int]) -> Estimate:
    """How much better the first is in the mean over rows."""
    ours, theirs = _tables(evidence, one, other, common)
    if len(common) > 1:
        return compare_crossed(ours, theirs, _scatter(evidence, (one, ours), (other, theirs)), evidence.confidence)
    return (compare_two if evidence.measure is RIGHT else compare_numbers)(ours[0], theirs[0], evidence.confidence)


def _scatter(evidence: Evidence, *tables: tuple[Group, Rows]) -> tuple[Variance, Variance]:
    """The variance of one seed's mean of two layouts, with their rows."""
    one, two = (evidence.measure.seeds_at(float(table.mean()), evidence.scatter[own.title]) for own, table in tables)
    return one, two


def _difference(
    evidence: Evidence,
    one: Group,
    other: Group,
    seeds: tuple[int, ...],
    estimate: Estimate,
    corrected: float | None,
    number: int,
) -> Difference:
    """One difference with its verdict; `corrected` is None where there is no other to correct for."""
    measure, tables = evidence.measure, _tables(evidence, one, other, seeds)
    shown = measure.difference(measure.in_unit(estimate, *(float(table.mean()) for table in tables)))
    adjusted = estimate.p if corrected is None else corrected
    verdict = _verdict(estimate.value, adjusted, evidence.confidence)
    needed = (None, None) if verdict != "not told apart" else _needed(evidence, one, other, seeds, estimate.value, number)
    return Difference(
        layout=one.label,
        reference=other.label,
        seeds=seeds,
        difference=shown.value,
        low=shown.low,
        high=shown.high,
        p=estimate.p,
        p_adjusted=adjusted,
        method=CROSSED if len(seeds) > 1 else MCNEMAR if measure is RIGHT else PAIRED,
        verdict=verdict,
        sentence=sentence(
            (one.label, other.label),
            verdict,
            (shown.value, shown.low, shown.high),
            (estimate.p, adjusted),
            rows=len(evidence.pool.ids),
            seeds=len(seeds),
            comparisons=number,
            needed=needed,
            figure=measure.figure,
        ),
        rows_needed=needed[0],
        seeds_needed=needed[1],
    )


def _verdict(difference: float, p: float, confidence: float) -> str:
    if p >= 1 - confidence:
        return "not told apart"
    return "better" if difference > 0 else "worse"


def _together(evidence: Evidence, control: str) -> Together | None:
    """The layouts that have a control of this kind, on average against it; None where fewer than two have one, but for adapted
    layouts: of these one will do."""
    pairs = [(one, other) for one, other in own_controls(evidence.groups, control) if not one.control and not _same(one, other)]
    seeds = sorted(set.intersection(*(set(layout.runs) for pair in pairs for layout in pair))) if pairs else []
    if len(pairs) < (1 if control == UNADAPTED else 2) or not seeds:
        return None
    measure = evidence.measure
    right = {layout.title: measure.of_runs(evidence.pool, layout.at(seeds)) for pair in pairs for layout in pair}
    titles = [(one.title, other.title) for one, other in pairs]
    if len(pairs) == 1:
        estimate = _estimate(evidence, *pairs[0], seeds)
    else:
        scatter = {name: measure.seeds_at(float(table.mean()), evidence.scatter[name]) for name, table in right.items()}
        estimate = compare_many(titles, right, scatter, evidence.confidence)
    means = [float(np.mean([right[pair[side]].mean() for pair in titles])) for side in (0, 1)]
    shown = measure.difference(measure.in_unit(estimate, *means))
    verdict = _verdict(estimate.value, estimate.p, evidence.confidence)
    interval, extent = (shown.value, shown.low, shown.high), {"rows": len(evidence.pool.ids), "seeds": len(seeds)}
    return Together(
        control=control,
        layouts=tuple(one.label for one, _ in pairs),
        seeds=tuple(seeds),
        difference=shown.value,
        low=shown.low,
        high=shown.high,
        p=estimate.p,
        verdict=verdict,
        sentence=adaptation_sentence(verdict, interval, estimate.p, layouts=len(pairs), figure=measure.figure, **extent)
        if control == UNADAPTED
        else sentence(
            (f"the mean of {len(pairs)} layouts", f"that of their :{control} controls"),
            verdict,
            interval,
            (estimate.p, estimate.p),
            comparisons=1,
            needed=None,
            figure=measure.figure,
            **extent,
        ),
    )


def _needed(
    evidence: Evidence, one: Group, other: Group, seeds: tuple[int, ...], difference: float, number: int
) -> tuple[int | None, int | None]:
    """Rows, and seeds, that would tell a difference apart were it true."""
    if difference == 0:
        return None, None
    ours, theirs = _tables(evidence, one, other, seeds)
    table = spread(as_numbers(ours) - as_numbers(theirs))
    scatter = _scatter(evidence, (one, ours), (other, theirs))
    noise = Noise(
        by_seed=max(0.0, (scatter[0].variance + scatter[1].variance - table.rest / table.rows) / 2) if len(seeds) > 1 else 0.0,
        by_row=table.row_variance,
        rest=table.rest,
    )
    pooled = sum(part is scatter[0] for part in evidence.scatter.values()) if scatter[0] is scatter[1] else 1
    design = Design(
        rows=table.rows,
        seeds=table.seeds,
        layouts=max(2, pooled),
        comparisons=number,
        level=1 - evidence.confidence,
        shares=evidence.measure is RIGHT,
    )
    more = seeds_needed(abs(difference), design, noise) if len(seeds) > 1 else None
    return rows_needed(abs(difference), design, noise), more
