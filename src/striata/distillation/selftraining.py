"""Runs that learn from labels and from their ensemble's own answers to texts without labels, and the ensemble of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..choices import BASELINES
from ..data import Columns
from ..disk.files import new_folder
from ..ensemble import Ensemble, load_ensemble
from ..errors import EnsembleError, StriataError, did_you_mean
from ..evidence.sentences import points
from ..evidence.worth import best_run, gain, rows_together
from ..figures.intervals import Interval
from ..runs import Run, StudyFolder
from ..runs.joined import join
from ..runs.refusal import accepted
from ..runs.study_folder import SETTINGS
from ..study import prepare_again
from ..study.reweighting import reweighted
from ..study.stack_folder import StackFolder
from ..tasks import SINGLE_LABEL
from ..training.events import Listener, nobody, note
from .course import ADAPTER, Course, Round
from .lesson import find_teacher, near_test_rows, read_unlabelled
from .student import PLACE, free_target

NAME = "selftrained"
_WRITTEN = {SETTINGS, "runs", "ensemble", "cascade", "checks", "cache", "report.html", "test.json"}  # in it, here and by commands
LOSS = 0.002  # of accuracy against the teacher; what loses more is not kept
KINDS = (ADAPTER, *(kind for kind in BASELINES if kind != "majority"))  # that learn from texts


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTrained:
    """What learned from labels and from an ensemble's answers to texts without labels.

    Args:
        folder: opens like a study's, with runs in it and their ensemble.
        runs: by name.
        ensemble: of these; None where one run learned.
        rounds: validation accuracy after each round, of an ensemble each row by members that were chosen without it; the best was
            kept.
        teacher: accuracy of the ensemble that taught, likewise.
        difference: of both on the same validation rows, with its interval.
        rows: of validation.
    """

    folder: Path
    runs: Mapping[str, Run]
    ensemble: Ensemble | None
    rounds: tuple[float, ...]
    teacher: float
    difference: Interval
    rows: int

    @property
    def accuracy(self) -> float:
        """That of the best round, on the validation rows."""
        return max(self.rounds)

    def to_json(self) -> dict[str, object]:
        """Folder, what was learned from, figures."""
        facts = next(iter(self.runs.values())).facts
        return {
            "folder": str(self.folder),
            "runs": {name: {"kind": run.kind, "folder": str(run.path), **run.metrics} for name, run in self.runs.items()},
            "ensemble": None if self.ensemble is None else self.ensemble.to_json(),
            "distilled": None if facts.distilled is None else facts.distilled.model_dump(mode="json"),
            "transductive": facts.transductive,
            "rounds": list(self.rounds),
            "accuracy": self.accuracy,
            "teacher_accuracy": self.teacher,
            "difference": asdict(self.difference),
            "rows": self.rows,
        }

    def lines(self) -> list[str]:
        """For people: what learned from what, and it beside the teacher."""
        facts = next(iter(self.runs.values())).facts.distilled
        assert facts is not None
        return [
            f"{', '.join(self.runs)}, self-trained on {facts.labelled:,} labelled rows and on {facts.unlabelled:,} texts without "
            f"labels that count as {facts.counted or 0:,.0f} rows; round {facts.round} of {len(self.rounds)}",
            self.comparison,
            f"transductive: figures on these texts, and on others like them, are not those of new data; in {self.folder}",
        ]

    @property
    def comparison(self) -> str:
        """It beside its teacher, in words."""
        change = self.difference
        return (
            f"validation accuracy {self.accuracy:.4f}, the ensemble that taught it {self.teacher:.4f}: "
            f"{points(change.value)} points ({points(change.low)} to {points(change.high)}) on {self.rows:,} rows"
        )


def self_train(
    path: str | Path,
    unlabelled: object,
    *,
    rounds: int = 2,
    kind: str | None = None,
    data: object = None,
    columns: Columns | None = None,
    steps: int | None = None,
    seed: int | None = None,
    loss: float = LOSS,
    consistency: bool = False,
    out: str | Path | None = None,
    base: str | Path | None = None,
    listen: Listener = nobody,
    device: str = "auto",
) -> SelfTrained:
    """Trains runs on labels and on an ensemble's answers; see :func:`striata.selftrain`."""
    folder = StudyFolder.open(path)
    if rounds < 1:
        raise EnsembleError(f"{rounds}: expected at least 1", argument="rounds")
    if not 0 <= loss <= 1:
        raise EnsembleError(f"{loss:g} is no share; expected a value from 0 to 1", argument="loss")
    ensemble = find_teacher(folder, "self-training")
    task = next(iter(ensemble.runs.values())).task
    if task.name != SINGLE_LABEL.name:
        raise EnsembleError(f"self-training is for one label of several; the task of {folder.path} is {task.name}")
    target, patterns = _target(folder, out), _patterns(folder, ensemble, kind, listen)
    prepared = reweighted(prepare_again(folder, data, base), folder.path, listen, device)
    texts = read_unlabelled(unlabelled, columns, prepared, listen)
    course = Course(
        folder=folder,
        ensemble=ensemble,
        patterns=patterns,
        prepared=prepared,
        texts=texts,
        near=near_test_rows(texts, prepared, listen),
        steps=steps,
        seed=seed,
        consistency=consistency,
        place=StackFolder(folder.path / PLACE / NAME),
        listen=listen,
        device=device,
    )
    course.check()
    with course.place.held():
        try:
            made = _write_best(course, course.take(rounds), target, loss)
        except BaseException:
            if not course.has_begun:
                course.place.remove()
            raise
        course.place.remove()
    if isinstance(made, EnsembleError):
        raise made
    return made


