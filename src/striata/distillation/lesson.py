"""What a distilled run is to learn, from whom, and how."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data import Columns, Encoded, Table, Tokenizer, read_texts
from ..data.copies import find_copies
from ..data.equal import equal_texts
from ..ensemble import Ensemble, load_ensemble
from ..errors import DataError, EnsembleError
from ..evidence.worth import best_run
from ..layout import Layout, make_plan
from ..runs import Member, Run, StudyFolder
from ..runs.facts import Distillation
from ..runs.refusal import accepted
from ..settings import Recipe
from ..study import Prepared
from ..tasks import SINGLE_LABEL, check_one_label, task_named
from ..training.events import Listener, note

NAME = "distilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is learned, from whom, and how.

    Args:
        folder: of the study.
        prepared: its data.
        ensemble: the teacher.
        best: the best single run with adapters, which has to be reached.
        unlabelled: texts beside the training rows, or None.
        hard: weight of the true label in the targets of training rows.
        member: the student.
        round: of self-training, from 1; 0 for distillation.
        near_test: unlabelled texts that are near copies of test rows.
        consistency: whether unlabelled texts count by how their answers stand perturbations.
    """

    folder: StudyFolder
    prepared: Prepared
    ensemble: Ensemble
    best: Run
    unlabelled: Table | None
    hard: float
    member: Member
    round: int = 0
    near_test: int = 0
    consistency: bool = False

    @property
    def request(self) -> str:
        """Stands for all that the trained weights follow from."""
        texts = None if self.unlabelled is None else self.unlabelled.reference
        parts = [self.ensemble.seal.checksum, self.prepared.splits.fingerprint, texts, self.hard, self.member.seed]
        parts += [self.round] if self.round else []
        parts += ["consistency"] if self.consistency else []
        parts += [self.member.name]
        return hashlib.sha256(json.dumps([*parts, *self.member.identity]).encode()).hexdigest()

    @property
    def facts(self) -> Distillation:
        """For the run that comes out."""
        facts = taught_by(self.ensemble, self.prepared, self.unlabelled, hard=self.hard)
        return facts.model_copy(update={"near_test": self.near_test})

    @property
    def weights(self) -> npt.NDArray[np.float64] | None:
        """How much each of these rows counts, (rows,); an unlabelled text counts as a training row does in the mean."""
        weights = self.prepared.weights
        if weights is None or self.unlabelled is None:
            return weights
        return np.concatenate([weights, np.ones(len(self.unlabelled))])

    def encoded(self) -> Encoded:
        """The training rows, then the unlabelled texts."""
        train, settings = self.prepared.encoded["train"], self.prepared.study
        if self.unlabelled is None:
            return train
        tokenizer = Tokenizer.load(settings.base, settings.data.max_length)
        return Encoded.join([train, tokenizer.encode(self.unlabelled.texts, self.unlabelled.pairs)])


def taught_by(ensemble: Ensemble, prepared: Prepared, unlabelled: Table | None, *, hard: float) -> Distillation:
    """What a run has learned from; arguments as :class:`Lesson`."""
    return Distillation(
        members={name: run.checksum for name, run in ensemble.runs.items()},
        combination=ensemble.combination,
        temperature=ensemble.calibration().temperature,
        hard=hard,
        labelled=len(prepared.splits.train),
        unlabelled=0 if unlabelled is None else len(unlabelled),
        source=None if unlabelled is None else unlabelled.source,
        checksum=None if unlabelled is None else unlabelled.reference,
    )


def find_teacher(folder: StudyFolder, purpose: str) -> Ensemble:
    """The ensemble in a study's folder.

    Args:
        folder: of the study.
        purpose: what is to be done with it, as the subject of a sentence.

    Raises:
        EnsembleError: there is none, it is one run, or its texts have several labels.
        RunError: a run of it is damaged.
    """
    check_one_label(task_named(folder.settings().get("task", SINGLE_LABEL.name)), purpose, EnsembleError)
    path = folder.path / "ensemble"
    if not path.is_dir():
        raise EnsembleError(f"{folder.path} has no ensemble to learn from; make one with `striata ensemble {folder.path}`")
    ensemble = load_ensemble(path)
    if len(ensemble.runs) < 2:
        raise EnsembleError(f"the ensemble of {folder.path} is one run, {next(iter(ensemble.runs))}; use it as it is")
    return ensemble


