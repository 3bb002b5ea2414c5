"""A study's baselines: contenders that cost seconds, each a run like any other."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from ..baselines import BASELINES, Baseline, Rows
from ..baselines.rows import Targets, part_of
from ..data import Table
from ..errors import EncoderError
from ..runs.facts import RunFacts
from ..runs.run import Run, RunRecord, Validation, write_run
from ..runs.study_folder import is_run
from ..settings import Study
from ..training.events import Event, Listener, doing, note
from .embeddings import Embedded, StudyEmbeddings
from .preparation import Prepared
from .stack_folder import StackFolder
from .work import Work

_PLACE = "baselines"  # among the study's stacks, while they are fitted
_WHAT = {
    "majority": "shares of the labels",
    "lexical": "words and a linear model",
    "frozen": "frozen embeddings and a small model on them",
    "neighbours": "nearest neighbours of frozen embeddings",
}


def fit_baselines(work: Work, *, listen: Listener, device: str = "auto", overdue: Callable[[], bool] | None = None) -> None:
    """Fits the baselines that a study names and that are no runs yet, or runs of other settings than the study's now.

    One whose encoder cannot be loaded is only noted. One whose own fit fails is recorded as failed, with the reason; the study
    goes on without it, and it is not tried again.

    Args:
        work: from :func:`striata.study.plan_work`.
        listen: told when one has ended, and in notes what is to be said of it.
        device: "cpu", "cuda" or "auto"; of the encoder that embeds texts.
        overdue: asked before each fit; once it says yes, no fit on embeddings is begun, and none with the validation rows.

    Raises:
        StudyError: another process fits them.
        StriataError: a run cannot be written.
    """
    failed = work.folder.failed()
    remaining = [kind for kind in work.prepared.study.baselines.kinds if kind not in failed]
    kinds = [kind for kind in remaining if not _is_fitted(work, kind)]
    if not kinds:
        return
    stack = StackFolder(work.folder.stacks / _PLACE)
    with stack.held():
        contest = _Contest(work, listen, device, overdue or (lambda: False))
        for kind in kinds:
            if not _is_fitted(work, kind):
                contest.fit(kind)
        stack.remove()


def _is_fitted(work: Work, kind: str) -> bool:
    """Whether there is a run of this name that no fit by the study's settings would be another than."""
    folder = work.folder.run_folder(kind)
    if not is_run(folder):
        return False
    facts, study = Run.load(folder).facts, work.prepared.study
    return facts.kind != kind or facts.recipe == _recipe(study, kind, refit=study.baselines.refit)


def _recipe(study: Study, kind: str, *, refit: bool) -> dict[str, Any]:
    rows = study.baselines.embedded_rows if BASELINES[kind].embedded else None
    return {"baseline": kind, "embedded_rows": rows} | ({"refit": True} if refit else {})


def rows_embedded(rows: int, most: int | None, seed: int) -> npt.NDArray[np.int64]:
    """Places of the training rows that are embedded for baselines, in ascending order.

    Args:
        rows: of training.
        most: how many; None for all.
        seed: of the study's data.
    """
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def held_weights(prepared: Prepared) -> npt.NDArray[np.float64] | None:
    """How much each validation row counts beside the training rows where a baseline is fitted once more on both, (rows,); None
    where all count alike."""
    splits = prepared.splits
    if prepared.weights is None:
        return None
    if splits.validation.weights is None or splits.train.weights is None:
        return np.ones(len(splits.validation))
    weights: npt.NDArray[np.float64] = splits.validation.weights / splits.train.weights.mean()
    return weights


@dataclass(frozen=True, slots=True)
class FittedBaseline:
    """A baseline, its logits for the validation rows, whether it was then fitted with these too, and seconds: of its fits, and of
    these logits; without embedding."""

    baseline: Baseline
    logits: np.ndarray
    refitted: bool
    fitting: float
    answering: float


