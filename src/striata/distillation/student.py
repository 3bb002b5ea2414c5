"""One run trained on an ensemble's probabilities, kept only if it is as good as the best single run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..baselines.rows import Weights
from ..data import Columns
from ..errors import EnsembleError, RunError, StriataError
from ..layout import Layout
from ..model import Model
from ..runs import Run, StudyFolder
from ..runs.adapter import write_adapter
from ..runs.run import write_run
from ..study import prepare_again
from ..study.reweighting import reweighted
from ..study.stack_folder import StackFolder
from ..training.events import Listener, nobody, note
from .lesson import NAME, Lesson, find_best, find_teacher, near_test_rows, plan_student, read_unlabelled
from .teacher import Floats, read_targets, soft_targets, write_targets
from .verdict import Verdict, judge

if TYPE_CHECKING:
    from ..study.stacks import Context
    from ..training.loop import Outcome

T = TypeVar("T")
PLACE = "unfinished"  # in the study's folder, while it is trained; among the stacks a study would take it for one of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """A run that was trained on an ensemble's probabilities.

    Args:
        run: its folder, which opens like any run's.
        verdict: it beside its ensemble and the best single run.
    """

    run: Run
    verdict: Verdict

    def to_json(self) -> dict[str, object]:
        """Folder, what it learned from, figures."""
        facts = self.run.facts.distilled
        return {
            "folder": str(self.run.path),
            "layout": self.run.facts.layout,
            "distilled": None if facts is None else facts.model_dump(mode="json"),
            "metrics": dict(self.run.metrics),
            "trainable": self.run.trainable,
            **self.verdict.to_json(),
        }

    def lines(self) -> list[str]:
        """For people: what it learned from, it beside the best single run and the ensemble, the cost."""
        facts, verdict = self.run.facts.distilled, self.verdict
        assert facts is not None
        more = f" and {facts.unlabelled:,} unlabelled texts" if facts.unlabelled else ""
        return [
            f"distilled from {', '.join(facts.members)} on {facts.labelled:,} training rows{more}, best of "
            f"{self.run.facts.steps:,} steps: {self.run.facts.best_step:,}",
            f"the distilled run: {verdict.comparison}",
            verdict.retained,
            f"{verdict.cost}; {self.run.trainable:,} trained parameters, in {self.run.path}",
        ]

    @property
    def remark(self) -> str:
        """What to think of these figures."""
        return "the single runs' accuracies flatter a little: their checkpoints were chosen on these same validation rows"


def distil_ensemble(
    path: str | Path,
    *,
    data: object = None,
    unlabelled: object = None,
    columns: Columns | None = None,
    layout: str | Layout | Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    hard: float = 0.0,
    loss: float = 0.0,
    out: str | Path | None = None,
    base: str | Path | None = None,
    listen: Listener = nobody,
    device: str = "auto",
) -> Distilled:
    """Trains one run on the probabilities of a study's ensemble; see :func:`striata.distil`."""
    folder = StudyFolder.open(path)
    for argument, share in (("hard", hard), ("loss", loss)):
        if not 0 <= share <= 1:
            raise EnsembleError(f"{share:g} is no share; expected a value from 0 to 1", argument=argument)
    ensemble, best, target = find_teacher(folder, "distilling"), find_best(folder), free_target(folder, out, NAME)
    prepared = reweighted(prepare_again(folder, data, base), folder.path, listen, device)
    texts = None if unlabelled is None else read_unlabelled(unlabelled, columns, prepared, listen)
    lesson = Lesson(
        folder=folder,
        prepared=prepared,
        ensemble=ensemble,
        best=best,
        unlabelled=texts,
        hard=hard,
        member=plan_student(best, prepared, layout=layout, steps=steps, seed=seed),
        near_test=0 if texts is None else near_test_rows(texts, prepared, listen),
    )

    def keep(context: Context, outcome: Outcome, speed: float | None) -> Distilled | StriataError:
        return _keep(lesson, context, outcome, speed, target=target, loss=loss)

    place = StackFolder(folder.path / PLACE / NAME)
    with place.held():
        try:
            targets = kept_targets(lesson, place, listen, lambda: _ask(lesson, listen, device))
            result = train_student(lesson, place, targets, lesson.weights, keep, listen, device)
        except BaseException:
            if not place.checkpoint.exists():  # with one, the same call goes on from there
                place.remove()
            raise
        place.remove()
    if isinstance(result, StriataError):
        raise result
    return result


def free_target(folder: StudyFolder, out: str | Path | None, name: str) -> Path:
    """Where a run goes: a new place, or that of another run that learned from an ensemble.

    Raises:
        EnsembleError: something else is there.
    """
    target = folder.path / name if out is None else Path(out)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        try:
            replaced = Run.load(target).facts.distilled is not None
        except RunError:
            replaced = False
        if not replaced:
            raise EnsembleError(f"{target} is there and is no {name} run; give another name", argument="out")
    return target


