"""A run that learns from labels and from its ensemble's own answers to texts without labels, in rounds."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..baselines import BASELINES
from ..baselines.rows import Ints, Weights
from ..data import Columns, Table
from ..disk.sealed import sealing
from ..ensemble import Ensemble
from ..errors import EnsembleError, RunError, did_you_mean
from ..evidence.sentences import points
from ..evidence.worth import best_run, gain, rows_together
from ..figures.intervals import Interval
from ..model import Model
from ..model.baseline_scorers import TextScorer
from ..runs import Run, StudyFolder
from ..runs.adapter import write_adapter
from ..runs.facts import Distillation
from ..runs.joined import in_order, join
from ..runs.refusal import accepted
from ..runs.run import RunRecord, Validation, write_run
from ..runs.study_folder import is_run
from ..study import Prepared, prepare_again
from ..study.reweighting import reweighted
from ..study.stack_folder import StackFolder
from ..tasks import SINGLE_LABEL
from ..training.events import Listener, doing, nobody, note
from .consistency import consistency
from .lesson import Lesson, find_teacher, near_test_rows, plan_student, read_unlabelled, taught_by
from .pseudo import agreement, certainty, one_label_a_row
from .student import PLACE, free_target, kept_targets, train_student
from .teacher import Floats

if TYPE_CHECKING:
    from ..study.stacks import Context
    from ..training.loop import Outcome

NAME = "selftrained"
ADAPTER = "adapter"
LOSS = 0.002  # of accuracy against the teacher; a run that loses more is not kept
_KINDS = (ADAPTER, "frozen", "lexical")  # that learn from weighted rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTrained:
    """A run that learned from labels and from an ensemble's answers to texts without labels.

    Args:
        run: its folder, which opens like any run's.
        rounds: validation accuracy after each round; the best was kept.
        teacher: accuracy of the ensemble on the validation rows, each row by members that were chosen without it.
        difference: of the run's accuracy and the teacher's on the same rows, with its interval.
        rows: of validation.
    """

    run: Run
    rounds: tuple[float, ...]
    teacher: float
    difference: Interval
    rows: int

    def to_json(self) -> dict[str, object]:
        """Folder, what it learned from, figures."""
        facts = self.run.facts.distilled
        return {
            "folder": str(self.run.path),
            "kind": self.run.kind,
            "distilled": None if facts is None else facts.model_dump(mode="json"),
            "transductive": self.run.facts.transductive,
            "metrics": dict(self.run.metrics),
            "rounds": list(self.rounds),
            "teacher_accuracy": self.teacher,
            "difference": asdict(self.difference),
            "rows": self.rows,
        }

    def lines(self) -> list[str]:
        """For people: what it learned from, and it beside the teacher."""
        facts = self.run.facts.distilled
        assert facts is not None
        return [
            f"a run of kind {self.run.kind}, self-trained on {facts.labelled:,} labelled rows and on {facts.unlabelled:,} texts "
            f"without labels that count as {facts.counted or 0:,.0f} rows; round {facts.round} of {len(self.rounds)}",
            self.comparison,
            f"transductive: figures on these texts, and on others like them, are not those of new data; in {self.run.path}",
        ]

    @property
    def comparison(self) -> str:
        """The run beside its teacher, in words."""
        change = self.difference
        return (
            f"validation accuracy {self.run.metrics['accuracy']:.4f}, the ensemble that taught it {self.teacher:.4f}: "
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
    """Trains one run on labels and on an ensemble's answers; see :func:`striata.selftrain`."""
    folder = StudyFolder.open(path)
    if rounds < 1:
        raise EnsembleError(f"{rounds}: expected at least 1", argument="rounds")
    if not 0 <= loss <= 1:
        raise EnsembleError(f"{loss:g} is no share; expected a value from 0 to 1", argument="loss")
    ensemble = find_teacher(folder, "self-training")
    task = next(iter(ensemble.runs.values())).task
    if task.name != SINGLE_LABEL.name:
        raise EnsembleError(f"self-training is for one label of several; the task of {folder.path} is {task.name}")
    target, pattern = free_target(folder, out, NAME), _pattern(folder, kind)
    prepared = reweighted(prepare_again(folder, data, base), folder.path, listen, device)
    texts = read_unlabelled(unlabelled, columns, prepared, listen)
    near = near_test_rows(texts, prepared, listen)
    place = StackFolder(folder.path / PLACE / NAME)
    course = _Course(folder, ensemble, pattern, prepared, texts, near, steps, seed, consistency, place, listen, device)
    with place.held():
        try:
            made = course.take(rounds)
            if made.difference.value >= -loss:
                with sealing(target, "run") as copy:
                    made.run.seal.copy(copy)
                made = replace(made, run=Run.load(target))
        except BaseException:
            if not place.checkpoint.exists() and not is_run(course.path(1)):  # with one, the same call goes on from there
                place.remove()
            raise
        place.remove()
    if made.difference.value < -loss:
        raise EnsembleError(
            f"the self-trained run is worse than its teacher: {made.comparison}; nothing was written; use the ensemble as it is, "
            "or say by `loss` how much worse the run may be"
        )
    return made


