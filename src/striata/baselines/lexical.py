"""Words counted, and a linear model: the line that every encoder has to pass."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..disk.documents import Exact
from ..figures.folds import deal_folds
from .linear import Linear
from .rows import Ints, Logits, Rows, Targets
from .selection import cross_fit, judge
from .store import Facts, Tried, document, read_baseline, refuse, write_baseline
from .wordfit import Choice, Limits, Solver, Work, features_of, fit_words, matrix_of, scores_of, solve
from .words import Analysis, Vectorizer

VOCABULARY = "vocabulary.json"


class LexicalFacts(Facts):
    """What `baseline.json` says of it: what is counted, in how many columns, and the settings of :class:`Lexical`."""

    kind: Literal["lexical"]
    analysis: Analysis | None
    paired: bool
    features: int
    solver: Solver
    strength: float
    epochs: int


class _Vocabulary(Exact):
    terms: tuple[str, ...]


_VOCABULARY = document(_Vocabulary)


@dataclass(frozen=True, kw_only=True)
class Lexical:
    """TF-IDF and a linear support vector machine, scaled to probabilities, or of numbers a ridge regression; fit one with
    :meth:`fit`.

    Args:
        vectorizer: texts as features; None where the training texts have nothing to count.
        model: features as logits.
        choice: the settings.
        rows: how many it was fitted on.
        tried: what was judged to choose the settings: analysis, strength, log loss and accuracy.
        notes: what a user should know.
        seconds: wall time of the fit.
        limits: that held in the fit.
    """

    kind: ClassVar[str] = "lexical"
    embedded: ClassVar[bool] = False

    vectorizer: Vectorizer | None
    model: Linear
    choice: Choice
    rows: int
    tried: Tried = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    limits: Limits = field(default_factory=Limits)

    @property
    def labels(self) -> int:
        """How many labels."""
        return len(self.model.bias)

    @property
    def trainable(self) -> int:
        """How many weights were fitted, of the features' (idf) and of the labels'."""
        return self.model.trainable + (len(self.vectorizer.terms) if self.vectorizer else 0)

    @classmethod
    def fit(cls, rows: Rows, targets: Targets, labels: int, *, seed: int = 0, limits: Limits | None = None) -> Lexical:
        """See :meth:`striata.baselines.rows.Baseline.fit`.

        The analysis (words, parts of words, characters) and the strength are those with the smallest log loss, or squared
        error, on held-out folds of up to 3,000 rows; parts of words have to be better than words by more than a standard error.
        Scores become logits by one factor, fitted on rows that were held out; numbers need none. Equal texts are always on one
        side.
        """
        start = time.perf_counter()
        work = Work(rows=rows, targets=targets, labels=labels, seed=seed, limits=limits or Limits())
        fitted = fit_words(work)
        return cls(
            vectorizer=fitted.vectorizer,
            model=fitted.model,
            choice=fitted.choice,
            rows=len(rows),
            tried=fitted.tried,
            notes=fitted.notes,
            seconds=time.perf_counter() - start,
            limits=work.limits,
        )

    def logits(self, rows: Rows) -> Logits:
        """See :meth:`striata.baselines.rows.Baseline.logits`."""

        def matrix(places: Ints) -> Any:
            return features_of(self.vectorizer, rows, slice(int(places[0]), int(places[-1]) + 1))

        return scores_of(self.model, matrix, np.arange(len(rows)), self.limits.chunk)

    def out_of_fold(self, rows: Rows, targets: Targets, *, seed: int = 0) -> Logits:
        """See :meth:`striata.baselines.rows.Baseline.out_of_fold`; the vocabulary and its idf are of all rows."""
        work = Work(rows=rows, targets=targets, labels=self.labels, seed=seed, limits=self.limits)
        matrix = matrix_of(self.vectorizer, rows, self.limits)

        def score(inside: Ints, held: Ints) -> Logits:
            return scores_of(solve(work, matrix, inside, self.choice), matrix, held, self.limits.chunk)

        scores = cross_fit(score, deal_folds(targets, 5, seed, rows.groups), self.labels)
        return (scores * np.float32(judge(scores, targets, rows.weights).scale)).astype(np.float32)

    def receipt(self) -> dict[str, Any]:
        """See :meth:`striata.baselines.rows.Baseline.receipt`."""
        return self._facts().receipt()

    def _facts(self) -> LexicalFacts:
        vectorizer = self.vectorizer
        return LexicalFacts(
            kind="lexical",
            labels=self.labels,
            rows=self.rows,
            trainable=self.trainable,
            analysis=None if vectorizer is None else vectorizer.analysis,
            paired=vectorizer is not None and vectorizer.paired,
            features=0 if vectorizer is None else vectorizer.width,
            **asdict(self.choice),
            tried=self.tried,
            notes=self.notes,
            seconds=self.seconds,
        )

    def write(self, folder: Path) -> None:
        """See :meth:`striata.baselines.rows.Baseline.write`; the vocabulary is a list of terms in `vocabulary.json`."""
        numbers, terms = self.model.tensors(), []
        if self.vectorizer is not None:
            numbers["idf"], terms = self.vectorizer.idf, self.vectorizer.terms
        _VOCABULARY.write(folder / VOCABULARY, {"terms": terms})
        write_baseline(folder, self._facts(), numbers)

    @classmethod
    def read(cls, folder: Path) -> Lexical:
        """See :meth:`striata.baselines.rows.Baseline.read`."""
        facts, tensors = read_baseline(folder, LexicalFacts)
        terms = _VOCABULARY.read(folder / VOCABULARY).terms
        try:
            vectorizer = None
            if facts.analysis is not None:
                if tensors["idf"].shape != (len(terms),):
                    raise ValueError(f"{VOCABULARY} has another number of terms")
                vectorizer = Vectorizer(facts.analysis, terms, tensors["idf"], paired=facts.paired)
            return cls(
                vectorizer=vectorizer,
                model=Linear.from_tensors(tensors, features=facts.features, labels=facts.labels),
                choice=Choice(solver=facts.solver, strength=facts.strength, epochs=facts.epochs),
                rows=facts.rows,
                tried=facts.tried,
                notes=facts.notes,
                seconds=facts.seconds,
            )
        except (KeyError, ValueError) as error:
            refuse(folder, error)