def kept_targets(lesson: Lesson, place: StackFolder, listen: Listener, teach: Callable[[], Floats]) -> Floats:
    """What a lesson's rows are to answer, (rows, labels): that of an interrupted call, which goes on, or anew by `teach`."""
    file = place.path / "targets.safetensors"
    targets = read_targets(file, lesson.request)
    if targets is not None:
        if place.checkpoint.exists():
            note(listen, f"going on from step {place.states()[0].step}")
        return targets
    if place.checkpoint.exists():
        note(listen, "an interrupted call distilled something else; it begins anew")
        place.checkpoint.unlink()
    targets = teach()
    write_targets(file, targets, lesson.request)
    return targets


def open_teacher(lesson: Lesson, device: str) -> Model:
    """The ensemble, to be asked."""
    study = lesson.prepared.study
    base = study.base if any(run.base for run in lesson.ensemble.runs.values()) else None
    return Model.load(lesson.ensemble.folder, base=base, device=device, precision=study.recipe.precision)


def _ask(lesson: Lesson, listen: Listener, device: str) -> Floats:
    """The ensemble's probabilities."""
    rows, texts = len(lesson.prepared.splits.train), lesson.unlabelled
    more = "" if texts is None else f" and {len(texts):,} unlabelled texts"
    note(listen, f"the ensemble of {len(lesson.ensemble.runs)} answers {rows:,} training rows{more}")
    targets = soft_targets(open_teacher(lesson, device), lesson.prepared, texts, hard=lesson.hard)
    confidence = f"mean largest probability in the targets: {targets[:rows].max(1).mean():.4f} of training rows"
    note(listen, confidence if texts is None else f"{confidence}, {targets[rows:].max(1).mean():.4f} of unlabelled texts")
    return targets


def train_student(
    lesson: Lesson,
    place: StackFolder,
    targets: Floats,
    weights: Weights | None,
    keep: Callable[[Context, Outcome, float | None], T],
    listen: Listener,
    device: str,
) -> T:
    """Trains the student, and does with it what `keep` says before its checkpoint goes.

    Args:
        lesson: what it is.
        place: of its checkpoint.
        targets: of the lesson's rows, (rows, labels).
        weights: how much each of these rows counts, (rows,); None where all count alike.
        keep: of what is common to a study's runs, of how the student ended, and of the texts that it answers a second.
        listen: told of every step, evaluation and ending.
        device: "cpu", "cuda" or "auto".
    """
    from ..engine import Encoder, Stack
    from ..study.stacks import Context
    from ..training.loop import Trainer
    from ..training.validation import Validator

    prepared, member, study = lesson.prepared, lesson.member, lesson.prepared.study
    precision, dropout = study.recipe.precision, study.recipe.encoder_dropout
    encoder = Encoder.load(study.base, head=member.plan.head, precision=precision, device=device, dropout=dropout)
    if encoder.sha256 != lesson.best.facts.base_sha256:
        raise EnsembleError(f"encoder {study.base} is not the one the runs were trained on; give it the same weights")
    validator = Validator(prepared.encoded["validation"], prepared.targets["validation"], study.data.seed, prepared.splits.task)
    context, results = Context(prepared, encoder, lesson.folder), list[T]()
    trainer = Trainer(
        Stack(encoder, [member.plan]),
        [member],
        texts=lesson.encoded(),
        targets=targets,
        weights=weights,
        names=prepared.splits.labels,
        validator=validator,
        checkpoint=place.checkpoint,
        ended=lambda outcome: results.append(keep(context, outcome, validator.texts_per_second)),
        listen=listen,
    )
    trainer.run()
    return results[0]


def _keep(
    lesson: Lesson, context: Context, outcome: Outcome, speed: float | None, *, target: Path, loss: float
) -> Distilled | StriataError:
    """Writes the student's run if it is good enough; else returns what is to be said of it."""
    from ..study.stacks import record_of, sound

    outcome, member = sound(outcome), lesson.member
    if outcome.best is None:
        return RunError(f"the distilled run failed: {outcome.stopped}; nothing was written")
    record = record_of(context, member, outcome, speed)
    verdict = judge(outcome.best.logits, record.validation.ids, lesson.best, lesson.ensemble)
    if verdict.difference.value < -loss:
        return EnsembleError(
            f"the distilled run reaches {verdict.comparison}; {verdict.retained}; nothing was written; give it more unlabelled "
            "texts or more steps, or say by `loss` how much worse it may be"
        )
    record = replace(record, facts=record.facts.model_copy(update={"distilled": lesson.facts}))
    run = write_run(target, record, partial(write_adapter, plan=member.plan, tensors=outcome.best.tensors))
    return Distilled(run=run, verdict=verdict)