def _pattern(folder: StudyFolder, kind: str | None) -> Run:
    """The run whose kind and settings are learned with: the best one with adapters, and where there is none the best baseline.

    Raises:
        EnsembleError: there is none of the kind.
    """
    if kind is not None and kind not in _KINDS:
        raise EnsembleError(f"'{kind}'{did_you_mean(kind, _KINDS)}; expected {', '.join(_KINDS)}", argument="kind")
    runs = [run for run in accepted(folder.runs()) if run.kind in _KINDS and run.facts.distilled is None]
    kinds = [kind] if kind is not None else [ADAPTER] if any(run.kind == ADAPTER for run in runs) else list(_KINDS)
    best = best_run([run for run in runs if run.kind in kinds])
    if best is None:
        raise EnsembleError(f"{folder.path} has no run of kind {' or '.join(kinds)}, as which a run could be self-trained")
    return best


@dataclass(frozen=True, slots=True)
class _Course:
    """Rounds, each of which learns from what was there before it."""

    folder: StudyFolder
    ensemble: Ensemble
    pattern: Run
    prepared: Prepared
    texts: Table
    near: int
    steps: int | None
    seed: int | None
    consistency: bool
    place: StackFolder
    listen: Listener
    device: str

    def path(self, number: int) -> Path:
        """Where a round's run lies until the last one has ended."""
        return self.place.path / f"round-{number}"

    def take(self, rounds: int) -> SelfTrained:
        """All rounds, and the best of them beside the teacher."""
        doing(self.listen, f"the ensemble of {len(self.ensemble.runs)} answers {len(self.texts):,} unlabelled texts")
        answers, agreed = self._ask()
        runs: list[Run] = []
        for number in range(1, rounds + 1):
            known = answers if not runs else np.mean([answers, self._answers(runs[-1])], axis=0)
            runs.append(self._round(number, known, certainty(known) * agreed))
        best = max(runs, key=lambda run: (run.metrics["accuracy"], -run.metrics["loss"]))
        pool = join({best.name: best})
        together, right = rows_together(self.ensemble, pool), pool.right([best.name])[0]
        return SelfTrained(
            run=best,
            rounds=tuple(run.metrics["accuracy"] for run in runs),
            teacher=float(together.mean()),
            difference=gain(together, right),
            rows=len(right),
        )

    def _open(self, path: Path, *, base: bool) -> Model:
        study = self.prepared.study
        return Model.load(path, base=study.base if base else None, device=self.device, precision=study.recipe.precision)

    def _ask(self) -> tuple[Floats, Weights]:
        """The ensemble's calibrated probabilities, (texts, labels), and which share of its members agrees with each, (texts,).

        With `consistency` times the share of the perturbations under which the answer stays the same.
        """
        model = self._open(self.ensemble.folder, base=any(run.base for run in self.ensemble.runs.values()))
        model.warn = partial(note, self.listen)
        combined, members = model.with_members(self.texts.texts, self.texts.pairs)
        answers = in_order(model.probabilities(combined), model.labels, self.prepared.splits.labels)
        decided = SINGLE_LABEL.decide(combined)
        agreed = agreement(decided, members)
        if self.consistency:
            doing(self.listen, f"the ensemble answers {len(self.texts):,} unlabelled texts made worse")
            agreed = agreed * consistency(model, self.texts, decided, self._seed)
        return answers, agreed

    @property
    def _seed(self) -> int:
        return self.pattern.seed if self.seed is None else self.seed

    def _answers(self, run: Run) -> Floats:
        model = self._open(run.path, base=run.base is not None)
        return in_order(model.predict_proba(self.texts.texts, self.texts.pairs), model.labels, self.prepared.splits.labels)

    def _round(self, number: int, answers: Floats, counts: Weights) -> Run:
        """A round's run, from the disk where it was finished by an interrupted call."""
        facts = taught_by(self.ensemble, self.prepared, self.texts, hard=1.0).model_copy(
            update={"round": number, "counted": float(counts.sum()), "near_test": self.near, "consistency": self.consistency}
        )
        if is_run(self.path(number)):
            run = Run.load(self.path(number))
            if (run.facts.distilled, run.kind, run.seed) == (facts, self.pattern.kind, self._seed):
                return run
        doing(self.listen, f"round {number}: {len(self.texts):,} texts count as {counts.sum():,.0f} rows")
        labels = len(self.prepared.splits.labels)
        truth = np.eye(labels, dtype=np.float32)[self.prepared.targets["train"]]
        targets = np.concatenate([truth, answers]).astype(np.float32)
        own = np.ones(len(truth)) if self.prepared.weights is None else self.prepared.weights
        weights = np.concatenate([own, counts])
        learn = self._train if self.pattern.kind == ADAPTER else self._fit
        run = learn(facts, targets, weights)
        note(self.listen, f"round {number}: validation accuracy {run.metrics['accuracy']:.4f}")
        return run

    def _train(self, facts: Distillation, targets: Floats, weights: Weights) -> Run:
        """Adapters, trained on all rows together."""
        from ..study.stacks import record_of, sound

        lesson = Lesson(
            folder=self.folder,
            prepared=self.prepared,
            ensemble=self.ensemble,
            best=self.pattern,
            unlabelled=self.texts,
            hard=facts.hard,
            member=plan_student(self.pattern, self.prepared, name=NAME, layout=None, steps=self.steps, seed=self.seed),
            round=facts.round,
            consistency=self.consistency,
        )

        def keep(context: Context, outcome: Outcome, speed: float | None) -> Run:
            outcome = sound(outcome)
            if outcome.best is None:
                raise RunError(f"the self-trained run failed: {outcome.stopped}; nothing was written")
            record = record_of(context, lesson.member, outcome, speed)
            write = partial(write_adapter, plan=lesson.member.plan, tensors=outcome.best.tensors)
            return write_run(self.path(facts.round), _with(record, facts), write)

        taught = kept_targets(lesson, self.place, self.listen, lambda: targets)
        run = train_student(lesson, self.place, taught, weights, keep, self.listen, self.device)
        self.place.checkpoint.unlink(missing_ok=True)
        return run

    def _fit(self, facts: Distillation, targets: Floats, weights: Weights) -> Run:
        """A baseline, fitted on all rows together, those without labels once for each label that they may have."""
        start, splits = time.perf_counter(), self.prepared.splits
        scorer = self._open(self.pattern.path, base=self.pattern.base is not None).scorers[0]
        assert isinstance(scorer, TextScorer)
        rows = scorer.rows(splits.train.texts, splits.train.pairs).followed_by(scorer.rows(self.texts.texts, self.texts.pairs))
        several, places = one_label_a_row(rows, targets, weights)
        baseline = BASELINES[self.pattern.kind].fit(several, places, len(splits.labels), seed=self._seed)
        logits = baseline.logits(scorer.rows(splits.validation.texts, splits.validation.pairs))
        truth: Ints = self.prepared.targets["validation"]
        if not np.isfinite(logits).all():
            raise RunError("the self-trained run gives no finite numbers; nothing was written")
        known = self.pattern.facts.model_copy(
            update={
                "name": NAME,
                "title": NAME,
                "seed": self._seed,
                "recipe": {"baseline": self.pattern.kind, "embedded_rows": None},
                "trainable": baseline.trainable,
                "labels": splits.labels,
                "metrics": splits.task.scores(logits, truth).to_json(),
                "seconds": time.perf_counter() - start,
                "shared_seconds": 0.0,
            }
        )
        ids, hashes = splits.validation.ids, splits.validation.text_hashes()
        record = RunRecord(
            facts=known,
            plan=None,
            receipt=None,
            history=[],
            validation=Validation(ids=ids, texts=hashes, labels=truth, logits=logits),
        )
        return write_run(self.path(facts.round), _with(record, facts), baseline.write)


def _with(record: RunRecord, facts: Distillation) -> RunRecord:
    """A record that says what was learned from."""
    return replace(record, facts=record.facts.model_copy(update={"distilled": facts}))
