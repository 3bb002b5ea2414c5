"""Everything a study's folder holds, read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..choices import CONTROLS
from ..data import Audit
from ..data.audit import read_audit
from ..ensemble import Combiner, Ensemble, Rule, load_ensemble, rule_of
from ..errors import EnsembleError, RunError, StudyError
from ..evidence.compare import compare_study
from ..evidence.measure import measure_of
from ..evidence.results import Comparison, LayoutResult
from ..evidence.worth import Worth, gain, measure_worth, rows_together
from ..figures.intervals import LEVEL
from ..layout import Plan
from ..model.packs import is_pack
from ..robustness.documents import (
    AUDIT,
    EVALUATION,
    NUMBER_EVALUATION,
    SHIFT,
    STRESS,
    AuditFacts,
    EvaluationFacts,
    NumberEvaluationFacts,
    ShiftFacts,
    StressFacts,
    read_kept,
)
from ..runs import Run, RunFacts, Standing, StudyFolder, leaderboard
from ..runs.facts import ReceiptFacts
from ..runs.joined import join
from .judged import ENSEMBLE, Judged, judge_ensemble, judge_run

Curve = tuple[tuple[float, float], ...]
Checked = TypeVar("Checked", StressFacts, ShiftFacts, EvaluationFacts, NumberEvaluationFacts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A layout with its finished runs.

    Args:
        place: its number in the report, which legend switches refer to.
        result: its figures with intervals.
        control: of :data:`striata.choices.CONTROLS`; empty for what is none.
        family: number of the layout that it or its controls were made from; decides the colour.
        plan: what was trained; None for a kind of run without adapters.
        standings: its runs, best validation accuracy first.
        receipts: what was live when each run began, by run name.
    """

    place: int
    result: LayoutResult
    control: str
    family: int
    plan: Plan | None
    standings: tuple[Standing, ...]
    receipts: Mapping[str, ReceiptFacts]

    @property
    def title(self) -> str:
        """What the layout is called."""
        return self.result.layout


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The curves of a run, as (step, value).

    Args:
        run: its name.
        group: place of its layout.
        loss: of training.
        learning_rate: of each step.
        validation_loss: at evaluations.
        accuracy: likewise.
        best_by: name of the figure that decided which checkpoint is kept.
        deciding: its curve.
        best_step: when the kept checkpoint was taken.
    """

    run: str
    group: int
    loss: Curve
    learning_rate: Curve
    validation_loss: Curve
    accuracy: Curve
    best_by: str
    deciding: Curve
    best_step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A study's folder, read.

    Args:
        folder: where it lies.
        settings: of the study.
        worth: what the fine-tuned encoder and the ensemble gain over the best baseline.
        comparison: layouts with intervals, and their differences.
        groups: layouts with finished runs, in the study's order.
        standings: all runs, best first.
        histories: a run's curves each.
        failed: members that ended without a run, with the reason.
        runs: the finished runs, by name.
        best: the best run on the validation rows.
        ensemble: None when there is none.
        chosen: by which rule it was; None when there is none.
        ensemble_judged: the ensemble on the validation rows.
        outdone: whether the best run is better than the ensemble beyond chance.
        soup: the model of merged weights; None when there is none.
        distilled: the run trained on the ensemble's probabilities; None when there is none.
        cascade: beside the ensemble, with a run that answers first; None when there is none.
        cascade_left_out: why there is none though its folder is there; empty otherwise.
        audit: of the data; None when the folder lacks it.
        evaluations: what `striata evaluate` kept, one document for each model and file.
        stress: what `striata stress` kept, one document per model.
        shift: likewise `striata shift`.
        outdated: which of these are left out, because their model has been replaced since.
        labels: likewise `striata audit`; None without.
        facts: of the best run, for versions, hardware and split.
    """

    folder: Path
    settings: Mapping[str, Any]
    worth: Worth
    comparison: Comparison
    groups: tuple[Group, ...]
    standings: tuple[Standing, ...]
    histories: tuple[History, ...]
    failed: Mapping[str, str]
    runs: Mapping[str, Run]
    best: Judged
    ensemble: Ensemble | None
    chosen: Rule | None
    ensemble_judged: Judged | None
    outdone: bool
    soup: Run | None
    distilled: Run | None
    cascade: Ensemble | None
    cascade_left_out: str
    audit: Audit | None
    evaluations: tuple[EvaluationFacts | NumberEvaluationFacts, ...]
    stress: tuple[StressFacts, ...]
    shift: tuple[ShiftFacts, ...]
    outdated: tuple[str, ...]
    labels: AuditFacts | None
    facts: RunFacts

    @property
    def numeric(self) -> bool:
        """Whether rows have numbers, not labels."""
        return self.best.numbers is not None

    @property
    def name(self) -> str:
        """Of the study: its folder's."""
        return self.folder.resolve().name

    @property
    def place(self) -> str:
        """Its folder as commands on the page name it: without the folders of this machine."""
        return self.name if self.folder.is_absolute() else str(self.folder)

    @property
    def judged(self) -> Judged:
        """The model one would use: the ensemble, or the best run where there is none or the run is better beyond chance."""
        return self.best if self.ensemble_judged is None or self.outdone else self.ensemble_judged

    @property
    def model(self) -> str:
        """Its folder, likewise."""
        return f"{self.place}/{ENSEMBLE}" if self.judged.name == ENSEMBLE else f"{self.place}/runs/{self.best.name}"

    def group_of(self, run: str) -> Group:
        """The layout of a run."""
        return next(group for group in self.groups if run in group.result.runs)

    def group_named(self, layout: str) -> Group:
        """The layout of a name."""
        return next(group for group in self.groups if group.title == layout)


