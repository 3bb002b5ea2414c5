"""The frozen encoder's mean embeddings and a small model on them."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..figures.folds import deal_folds
from .linear import Linear, ridge
from .majority import log_shares
from .network import DECAY, Network, most_rows, train_network
from .rows import Floats, Ints, Logits, Rows, Targets, Weights, are_numbers, part_of
from .selection import Judgement, climb, cross_fit, judge
from .store import Facts, Tried, read_baseline, refuse, write_baseline
from .threads import threads_for

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # C of the logistic regression, on standardized columns
RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)  # rows by the penalty of a ridge regression of numbers, likewise
_TRIED = 4000  # rows on which the model is chosen
_WORK = 400_000_000  # most rows times columns times labels for a logistic regression
_SEARCH = 20_000_000  # the same in a fit that only chooses
_FEWEST = 500  # rows for that
_MOST = 300_000  # rows that are fitted on
Solver = Literal["logistic", "discriminant", "ridge", "network"]
_NEVER = -50.0  # bias of a label without rows


class FrozenFacts(Facts):
    """What `baseline.json` says of it; the fields are those of :class:`Frozen`, and how many numbers a mean of last hidden states
    has, and one of tokens' embeddings where they are read."""

    kind: Literal["frozen"]
    features: int
    words: int = 0
    solver: Solver
    strength: float


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A logistic regression or a discriminant analysis with a shrunk covariance on the means of last hidden states (of numbers a
    ridge regression), or a network of one hidden layer on these and the means of the tokens' own embeddings; fit one with
    :meth:`fit`.

    Args:
        model: embeddings as logits; standardization is part of the weights.
        words: how many numbers a mean of tokens' embeddings has; 0 where they are not read.
        solver: "logistic", "discriminant", "ridge" or "network".
        strength: C of the logistic regression, the shrinkage of the covariance, rows by the penalty of the ridge regression, or
            the network's weight decay.
        rows: how many it was fitted on.
        tried: what was judged to choose the solver.
        notes: what a user should know.
        seconds: wall time of the fit.
    """

    kind: ClassVar[str] = "frozen"
    embedded: ClassVar[bool] = True

    model: Linear | Network
    words: int = 0
    solver: Solver
    strength: float
    rows: int
    tried: Tried = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def labels(self) -> int:
        """How many labels."""
        return self.model.labels

    @property
    def trainable(self) -> int:
        """How many weights and biases were fitted."""
        return self.model.trainable

    @classmethod
    def fit(cls, rows: Rows, targets: Targets, labels: int, *, seed: int = 0) -> Frozen:
        """See :meth:`striata.baselines.rows.Baseline.fit`.

        The solver and its strength are those with the smallest log loss, or squared error, on held-out folds of up to 4,000
        rows; equal texts are always in one fold. A sample of the rows is fitted on where there are more than 300,000, or, for a
        network, more than :func:`striata.baselines.network.most_rows` says.

        Raises:
            DataError: the rows have no embeddings.
        """
        start, notes = time.perf_counter(), []
        vectors = embeddings_of(rows)
        words = 0 if rows.words is None else rows.words.shape[1]
        order = np.random.default_rng(seed).permutation(len(rows))
        used = np.sort(order[:_MOST])
        size = vectors.shape[1] * labels
        few = np.sort(order[: max(_FEWEST, min(_TRIED, _SEARCH // size))])
        part, goals = rows.take(few), targets[few]
        folds = deal_folds(goals, 3 if len(few) > 1000 else 5, seed, part.groups)
        judged: dict[tuple[Solver, float], Judgement] = {}
        if targets.ndim == 1 and not are_numbers(targets):
            judged["discriminant", 0.0] = _judged(part, goals, folds, labels, "discriminant", 0.0, seed)
        if not judged or (len(used) * size <= _WORK and len(few) >= min(len(used), 4 * labels)):
            line: Solver = "ridge" if are_numbers(targets) else "logistic"
            strengths = RIDGES if are_numbers(targets) else STRENGTHS
            at = climb(strengths, lambda c: _judged(part, goals, folds, labels, line, c, seed))
            judged |= {(line, strength): value for strength, value in at.items()}
        else:
            notes.append(f"no logistic regression was tried: with {labels:,} labels it would take too long")
        if words and len(np.unique(goals)) > 1:
            judged["network", DECAY] = _judged(part, goals, folds, labels, "network", DECAY, seed)
        solver, strength = min(judged, key=lambda key: judged[key].loss)
        if solver == "logistic" and targets.ndim == 2:
            used = np.sort(order[: max(_FEWEST, min(len(used), _WORK // size))])
        if solver == "network":
            used = np.sort(order[: min(len(used), most_rows(vectors.shape[1] + words, labels))])
        if len(used) < len(rows):
            notes.append(f"fitted on {len(used):,} of {len(rows):,} rows")
        model, shown = _solve(
            _read(rows.take(used), solver), targets[used], labels, solver, strength, seed, part_of(rows.weights, used)
        )
        return cls(
            model=model.scaled(judged[solver, strength].scale),
            words=words if solver == "network" else 0,
            solver=solver,
            strength=shown,
            rows=len(used),
            tried=tuple({"solver": key[0], "strength": key[1], **at.figures} for key, at in judged.items()),
            notes=tuple(notes),
            seconds=time.perf_counter() - start,
        )

    def logits(self, rows: Rows) -> Logits:
        """See :meth:`striata.baselines.rows.Baseline.logits`.

        Raises:
            DataError: the rows have no embeddings, or of another size.
        """
        return self.model.scores(_read(rows, self.solver, self.model.features - self.words))

    def out_of_fold(self, rows: Rows, targets: Targets, *, seed: int = 0) -> Logits:
        """See :meth:`striata.baselines.rows.Baseline.out_of_fold`."""
        folds = deal_folds(targets, 5, seed, rows.groups)
        features = _read(rows, self.solver)
        scores = _crossed(features, targets, folds, self.labels, self.solver, self.strength, seed, rows.weights)
        return (scores * np.float32(judge(scores, targets, rows.weights).scale)).astype(np.float32)

    def receipt(self) -> dict[str, Any]:
        """See :meth:`striata.baselines.rows.Baseline.receipt`."""
        return self._facts().receipt()

    def _facts(self) -> FrozenFacts:
        return FrozenFacts(
            kind="frozen",
            labels=self.labels,
            rows=self.rows,
            trainable=self.trainable,
            features=self.model.features - self.words,
            words=self.words,
            solver=self.solver,
            strength=self.strength,
            tried=self.tried,
            notes=self.notes,
            seconds=self.seconds,
        )

    def write(self, folder: Path) -> None:
        """See :meth:`striata.baselines.rows.Baseline.write`."""
        write_baseline(folder, self._facts(), self.model.tensors())

    @classmethod
    def read(cls, folder: Path) -> Frozen:
        """See :meth:`striata.baselines.rows.Baseline.read`."""
        facts, tensors = read_baseline(folder, FrozenFacts)
        model = Network if facts.solver == "network" else Linear
        try:
            return cls(
                model=model.from_tensors(tensors, features=facts.features + facts.words, labels=facts.labels),
                words=facts.words,
                solver=facts.solver,
                strength=facts.strength,
                rows=facts.rows,
                tried=facts.tried,
                notes=facts.notes,
                seconds=facts.seconds,
            )
        except (KeyError, ValueError) as error:
            refuse(folder, error)


def embeddings_of(rows: Rows, size: int | None = None) -> npt.NDArray[np.float32]:
    """The rows' embeddings, (n, size) float32.

    Raises:
        DataError: there are none, or they are of another size.
    """
    if rows.vectors is None:
        raise DataError("these rows have no embeddings; embed them with the encoder that the baseline was fitted on")
    if size is not None and rows.vectors.shape[1] != size:
        raise DataError(
            f"embeddings have {rows.vectors.shape[1]} numbers; expected {size}, those of the encoder it was fitted on"
        )
    return np.asarray(rows.vectors, np.float32)


def _read(rows: Rows, solver: Solver, size: int | None = None) -> Floats:
    """What a solver reads of the rows, whose embeddings are of a size.

    Raises:
        DataError: it is not there.
    """
    vectors = embeddings_of(rows, size)
    if solver != "network":
        return vectors
    if rows.words is None:
        raise DataError("these rows have no means of their tokens' embeddings, which the baseline reads")
    return np.concatenate([vectors, np.asarray(rows.words, np.float32)], axis=1)


def _judged(rows: Rows, targets: Targets, folds: Ints, labels: int, solver: Solver, strength: float, seed: int) -> Judgement:
    scores = _crossed(_read(rows, solver), targets, folds, labels, solver, strength, seed, rows.weights)
    return judge(scores, targets, rows.weights)


def _crossed(
    features: Floats,
    targets: Targets,
    folds: Ints,
    labels: int,
    solver: Solver,
    strength: float,
    seed: int,
    weights: Weights | None,
) -> Logits:
    def score(inside: Ints, held: Ints) -> Logits:
        counts = part_of(weights, inside)
        return _solve(features[inside], targets[inside], labels, solver, strength, seed, counts)[0].scores(features[held])

    return cross_fit(score, folds, labels)


def _solve(
    vectors: Floats, targets: Targets, labels: int, solver: Solver, strength: float, seed: int, weights: Weights | None
) -> tuple[Linear | Network, float]:
    """The model on standardized columns, written for columns as they are, and its strength."""
    with threads_for(len(vectors)):
        return _solve_here(vectors, targets, labels, solver, strength, seed, weights)


def _solve_here(
    vectors: Floats, targets: Targets, labels: int, solver: Solver, strength: float, seed: int, weights: Weights | None
) -> tuple[Linear | Network, float]:
    if weights is None:
        mean, spread = vectors.mean(0, dtype=np.float64), vectors.std(0, dtype=np.float64)
    else:
        mean = np.average(vectors, axis=0, weights=weights)
        spread = np.sqrt(np.average((vectors - mean) ** 2, axis=0, weights=weights))
    spread = np.where(spread > 1e-7, spread, 1.0)
    standard = (vectors - mean) / spread
    if targets.ndim == 2 and solver != "network":
        coefficients, intercepts = _logistic_of_each(standard, targets, strength, weights)
        bias = intercepts - coefficients @ (mean / spread)
        return Linear(weights=(coefficients / spread).T.astype(np.float32), bias=bias.astype(np.float32)), strength
    if solver == "ridge":
        rows = len(targets) if weights is None else weights.sum()
        line = ridge(standard, targets, strength / rows, seed, weights)
        columns = line.weights[:, 0].astype(np.float64) / spread
        bias = line.bias.astype(np.float64) - columns @ mean
        return Linear(weights=columns[:, None].astype(np.float32), bias=bias.astype(np.float32)), strength
    present = np.unique(targets)
    if solver == "network" and (len(present) > 1 or are_numbers(targets)):
        return train_network(standard, targets, labels, seed=seed, weights=weights).on_columns(mean, spread), strength
    if len(present) == 1:
        coefficients, intercepts = (
            np.zeros((1, vectors.shape[1])),
            log_shares(targets, labels, weights)[present].astype(np.float64),
        )
    elif solver == "discriminant":
        coefficients, intercepts, strength = discriminant(standard, np.searchsorted(present, targets), weights)
    else:
        coefficients, intercepts = _logistic(standard, targets, strength, weights)
    columns = np.zeros((vectors.shape[1], labels))
    bias = np.full(labels, _NEVER)
    columns[:, present] = (coefficients / spread).T
    bias[present] = intercepts - coefficients @ (mean / spread)
    bias[np.setdiff1d(np.arange(labels), present)] = bias[present].min() + _NEVER
    return Linear(weights=columns.astype(np.float32), bias=bias.astype(np.float32)), strength


def _logistic(vectors: Floats, targets: Ints, strength: float, weights: Weights | None) -> tuple[Any, Any]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that ended the fit, and of many labels; rows held out judge what came out
        model.fit(vectors, targets, weights)
    if len(model.classes_) > 2:
        return model.coef_, model.intercept_
    return np.concatenate([-model.coef_, model.coef_]) / 2, np.concatenate([-model.intercept_, model.intercept_]) / 2


def _logistic_of_each(vectors: Floats, targets: Ints, strength: float, weights: Weights | None) -> tuple[Any, Any]:
    """Coefficients (labels, size) and intercepts (labels,) of one regression for each label; a label that all rows or none have
    gets its log-odds."""
    labels = targets.shape[1]
    coefficients, intercepts = np.zeros((labels, vectors.shape[1])), log_shares(targets, labels, weights).astype(np.float64)
    for label in np.flatnonzero(targets.any(0) & ~targets.all(0)).tolist():
        both, shifts = _logistic(vectors, targets[:, label], strength, weights)
        coefficients[label], intercepts[label] = both[1] - both[0], shifts[1] - shifts[0]
    return coefficients, intercepts


def discriminant(vectors: Floats, targets: Ints, weights: Weights | None = None) -> tuple[Any, Any, float]:
    """Linear discriminant analysis with the pooled covariance shrunk by Ledoit and Wolf (2004).

    Args:
        vectors: (n, size), columns of one scale.
        targets: places of the labels, (n,), each with a row or more.
        weights: how much each row counts, as if it were there so many times, (n,); None where all count once.

    Returns:
        Coefficients (labels, size), intercepts (labels,), and the shrinkage from 0 to 1.
    """
    from sklearn.covariance import ledoit_wolf

    if weights is not None:
        return _weighted_discriminant(vectors, targets, weights)
    counts = np.bincount(targets)
    order = np.argsort(targets, kind="stable")
    sums = np.add.reduceat(vectors[order], np.concatenate([[0], np.cumsum(counts)[:-1]]), axis=0)
    means = sums / counts[:, None]
    covariance, shrinkage = ledoit_wolf(vectors - means[targets], assume_centered=True)
    return *_separate(covariance, means, counts / len(targets)), float(shrinkage)


def _weighted_discriminant(vectors: Floats, targets: Ints, weights: Weights) -> tuple[Any, Any, float]:
    """As if every row were there as many times as it weighs, for which scikit-learn has no form."""
    counts = np.bincount(targets, weights)
    member = np.zeros((len(counts), len(targets)))
    member[targets, np.arange(len(targets))] = weights
    means = member @ vectors / counts[:, None]
    centred, total = vectors - means[targets], weights.sum()
    covariance = centred.T @ (centred * weights[:, None]) / total
    size, squares = len(covariance), (centred**2).sum(1)
    middle = np.trace(covariance) / size
    spread = ((covariance**2).sum() - size * middle**2) / size
    noise = ((weights * squares**2).sum() / total - (covariance**2).sum()) / (size * total)
    shrinkage = min(noise, spread) / spread if spread > 0 else 0.0
    covariance = (1 - shrinkage) * covariance + shrinkage * middle * np.eye(size)
    return *_separate(covariance, means, counts / total), float(shrinkage)


def _separate(covariance: Floats, means: Floats, shares: Floats) -> tuple[Any, Any]:
    """Coefficients (labels, size) and intercepts (labels,) of labels with one covariance."""
    ridge = 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-6)
    coefficients = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), means.T).T
    return coefficients, np.log(shares) - (coefficients * means).sum(1) / 2