def fit_baseline(
    kind: str, rows: Rows, goals: Targets, held: Rows, truth: Targets, labels: int, *, seed: int, refit: Callable[[], bool]
) -> FittedBaseline:
    """A baseline, fitted and measured on rows that it has not seen, and perhaps fitted once more on all.

    Args:
        kind: of :data:`striata.baselines.BASELINES`.
        rows: of training.
        goals: their targets.
        held: of validation, with weights where the others have some.
        truth: their targets.
        labels: how many there are.
        seed: of the fits.
        refit: asked after the first fit, whether there is to be one on both.

    Raises:
        ArithmeticError: logits are no finite numbers.
        Exception: whatever a solver of another library raises.
    """
    baseline = BASELINES[kind].fit(rows, goals, labels, seed=seed)
    start = time.perf_counter()
    logits = baseline.logits(held)
    answering, fitting = time.perf_counter() - start, baseline.seconds
    if not np.isfinite(logits).all():
        raise ArithmeticError("its logits for the validation rows are no finite numbers")
    refitted = refit()
    if refitted:
        baseline = BASELINES[kind].fit(rows.followed_by(held), np.concatenate([goals, truth]), labels, seed=seed)
        fitting += baseline.seconds
    return FittedBaseline(baseline, logits, refitted, fitting=fitting, answering=answering)


def fit_failure(error: Exception) -> str:
    """Why there is no baseline, in words."""
    return f"its fit failed: {type(error).__name__}: {' '.join(str(error).split()) or 'no reason is known'}"