def collect(path: str | Path) -> Report:
    """Reads all there is in a study's folder.

    Raises:
        StudyError: it is no study's folder, has no finished run, its runs cannot be compared, or a file of it cannot be read.
        RunError, EnsembleError: a run or the ensemble is damaged.
    """
    if is_pack(Path(path)):
        raise StudyError(
            f"{path} is a pack, which holds one model and not the study that a report shows; give the study's folder, or run "
            f"`striata card {path}`",
            path=str(path),
        )
    folder = StudyFolder.open(path)
    standings = leaderboard(folder)
    comparison = compare_study(folder)
    runs = {run.name: run for run in folder.runs()}
    settings = folder.settings()
    groups = _groups(comparison, standings, runs, settings)
    ensemble = load_ensemble(folder.path / "ensemble") if (folder.path / "ensemble").is_dir() else None
    soup, distilled = (Run.load(place) if (place := folder.path / name).is_dir() else None for name in ("soup", "distilled"))
    cascade, left_out = _cascade(folder.path / "cascade")
    models = identities(
        [*runs.values(), *(run for run in (soup, distilled) if run is not None)],
        [one for one in (ensemble, cascade) if one is not None],
    )
    numeric = runs[standings[0].run].task.numeric
    evaluations, old_evaluations = read_evaluations(folder.path, models, numeric=numeric)
    stress, old_stress = of_today(read_kept(folder.path, "stress-*", STRESS), models)
    shift, old_shift = of_today(read_kept(folder.path, "shift-*", SHIFT), models)
    old = {"stress": old_stress, "shift": old_shift, "evaluate": old_evaluations}
    return Report(
        folder=folder.path,
        settings=settings,
        worth=measure_worth(list(runs.values()), ensemble),
        comparison=comparison,
        groups=groups,
        standings=tuple(standings),
        histories=tuple(_history(runs[row.run], group.place) for group in groups for row in group.standings),
        failed=folder.failed(),
        runs=runs,
        best=judge_run(runs[standings[0].run]),
        ensemble=ensemble,
        chosen=rule_of(folder.path),
        ensemble_judged=None if ensemble is None else judge_ensemble(ensemble),
        outdone=ensemble is not None and _outdone(ensemble, runs[standings[0].run]),
        soup=soup,
        distilled=distilled,
        cascade=cascade,
        cascade_left_out=left_out,
        audit=read_audit(folder.path),
        evaluations=evaluations,
        stress=stress,
        shift=shift,
        outdated=tuple(f"{kind} of {name}" for kind, names in old.items() for name in names),
        labels=next(iter(read_kept(folder.path, "audit", AUDIT)), None),
        facts=runs[standings[0].run].facts,
    )


def _outdone(ensemble: Ensemble, best: Run) -> bool:
    """Whether a run is better than the ensemble beyond chance; it was picked as the best of many, which flatters it."""
    pool, measure = join({best.name: best}), measure_of(best)
    own, together = measure.of_runs(pool, [best.name])[0], rows_together(ensemble, pool, measure)
    return gain(own, together, LEVEL, measure).high < 0


