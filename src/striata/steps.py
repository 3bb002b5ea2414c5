"""The four steps from a study file to its best model: plan, train a stack, collect, choose.

:func:`striata.train` takes them one after the other. They meet only at the study's folder, so that another process, or another
machine that sees the same folder, can take one of them: plan the same study with the same number of stacks, train one by its
name, and leave collecting and choosing to whoever comes last. ::

    work = plan_study("study.yaml", stacks=2)
    train_stacks(work, work.stacks[:1])        # here the first, elsewhere the second
    trained = choose(work, collect(work))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .baselines import BASELINES
from .choices import METHODS
from .errors import StudyError, did_you_mean
from .evidence.measure import measure_of
from .extras import require
from .figures.intervals import Interval
from .figures.scores import in_words
from .runs import Run
from .runs.refusal import Refusal, accepted, refusals
from .runs.standings import best_first, deciding_figure
from .settings import Study, load_study
from .shown import Shown
from .study import Prepared, Work, fit_baselines, plan_members, plan_work, prepare
from .study.adaptation_texts import find_adaptation
from .study.reweighting import reweighted
from .study.turns import take_turns
from .training.events import Listener, doing, nobody, note

if TYPE_CHECKING:
    from .ensemble import Ensemble, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained(Shown):
    """What came out of a study.

    Args:
        folder: the study's folder.
        runs: its finished runs by name.
        failed: members that ended without a run, with the reason.
        ensemble: of the best runs; None when fewer than two finished or the study asks for none.
        test: figures of the task on the test rows, by run name and of `ensemble`; empty when the study has none.
        test_intervals: where rows have numbers, likewise the figure by which these are compared, with its 95 % interval.
    """

    folder: Path
    runs: Mapping[str, Run]
    failed: Mapping[str, str]
    ensemble: Ensemble | None
    test: Mapping[str, Mapping[str, float]]
    test_intervals: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def refused(self) -> dict[str, Refusal]:
        """The adapted runs that the validation check refuses, by name: the ensemble and the best run are chosen without them."""
        return refusals(self.runs.values())

    def to_json(self) -> dict[str, object]:
        """All of it as JSON values; of each run its folder and its figures on the validation rows."""
        runs = {name: {"folder": str(run.path), **run.metrics} for name, run in self.runs.items()}
        return {
            "folder": str(self.folder),
            "runs": runs,
            "failed": dict(self.failed),
            "refused": {name: asdict(refusal) for name, refusal in self.refused.items()},
            "ensemble": None if self.ensemble is None else self.ensemble.to_json(),
            "test": {name: dict(figures) for name, figures in self.test.items()},
        }

    def __repr__(self) -> str:
        parts = [f"{len(self.runs)} runs"]
        if self.runs:
            by = deciding_figure(next(iter(self.runs.values())).facts.study)
            best = best_first(accepted(self.runs.values()), by)[0]
            parts[0] += f", the best {best.name} with {in_words({by: best.metrics[by]})}"
        parts += [] if self.ensemble is None else [repr(self.ensemble)]
        parts += [f"{len(named)} {what}" for what, named in (("refused", self.refused), ("failed", self.failed)) if named]
        return f"Trained({self.folder}: {'; '.join(parts)})"


def plan_study(
    study: Study | str | Path | Mapping[str, Any],
    *,
    data: object = None,
    stacks: int | None = None,
    listen: Listener = nobody,
) -> Work:
    """The first step: reads the data, claims the folder, and deals the members that are not finished yet into stacks.

    Planning again changes nothing that was trained.

    Args:
        study: a study file's path, its content as a mapping, or a loaded study.
        data: rows in the place of `data.train`; see :func:`striata.train`.
        stacks: into how many stacks to deal what is in none yet; None for one, which only one process may train. Of a study
            with a search they are `search`, `search-2` and so on, each of which proposes and trains as long as trials are left.
        listen: told in notes what the data and the members are.

    Raises:
        StudyError: the study, or its folder, is wrong, or another process trains in it.
        StriataError: the data or a layout is wrong, or no ensemble could fit its budget.
    """
    return plan_work(prepare_study(study, data, listen=listen), stacks=stacks, listen=listen)


def prepare_study(study: Study | str | Path | Mapping[str, Any], data: object = None, *, listen: Listener = nobody) -> Prepared:
    """What :func:`plan_study` begins with: the data, read, and all that can be wrong before the folder is claimed.

    Args:
        study: as there.
        data: likewise.
        listen: told in notes where its files were found.

    Raises:
        StriataError: the study, its data or a layout is wrong, or no ensemble could fit its budget.
    """
    settings = study if isinstance(study, Study) else load_study(study)
    for remark in settings.places.remarks:
        note(listen, remark)
    prepared = prepare(settings, data)
    prepared = replace(prepared, adaptation=find_adaptation(prepared))
    settings, labels = prepared.study, len(prepared.splits.labels)
    if settings.ensemble.size > 1:
        from .ensemble import Rule, check_budget, check_task

        check_task(Rule(**settings.ensemble.model_dump()), prepared.splits.task)
        _check_early(settings, Rule(**settings.ensemble.model_dump()))
        check_budget([member.plan.trainable for member in plan_members(settings, labels)], settings.ensemble.budget)
    if settings.search is not None:
        require("a study with `search`", "optuna", "sqlalchemy")
        from .search import Space

        Space.of(settings, labels)  # says what is wrong with it
    return prepared


def _check_early(study: Study, rule: Rule) -> None:
    """Refuses a cascade for which the study trains no run that could answer first."""
    if not METHODS[rule.method].cascades or study.search is not None:
        return
    if rule.cheap is None:
        if all(BASELINES[kind].embedded or kind == "majority" for kind in study.baselines.kinds):
            raise StudyError(
                "a cascade needs a run that answers without an encoder; add `baselines: [lexical]`, or name another run as "
                "`ensemble.cheap`",
                key="baselines",
            )
        return
    names = [*study.baselines.kinds, *(member.name for member in plan_members(study, 2))]
    if rule.cheap not in names:
        raise StudyError(
            f"ensemble.cheap names no run of the study: {rule.cheap}{did_you_mean(rule.cheap, names)}; expected one of "
            f"{', '.join(names)}",
            key="ensemble.cheap",
        )


def train_stacks(
    work: Work,
    names: Sequence[str] | None = None,
    *,
    listen: Listener = nobody,
    track: Iterable[str] = (),
    device: str = "auto",
    overdue: Callable[[], bool] | None = None,
) -> None:
    """The second step: fits the baselines, then trains stacks, each from its checkpoint on if it has one.

    Runs are written as members end.

    Args:
        work: from :func:`plan_study`.
        names: of the stacks to train, one after the other; None for the baselines and all that remain. Where a search has
            several and none is named, those that other processes train are waited for, and taken over if these die.
        listen: told of every step, evaluation and ending (:class:`striata.training.events.Event`).
        track: experiment trackers: tensorboard, wandb, mlflow, trackio.
        device: "cpu", "cuda" or "auto".
        overdue: asked before every fit of a baseline, and after every step; once it says yes, only what needs no embeddings is
            fitted, and all members that no longer race are evaluated and end with the best they have, `stopped` by "time".

    Raises:
        StudyError: a stack is unknown, another process trains it, or it was planned anew.
        StriataError: a checkpoint, the encoder or the folder is wrong.
        KeyboardInterrupt: after Ctrl-C, with everything saved; the same call goes on from there.
    """
    trackers = tuple(track)
    check_device(device, trackers)
    work = replace(work, prepared=reweighted(work.prepared, work.folder.path, listen, device))
    baselines = partial(fit_baselines, work, listen=listen, device=device, overdue=overdue)
    if work.prepared.study.search is None:
        from .study.stacks import train_planned

        if names is None:
            baselines()
        train_planned(work, names, listen, trackers, device, overdue)
        return
    from .search.rolling import train_search

    turns = [partial(train_search, work, name, listen, trackers, device) for name in work.chosen(names)]
    if names is None and len(turns) > 1:
        take_turns([baselines, *turns], partial(note, listen, f"other processes train in {work.folder.path}; waiting for them"))
    else:
        for turn in turns if names is not None else (baselines, *turns):
            turn()


def check_device(device: str, track: Iterable[str]) -> None:
    """Refuses a device or an experiment tracker that is not there, before anything is read.

    Raises:
        StriataError: names it, and says what to do.
    """
    from .engine import choose_device
    from .training.trackers import check_trackers

    choose_device(device)
    check_trackers(tuple(track))


def collect(work: Work) -> dict[str, Run]:
    """The third step: the finished runs of a study by name, every byte of them checked.

    Raises:
        RunError: one is damaged.
    """
    runs = {run.name: run for run in work.folder.runs()}
    for run in runs.values():
        run.check()
    return runs


def choose(work: Work, runs: Mapping[str, Run], *, listen: Listener = nobody, device: str = "auto") -> Trained:
    """The fourth step: the ensemble of the best runs, as the study asks for it, and all of them on the test rows.

    Args:
        work: from :func:`plan_study`.
        runs: from :func:`collect`.
        listen: told in notes of an ensemble that is smaller than asked for, or that takes another's place.
        device: "cpu", "cuda" or "auto".

    Raises:
        StriataError: runs cannot be combined, or what is needed to measure them is not there.
    """
    folder, rule = work.folder, work.prepared.study.ensemble
    candidates = accepted(runs.values())
    size = min(rule.size, len(candidates))
    if size < rule.size and "size" in rule.model_fields_set:
        note(listen, f"an ensemble of {rule.size} was asked for; finished runs: {len(candidates)}")
    ensemble = None
    if size > 1:
        from .ensemble import Rule, rule_of, write_ensemble

        doing(listen, f"combining {len(candidates)} runs")
        settings = rule.model_dump() | {"size": size}
        before = rule_of(folder.path)
        ensemble = write_ensemble(folder.path, **settings)
        if before is not None and before != Rule(**settings):
            back = ", ".join(f"{name}: {value}" for name, value in before.settings.items())
            note(
                listen,
                f"the study file's ensemble took the place of another; to have that again, write `ensemble: {{{back}}}` in it",
            )
    if work.prepared.splits.test is not None:
        doing(listen, f"measuring on {len(work.prepared.splits.test):,} test rows")
    test, intervals = _test_figures(work, runs, ensemble, device) if runs else ({}, {})
    return Trained(folder=folder.path, runs=runs, failed=folder.failed(), ensemble=ensemble, test=test, test_intervals=intervals)


def _test_figures(
    work: Work, runs: Mapping[str, Run], ensemble: Ensemble | None, device: str
) -> tuple[dict[str, dict[str, float]], dict[str, Interval]]:
    """Figures of the task on the test rows by run name, and of `ensemble`, measured in one pass, and of numbers the intervals of
    the one that is compared; empty without test rows.

    The runs' figures are kept in the study's folder, for the leaderboard; those of the ensemble, or of the best run where there
    is none, as `striata evaluate` keeps them.
    """
    from .ensemble import Combiner
    from .model import Model
    from .model.evaluation import judge
    from .robustness import keep_evaluation
    from .runs.standings import leaderboard, write_test_metrics

    prepared, folder = work.prepared, work.folder
    table = prepared.splits.test
    if table is None:
        return {}, {}
    everyone = Combiner(kind="logits", weights={name: 1 / len(runs) for name in runs})
    source = ensemble or next(iter(runs.values()))
    model = Model(folder.path, runs, everyone, source, device=device, precision=prepared.study.recipe.precision)
    logits = model.member_logits(table.texts, table.pairs)
    if ensemble is not None:
        logits["ensemble"] = ensemble.combiner.apply(logits)
    targets, measure = prepared.targets["test"], measure_of(next(iter(runs.values())))
    sources: dict[str, Run | Ensemble] = {**runs} | ({} if ensemble is None else {"ensemble": ensemble})
    scores = {name: model.part(sources[name]).scores(outputs, targets).to_json() for name, outputs in logits.items()}
    intervals = {
        name: measure.over_rows(measure.of_rows(model.task, outputs, targets))
        for name, outputs in logits.items()
        if model.task.numeric
    }
    write_test_metrics(folder, list(runs.values()), scores)
    best = model.part(ensemble or runs[leaderboard(folder)[0].run])
    outputs = best.combiner.apply(logits)
    rows = replace(table, source="the study's test rows")
    calibration = None if best.task.numeric else best.calibration
    measured = judge(rows, targets, outputs, labels=best.labels, task=best.task, calibration=calibration)
    keep_evaluation(best, measured)
    return scores, intervals