def _target(folder: StudyFolder, out: str | Path | None) -> Path:
    """Where it goes: a new place, or that of runs that learned so before.

    Raises:
        EnsembleError: something else is there, or it is the study's own folder.
    """
    target = folder.path / NAME if out is None else Path(out)
    if not (target / SETTINGS).is_file():
        return free_target(folder, out, NAME)
    with suppress(StriataError):
        runs = StudyFolder.open(target).runs()
        own = folder.path.resolve().is_relative_to(target.resolve())
        others = {path.name for path in target.iterdir()} - _WRITTEN
        if runs and not own and not others and all(run.facts.distilled is not None for run in runs):
            return target
    raise EnsembleError(f"{target} is there and holds more than {NAME} runs; give another name", argument="out")


def _patterns(folder: StudyFolder, ensemble: Ensemble, kind: str | None, listen: Listener) -> tuple[Run, ...]:
    """The runs with whose kinds and settings others learn: all of the ensemble, or the best one of a kind.

    Raises:
        EnsembleError: there is none.
    """
    if kind is None:
        runs = [run for run in ensemble.runs.values() if run.kind in KINDS]
        for name in sorted(set(ensemble.runs) - {run.name for run in runs}):
            note(listen, f"{name} learns nothing from texts and is left out")
        if not runs:
            raise EnsembleError(
                f"the ensemble of {folder.path} has no run of kind {' or '.join(KINDS)}, as which others could learn"
            )
        return tuple(runs)
    if kind not in KINDS:
        raise EnsembleError(f"'{kind}'{did_you_mean(kind, KINDS)}; expected {', '.join(KINDS)}", argument="kind")
    best = best_run([run for run in accepted(folder.runs()) if run.kind == kind])
    if best is None:
        raise EnsembleError(f"{folder.path} has no run of kind {kind}, as which a run could be self-trained")
    return (best,)


def _write_best(course: Course, taken: Sequence[Round], target: Path, loss: float) -> SelfTrained | EnsembleError:
    """Writes the best round's folder if it is good enough; else gives what is to be said of it."""
    best = max(taken, key=lambda one: (one.metrics["accuracy"], -one.metrics["loss"]))
    pool = join(best.runs)
    teacher = rows_together(course.ensemble, pool)
    own = pool.right(list(best.runs))[0] if best.ensemble is None else rows_together(best.ensemble, pool)
    made = SelfTrained(
        folder=target,
        runs=best.runs,
        ensemble=best.ensemble,
        rounds=tuple(one.metrics["accuracy"] for one in taken),
        teacher=float(teacher.mean()),
        difference=gain(teacher, own),
        rows=len(own),
    )
    if made.difference.value < -loss:
        return EnsembleError(
            f"what was self-trained is worse than its teacher: {made.comparison}; nothing was written; use the ensemble as it "
            "is, or say by `loss` how much worse it may be"
        )
    with new_folder(target) as copy:
        for name, run in best.runs.items():
            shutil.copytree(run.path, copy / "runs" / name)
        if best.ensemble is not None:
            shutil.copytree(best.ensemble.folder, copy / "ensemble")
        course.write_settings(StudyFolder(copy), target)
    runs = {run.name: run for run in StudyFolder.open(target).runs()}
    return replace(made, runs=runs, ensemble=None if best.ensemble is None else load_ensemble(target / "ensemble"))