def read_evaluations(
    folder: Path, models: Mapping[str, str], *, numeric: bool
) -> tuple[tuple[EvaluationFacts | NumberEvaluationFacts, ...], list[str]]:
    """What `striata evaluate` kept of models as they are now, and the names of the models that are not.

    Args:
        folder: of the study.
        models: from :func:`identities`.
        numeric: whether the models' answers are numbers.
    """
    if numeric:
        return of_today(read_kept(folder, "evaluate-*", NUMBER_EVALUATION), models)
    return of_today(read_kept(folder, "evaluate-*", EVALUATION), models)


def _cascade(path: Path) -> tuple[Ensemble | None, str]:
    """A cascade, and why it is left out: training anew makes the ensemble again, but not what somebody made beside it."""
    if not path.is_dir():
        return None, ""
    try:
        return load_ensemble(path), ""
    except (EnsembleError, RunError) as error:
        return None, str(error)


def identities(runs: Sequence[Run], ensembles: Sequence[Ensemble]) -> dict[str, str]:
    """What stands for each model that is in the study now, by name; in results of checks precision and device follow it."""
    models = {run.name: Combiner(kind="logits", weights={run.name: 1.0}).identity_of({run.name: run.checksum}) for run in runs}
    for ensemble in ensembles:
        models[ensemble.folder.resolve().name] = ensemble.combiner.identity_of(
            {name: run.checksum for name, run in ensemble.runs.items()}
        )
    return models


def of_today(checks: Iterable[Checked], models: Mapping[str, str]) -> tuple[tuple[Checked, ...], list[str]]:
    """Results of checks on models as they are now, and the names of the models that are not."""
    now: list[Checked] = []
    others: list[str] = []
    for checked in checks:
        same = checked.model.identity.startswith(f"{models.get(checked.model.name)} ")
        if same:
            now.append(checked)
        else:
            others.append(checked.model.name)
    return tuple(now), others


def _groups(
    comparison: Comparison, standings: Sequence[Standing], runs: Mapping[str, Run], settings: Mapping[str, Any]
) -> tuple[Group, ...]:
    """The layouts as the study lists them, each followed by its controls; what it does not list comes last, by name."""
    listed = [entry if isinstance(entry, str) else entry.get("name") or entry["layout"] for entry in settings["layouts"]]
    by_title = {run.title: run for run in runs.values()}
    places: dict[str, int] = {}
    for result in comparison.layouts:
        run = runs[result.runs[0]]
        root = _family(run, by_title)
        known = {run.title, run.facts.layout, root, None if run.plan is None else run.plan.control_of}
        place = next((at for at, name in enumerate(listed) if name in known), len(listed))
        places[root] = min(place, places.get(root, place))

    def key(result: LayoutResult) -> tuple[int, str, int]:
        run = runs[result.runs[0]]
        root = _family(run, by_title)
        return places[root], root, (None, *CONTROLS).index(run.facts.control)

    families: dict[str, int] = {}
    groups = []
    for place, result in enumerate(sorted(comparison.layouts, key=key)):
        run = runs[result.runs[0]]
        family = families.setdefault(_family(run, by_title), len(families))
        groups.append(
            Group(
                place=place,
                result=result,
                control=run.facts.control or "",
                family=family,
                plan=run.plan,
                standings=tuple(row for row in standings if row.run in result.runs),
                receipts={name: receipt for name in result.runs if (receipt := runs[name].receipt()) is not None},
            )
        )
    return tuple(groups)


def _family(run: Run, by_title: Mapping[str, Run]) -> str:
    """The title of the layout that a run's layout is, or is the control of, be it a control's own control."""
    sources = run.facts.control_of.get(run.facts.control, ()) if run.facts.control else ()
    if not sources:
        return run.title
    source = by_title.get(sources[0])
    return sources[0] if source is None or not source.facts.control else _family(source, by_title)


def _history(run: Run, place: int) -> History:
    entries = run.history()

    def curve(name: str) -> Curve:
        return tuple((float(e["step"] or 0), float(value)) for e in entries if (value := e.get(name)) is not None)

    best_by = run.facts.recipe.get("best_by", run.task.rankings[0])
    return History(
        run=run.name,
        group=place,
        loss=curve("loss"),
        learning_rate=curve("learning_rate"),
        validation_loss=curve("validation_loss"),
        accuracy=curve("validation_accuracy"),
        best_by=best_by,
        deciding=curve(f"validation_{best_by}"),
        best_step=run.facts.best_step,
    )
