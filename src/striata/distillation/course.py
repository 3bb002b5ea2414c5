"""Rounds of self-training: runs that learn from labels and from answers, each round from what was there before it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..baselines import BASELINES, Rows
from ..baselines.rows import Weights
from ..choices import METHODS
from ..data import Table
from ..disk.files import write_text
from ..ensemble import Ensemble, write_ensemble
from ..errors import EnsembleError, RunError
from ..model import Model
from ..runs import Member, Run, StudyFolder
from ..runs.adapter import write_adapter
from ..runs.facts import Distillation
from ..runs.joined import in_order
from ..runs.run import RunRecord, Validation, write_run
from ..runs.study_folder import is_run
from ..study import Prepared
from ..study.contenders import fit_baseline, fit_failure, held_weights, rows_embedded
from ..study.embeddings import StudyEmbeddings
from ..study.stack_folder import StackFolder
from ..tasks import SINGLE_LABEL
from ..training.events import Listener, doing, note
from .consistency import consistency
from .lesson import Lesson, plan_student, taught_by
from .pseudo import agreement, certainty, one_label_a_row, sharpened
from .student import kept_targets, train_student
from .teacher import Floats

if TYPE_CHECKING:
    from ..study.stacks import Context
    from ..training.loop import Outcome

ADAPTER = "adapter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came out of a round.

    Args:
        folder: a study's, which holds the runs and their ensemble.
        runs: by name.
        ensemble: of these; None where there is one.
    """

    folder: StudyFolder
    runs: Mapping[str, Run]
    ensemble: Ensemble | None

    @property
    def metrics(self) -> Mapping[str, float]:
        """On the validation rows, of an ensemble each by members that were chosen without it."""
        return next(iter(self.runs.values())).metrics if self.ensemble is None else self.ensemble.nested

    @property
    def model(self) -> Path:
        """The folder of what answers."""
        return next(iter(self.runs.values())).path if self.ensemble is None else self.ensemble.folder