class _Contest:
    """Rows and embeddings that the baselines of a study share."""

    def __init__(self, work: Work, listen: Listener, device: str, overdue: Callable[[], bool]) -> None:
        self._work, self._listen, self._device, self._overdue = work, listen, device, overdue
        self._prepared: Prepared = work.prepared
        self._vectors: dict[str, Embedded] | None = None
        self._base_sha256 = ""
        self._embedded_a_second = float("inf")
        study = self._prepared.study
        self._embedded = rows_embedded(len(self._prepared.splits.train), study.baselines.embedded_rows, study.data.seed)

    def fit(self, kind: str) -> None:
        """Fits one, measures it on the validation rows and writes its run; or records why it cannot be fitted."""
        vectors: dict[str, Embedded] | None = None
        embedded, exists = BASELINES[kind].embedded, is_run(self._work.folder.run_folder(kind))
        if (embedded or exists) and self._overdue():
            if not exists:
                note(self._listen, f"no baseline {kind}: the time is over")
            return
        if embedded and not self._prepared.study.has_encoder:
            note(self._listen, f"no baseline {kind}: the study has no encoder")
            return
        if embedded:
            try:
                vectors = self._embed()
            except EncoderError as error:
                note(self._listen, f"no baseline {kind}: {error}")
                return
        doing(self._listen, f"fitting baseline {kind}")
        try:
            fitted = self._fitted(kind, vectors)
        except Exception as error:  # whatever a solver of another library may raise
            reason = fit_failure(error)
            self._work.folder.record_failure(kind, reason)
            self._listen(Event(kind="failed", member=kind, message=reason))
            return
        for sentence in fitted.baseline.notes:
            note(self._listen, f"baseline {kind}: {sentence}")
        self._write(kind, fitted)

    def _fitted(self, kind: str, vectors: dict[str, Embedded] | None) -> FittedBaseline:
        targets, splits = self._prepared.targets, self._prepared.splits
        train, goals, weights = splits.train, targets["train"], self._prepared.weights
        if vectors is not None:
            train, goals, weights = train.take(self._embedded), goals[self._embedded], part_of(weights, self._embedded)
        rows = _rows(train, vectors, "train", weights)
        held = _rows(splits.validation, vectors, "validation", held_weights(self._prepared))
        return fit_baseline(
            kind, rows, goals, held, targets["validation"], len(splits.labels), seed=self._prepared.study.data.seed,
            refit=lambda: self._prepared.study.baselines.refit and not self._overdue(),
        )  # fmt: skip

    def _embed(self) -> dict[str, Embedded]:
        """Embeddings of the training rows that are used and of the validation rows, by table."""
        if self._vectors is not None:
            return self._vectors
        study, splits = self._prepared.study, self._prepared.splits
        embeddings = StudyEmbeddings(study, self._work.folder.path, precision=study.recipe.precision, device=self._device)
        self._base_sha256 = embeddings.base_sha256
        tables = {"validation": splits.validation, "train": splits.train.take(self._embedded)}
        doing(self._listen, f"embedding {sum(map(len, tables.values())):,} texts")
        self._vectors = {name: embeddings.of(table) for name, table in tables.items()}
        self._embedded_a_second = embeddings.texts_a_second(splits.validation)
        return self._vectors

    def _write(self, kind: str, fitted: FittedBaseline) -> None:
        study, splits = self._prepared.study, self._prepared.splits
        baseline, logits, validated = fitted.baseline, fitted.logits, len(splits.validation)
        scores = splits.task.scores(logits, self._prepared.targets["validation"])
        embedded = baseline.embedded
        shared = (len(self._embedded) + validated) / self._embedded_a_second if embedded else 0.0
        answering = fitted.answering + (validated / self._embedded_a_second if embedded else 0.0)
        facts = RunFacts(
            kind=kind,
            name=kind,
            title=kind,
            layout=_WHAT[kind],
            seed=study.data.seed,
            plan_hash="",
            recipe=_recipe(study, kind, refit=fitted.refitted),
            trainable=baseline.trainable,
            lora=0,
            task=splits.task.name,
            labels=splits.labels,
            base=study.base if embedded else None,
            head="mean" if embedded else None,
            max_length=study.data.max_length if embedded else None,
            base_sha256=self._base_sha256 if embedded else None,
            tokenizer_sha256=self._prepared.tokenizer_sha256 if embedded else None,
            columns=study.columns.by_name,
            data_fingerprint=splits.fingerprint,
            best_step=0,
            steps=0,
            metrics=scores.to_json(),
            stopped="fitted",
            seconds=fitted.fitting + shared,
            shared_seconds=shared,
            texts_per_second=validated / answering if answering else None,
            versions={"python": platform.python_version()}
            | {
                name: version(name)
                for name in ("striata", "scikit-learn", "numpy", *(("torch", "transformers") if embedded else ()))
            },
            hardware={"device": "cpu", "name": platform.processor() or platform.machine(), "cores": str(os.cpu_count())},
            split={"train": len(splits.train), "validation": len(splits.validation)},
            study=study.to_dict(),
        )
        validation = Validation(
            ids=splits.validation.ids,
            texts=splits.validation.text_hashes(),
            labels=self._prepared.targets["validation"],
            logits=logits,
        )
        record = RunRecord(facts=facts, plan=None, receipt=None, history=[], validation=validation)
        write_run(self._work.folder.run_folder(kind), record, baseline.write)
        self._listen(_ended(facts, study.recipe.best_by))


def _ended(facts: RunFacts, by: str) -> Event:
    return Event(
        kind="finished",
        member=facts.name,
        figure=by,
        value=facts.metrics[by],
        validation_loss=facts.metrics["loss"],
        rows=facts.split["validation"],
        best=facts.metrics[by],
        message=facts.stopped,
    )


def _rows(table: Table, vectors: dict[str, Embedded] | None, name: str, weights: npt.NDArray[np.float64] | None = None) -> Rows:
    if vectors is None:
        return Rows(texts=table.texts, pairs=table.pairs, weights=weights)
    embedded = vectors[name]
    return Rows(texts=table.texts, pairs=table.pairs, vectors=embedded.means, words=embedded.words, weights=weights)