def find_best(folder: StudyFolder) -> Run:
    """The best single run with adapters of a study.

    Raises:
        EnsembleError: there is none.
        RunError: a run is damaged.
    """
    best = best_run([run for run in accepted(folder.runs()) if run.kind == "adapter" and run.facts.distilled is None])
    if best is None:
        raise EnsembleError(f"{folder.path} has no run with adapters to be like; train a layout of its study first")
    return best


def read_unlabelled(source: object, columns: Columns | None, prepared: Prepared, listen: Listener) -> Table:
    """Texts without labels, but for those that are in the study's own data: it is validated and tested on them.

    Args:
        source: file, folder or Hub name, or rows in memory; labels are not looked at.
        columns: names of columns; None for those of the study.
        prepared: the study's data.
        listen: told in a note how many are left out.

    Raises:
        DataError: it cannot be read, is not of texts as the study's are, or has none but the study's.
    """
    table = read_texts(source, columns or prepared.study.columns)
    paired = prepared.splits.train.pairs is not None
    if paired != (table.pairs is not None):
        kinds = ("single texts", "pairs of texts")
        raise DataError(f"{table.source} has {kinds[not paired]}; expected {kinds[paired]}, as the study's data has")
    known = [*prepared.splits.tables().values(), table]
    pairs = [pair for part in known for pair in part.pairs or ()] if paired else None
    before = sum(map(len, known)) - len(table)
    new = np.flatnonzero(equal_texts([text for part in known for text in part.texts], pairs)[before:] >= before)
    if not len(new):
        raise DataError(f"all {len(table):,} texts of {table.source} are in the study's own data; expected others")
    if len(new) < len(table):
        note(listen, f"{len(table) - len(new):,} of {len(table):,} unlabelled texts are in the study's own data and are left out")
    return table.take(new)


def near_test_rows(unlabelled: Table, prepared: Prepared, listen: Listener) -> int:
    """How many texts without labels are near copies of test rows, said in a note; exact ones are left out when they are read."""
    test = prepared.splits.test
    copies = [] if test is None else find_copies(unlabelled.whole_texts, test.whole_texts)
    near = len({copy.row for copy in copies})
    if near:
        note(listen, f"{near:,} unlabelled texts are near copies of test rows: figures on the test rows flatter")
    return near


def plan_student(
    best: Run,
    prepared: Prepared,
    *,
    name: str = NAME,
    title: str = NAME,
    layout: str | Layout | Path | None,
    steps: int | None,
    seed: int | None,
) -> Member:
    """The best run once more under another name, with the task's own loss, without class weights and label smoothing: its
    targets are no labels.

    Args:
        best: whose recipe it has.
        prepared: the study's data.
        name: the other name.
        title: which it shares with members of other seeds.
        layout: None for that of the best run.
        steps: most optimizer steps; None for those of the best run.
        seed: None for that of the best run.

    Raises:
        EnsembleError: there are too few steps.
        LayoutError, PlanError: the layout is wrong or does not fit the encoder or the budget.
    """
    study, recipe = prepared.study, Recipe.model_validate(best.facts.recipe)
    changes: dict[str, object] = {"class_weights": None, "label_smoothing": 0.0, "loss": None}
    if steps is not None:
        if steps <= max(recipe.warmup, 0):
            raise EnsembleError(f"{steps} is too few; expected more than the warmup of {recipe.warmup:g}", argument="steps")
        changes |= {"max_steps": steps, "epochs": None}
    plan = replace(best.adapter_plan, base=study.base)
    if layout is not None:
        plan = make_plan(layout, base=study.base, labels=len(prepared.splits.labels), head=study.head, budget=study.budget)
    return Member(
        name=name,
        title=title,
        layout=plan.layout,
        seed=best.seed if seed is None else seed,
        recipe=recipe.model_copy(update=changes),
        plan=plan,
    )