@dataclass(frozen=True, kw_only=True)
class Course:
    """What is learned, by whom, from what.

    Args:
        folder: of the study.
        ensemble: of it, the teacher.
        patterns: runs of the study as which others learn, with their kinds and settings.
        prepared: the study's data.
        texts: without labels.
        near: how many of these are near copies of test rows.
        steps: most optimizer steps of adapters; None for as many as the recipes say.
        seed: of all runs; None for that of each pattern.
        consistency: whether texts count by how their answers stand perturbations, too.
        place: of checkpoints, and of the rounds until the last one has ended.
        listen: told of every step, evaluation and ending.
        device: "cpu", "cuda" or "auto".
    """

    folder: StudyFolder
    ensemble: Ensemble
    patterns: tuple[Run, ...]
    prepared: Prepared
    texts: Table
    near: int
    steps: int | None
    seed: int | None
    consistency: bool
    place: StackFolder
    listen: Listener
    device: str

    def check(self) -> None:
        """Says at once what cannot be trained.

        Raises:
            EnsembleError: there are too few steps for adapters.
        """
        adapters = [self.member_like(pattern) for pattern in self.patterns if pattern.kind == ADAPTER]
        if self.steps is not None and not adapters:
            note(self.listen, "none that learns has adapters: `steps` changes nothing")

    def take(self, rounds: int) -> list[Round]:
        """All rounds; what an interrupted call left is gone on with where it learned the same."""
        self._begin()
        doing(self.listen, f"the ensemble of {len(self.ensemble.runs)} answers {len(self.texts):,} unlabelled texts")
        answers, agreed = self._ask()
        taken: list[Round] = []
        for number in range(1, rounds + 1):
            known = answers if not taken else np.mean([answers, self._answers(taken[-1])], axis=0)
            taken.append(self._round(number, known, certainty(known) * agreed))
            note(self.listen, f"round {number}: validation accuracy {taken[-1].metrics['accuracy']:.4f}")
        return taken

    def _begin(self) -> None:
        """Empties the place where an interrupted call learned something else."""
        file = self.place.path / "request.txt"
        if file.is_file() and file.read_text(encoding="utf-8") == self._request:
            return
        if self.place.checkpoint.exists() or file.is_file():
            note(self.listen, "an interrupted call learned something else; it begins anew")
        file.unlink(missing_ok=True)  # first, so that what is left of a folder is never gone on with
        for entry in self.place.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry != self.place.lock:
                entry.unlink()
        write_text(file, self._request)

    @property
    def _request(self) -> str:
        """Stands for all that a round follows from."""
        weights = self.prepared.weights
        parts = [
            self.ensemble.seal.checksum, [run.checksum for run in self.patterns], self.prepared.splits.fingerprint,
            self.texts.reference, self.steps, self.seed, self.consistency,
            None if weights is None else hashlib.sha256(weights.tobytes()).hexdigest(),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def round_folder(self, number: int) -> StudyFolder:
        """Where a round's runs lie until the last one has ended."""
        return StudyFolder(self.place.path / f"round-{number}")

    @property
    def has_begun(self) -> bool:
        """Whether there is something from which the same call goes on."""
        first = self.round_folder(1)
        return self.place.checkpoint.exists() or any(is_run(first.run_folder(run.name)) for run in self.patterns)

    def write_settings(self, folder: StudyFolder, place: Path) -> None:
        """Makes a folder one of the study's data and settings.

        Args:
            folder: as yet without settings.
            place: where it will lie.
        """
        study, prepared = self.prepared.study.model_copy(update={"output": str(place)}), self.prepared
        counted_from = study.places.seen_from(place)
        folder.write_settings(study.to_dict(), prepared.splits.fingerprint, prepared.tokenizer_sha256, counted_from)

    def _open(self, path: Path, *, base: bool) -> Model:
        study = self.prepared.study
        model = Model.load(path, base=study.base if base else None, device=self.device, precision=study.recipe.precision)
        model.warn = partial(note, self.listen)
        return model

    def _ask(self) -> tuple[Floats, Weights]:
        """The ensemble's calibrated probabilities, (texts, labels), and which share of its members agrees with each, (texts,).

        With `consistency` times the share of the perturbations under which the answer stays the same.
        """
        model = self._open(self.ensemble.folder, base=any(run.base for run in self.ensemble.runs.values()))
        members = self._member_logits(model)
        combined = model.combiner.apply(members)
        answers = in_order(model.probabilities(combined), model.labels, self.prepared.splits.labels)
        decided = SINGLE_LABEL.decide(combined)
        agreed = agreement(decided, members)
        if self.consistency:
            doing(self.listen, f"the ensemble answers {len(self.texts):,} unlabelled texts made worse")
            seed = self.prepared.study.data.seed if self.seed is None else self.seed
            agreed = agreed * consistency(model, self.texts, decided, seed)
        return answers, agreed

    def _answers(self, taken: Round) -> Floats:
        members = taken.runs if taken.ensemble is None else taken.ensemble.runs
        model = self._open(taken.model, base=any(run.base for run in members.values()))
        combined = model.combiner.apply(self._member_logits(model))
        return in_order(model.probabilities(combined), model.labels, self.prepared.splits.labels)

    def _member_logits(self, model: Model) -> dict[str, Floats]:
        """Logits of a model's members for the texts, by name, (texts, labels); texts are embedded once for all rounds."""
        embedded = {name: run for name, run in model.runs.items() if run.kind in BASELINES and BASELINES[run.kind].embedded}
        others = [name for name in model.runs if name not in embedded]
        logits = model.member_logits(self.texts.texts, self.texts.pairs, names=others)
        for name, run in embedded.items():
            answers = run.read(BASELINES[run.kind].read).logits(self._rows(run, self.texts))
            logits[name] = in_order(answers, run.labels, model.labels)
        return logits

    def _round(self, number: int, answers: Floats, counts: Weights) -> Round:
        """A round, its runs from the disk as far as an interrupted call finished them."""
        folder = self.round_folder(number)
        self.write_settings(folder, folder.path)
        facts = taught_by(self.ensemble, self.prepared, self.texts, hard=1.0).model_copy(
            update={"round": number, "counted": float(counts.sum()), "near_test": self.near, "consistency": self.consistency}
        )
        truth = np.eye(len(self.prepared.splits.labels), dtype=np.float32)[self.prepared.targets["train"]]
        targets = np.concatenate([truth, sharpened(answers)]).astype(np.float32)
        own = np.ones(len(truth)) if self.prepared.weights is None else self.prepared.weights
        weights, runs = np.concatenate([own, counts]), dict[str, Run]()
        for pattern in self.patterns:
            path = folder.run_folder(pattern.name)
            run = Run.load(path) if is_run(path) else None
            if run is None:
                size = f"{len(self.texts):,} texts that count as {counts.sum():,.0f} rows"
                doing(self.listen, f"round {number}: {pattern.name} learns from {size}")
                learn = self._train if pattern.kind == ADAPTER else self._fit
                run = learn(pattern, path, facts, targets, weights)
            runs[pattern.name] = run
        return Round(folder=folder, runs=runs, ensemble=self._combined(folder) if len(runs) > 1 else None)

    def _combined(self, folder: StudyFolder) -> Ensemble:
        """The ensemble of a round, chosen as the teacher was, but without its budget: what remembers texts grows with them. A
        cascade's members are weighed."""
        choice = METHODS[self.ensemble.method]
        method = "weighted" if choice.cascades else self.ensemble.method
        combine = self.ensemble.combination if choice.averages else "logits"
        return write_ensemble(folder.path, size=len(self.patterns), by=self.ensemble.by, method=method, combine=combine)

    def _seed(self, pattern: Run) -> int:
        return pattern.seed if self.seed is None else self.seed

    def member_like(self, pattern: Run) -> Member:
        """Who learns as a run with adapters.

        Raises:
            EnsembleError: there are too few steps.
        """
        title = pattern.facts.title if self.seed is None else pattern.name  # with one seed, members of one layout would be one
        return plan_student(pattern, self.prepared, name=pattern.name, title=title, layout=None, steps=self.steps, seed=self.seed)

    def _train(self, pattern: Run, path: Path, facts: Distillation, targets: Floats, weights: Weights) -> Run:
        """Adapters, trained on all rows together."""
        from ..study.stacks import record_of, sound

        lesson = Lesson(
            folder=self.folder,
            prepared=self.prepared,
            ensemble=self.ensemble,
            best=pattern,
            unlabelled=self.texts,
            hard=facts.hard,
            member=self.member_like(pattern),
            round=facts.round,
            consistency=self.consistency,
        )

        def keep(context: Context, outcome: Outcome, speed: float | None) -> Run:
            outcome = sound(outcome)
            if outcome.best is None:
                raise RunError(f"self-training of {pattern.name} failed: {outcome.stopped}; nothing was written")
            record = record_of(context, lesson.member, outcome, speed)
            write = partial(write_adapter, plan=lesson.member.plan, tensors=outcome.best.tensors)
            return write_run(path, _with(record, facts), write)

        taught = kept_targets(lesson, self.place, self.listen, lambda: targets)
        run = train_student(lesson, self.place, taught, weights, keep, self.listen, self.device)
        self.place.checkpoint.unlink(missing_ok=True)
        return run

    def _fit(self, pattern: Run, path: Path, facts: Distillation, targets: Floats, weights: Weights) -> Run:
        """A baseline, fitted on all rows together, those without labels once for each label that they may have."""
        splits, study = self.prepared.splits, self.prepared.study
        own = rows_embedded(len(splits.train), pattern.facts.recipe["embedded_rows"], study.data.seed)
        places = np.concatenate([own, np.arange(len(splits.train), len(weights))])
        rows = self._rows(pattern, splits.train.take(own)).followed_by(self._rows(pattern, self.texts))
        several, goals = one_label_a_row(rows, targets[places], weights[places])
        validated, counts = len(splits.validation), held_weights(self.prepared)
        held = replace(self._rows(pattern, splits.validation), weights=np.ones(validated) if counts is None else counts)
        truth, refit = self.prepared.targets["validation"], bool(pattern.facts.recipe.get("refit"))
        try:
            fitted = fit_baseline(
                pattern.kind, several, goals, held, truth, len(splits.labels), seed=self._seed(pattern), refit=lambda: refit
            )
        except Exception as error:  # whatever a solver of another library may raise
            raise RunError(f"self-training of {pattern.name}: {fit_failure(error)}; nothing was written") from error
        embedded = pattern.base is not None
        answering = fitted.answering + (validated / self._embeddings.texts_a_second(splits.validation) if embedded else 0.0)
        changes = {
            "seed": self._seed(pattern),
            "trainable": fitted.baseline.trainable,
            "labels": splits.labels,
            "metrics": splits.task.scores(fitted.logits, truth).to_json(),
            "seconds": fitted.fitting,
            "shared_seconds": 0.0,
            "texts_per_second": validated / answering if answering else None,
            "base": study.base if embedded else None,
        }
        ids, hashes = splits.validation.ids, splits.validation.text_hashes()
        record = RunRecord(
            facts=pattern.facts.model_copy(update=changes),
            plan=None,
            receipt=None,
            history=[],
            validation=Validation(ids=ids, texts=hashes, labels=truth, logits=fitted.logits),
        )
        return write_run(path, _with(record, facts), fitted.baseline.write)

    def _rows(self, pattern: Run, table: Table) -> Rows:
        """What a baseline reads of a table."""
        if not BASELINES[pattern.kind].embedded:
            return Rows(texts=table.texts, pairs=table.pairs)
        if self._embeddings.base_sha256 != pattern.facts.base_sha256:
            raise EnsembleError(
                f"encoder {self.prepared.study.base} is not the one the runs were trained on; give it the same weights"
            )
        embedded = self._embeddings.of(table)
        return Rows(texts=table.texts, pairs=table.pairs, vectors=embedded.means, words=embedded.words)

    @cached_property
    def _embeddings(self) -> StudyEmbeddings:
        study = self.prepared.study
        return StudyEmbeddings(study, self.folder.path, precision=study.recipe.precision, device=self.device)


def _with(record: RunRecord, facts: Distillation) -> RunRecord:
    """A record that says what was learned from."""
    return replace(record, facts=record.facts.model_copy(update={"distilled": facts}))
