"""Linear models on sparse rows: a support vector machine, its stochastic form, centroids, and ridge regression."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from .rows import Ints, Logits, Targets, Weights

Part = tuple[Any, Targets, Weights | None]  # features, targets, and how much each row counts
SMALLEST = -1.0  # margin of a label without rows: what a machine that always says no gives


_SPREAD = 20  # factor on cosines, which are too close to each other for the range in which a scale is looked for


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Scores that are linear in the features.

    Args:
        weights: (features, labels) float32; sparse where most are 0.
        bias: (labels,) float32.
    """

    weights: Any
    bias: Logits

    @property
    def trainable(self) -> int:
        """How many numbers were fitted."""
        return int(self.weights.nnz if isinstance(self.weights, sp.csr_array) else self.weights.size) + len(self.bias)

    @property
    def features(self) -> int:
        """How many numbers it reads of a row."""
        return int(self.weights.shape[0])

    @property
    def labels(self) -> int:
        """How many labels it scores."""
        return len(self.bias)

    def scores(self, features: Any) -> Logits:
        """(n, labels) float32 for sparse float32 features, (n, features); a row's scores do not depend on its neighbours."""
        product: Any = features @ self.weights
        dense = product.toarray() if isinstance(self.weights, sp.csr_array) else product
        return np.asarray(dense + self.bias, np.float32)

    def scaled(self, factor: float) -> Linear:
        """The model whose scores are `factor` times as large."""
        return replace(self, weights=self.weights * np.float32(factor), bias=self.bias * np.float32(factor))

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`from_tensors` reads."""
        if not isinstance(self.weights, sp.csr_array):
            return {"weights": self.weights, "bias": self.bias}
        parts = {name: getattr(self.weights, name) for name in ("data", "indices", "indptr")}
        return {"bias": self.bias, **{f"weights.{name}": values for name, values in parts.items()}}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]], *, features: int, labels: int) -> Linear:
        """What :meth:`tensors` gave.

        Raises:
            KeyError, ValueError: it is no model of so many features and labels.
        """
        bias = tensors["bias"]
        if "weights" in tensors:
            weights: Any = tensors["weights"]
        else:
            parts = (tensors["weights.data"], tensors["weights.indices"], tensors["weights.indptr"])
            weights = sp.csr_array(parts, shape=(features, labels))
        if weights.shape != (features, labels) or bias.shape != (labels,):
            raise ValueError(
                f"it has weights {weights.shape} and biases {bias.shape}; expected {features} features, {labels} labels"
            )
        return cls(weights=weights, bias=bias)


def machine(features: Any, targets: Ints, labels: int, strength: float, seed: int, weights: Weights | None = None) -> Linear:
    """One linear support vector machine per label against the rest, squared hinge loss (liblinear's dual solver).

    Args:
        features: sparse, (n, features).
        targets: places of the labels, (n,), or 0 or 1 for each label, (n, labels).
        labels: how many; a label without rows always scores -1.
        strength: C, the weight of the loss against the size of the weights.
        seed: of the order in which rows are visited.
        weights: how much each row counts, (n,); None where all count once.
    """
    from sklearn.svm import LinearSVC

    if targets.ndim == 2:
        return _machines(features, targets, strength, seed, weights)
    present = np.unique(targets)
    if len(present) == 1 or not features.shape[1]:
        return _constant(present, features.shape[1], labels)
    solver = LinearSVC(C=strength, dual=True, tol=0.01, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that ended the fit, and of many labels; rows held out judge what came out
        solver.fit(features, targets, weights)
    return _spread(solver.coef_, solver.intercept_, present, labels)


def _machines(features: Any, targets: Ints, strength: float, seed: int, weights: Weights | None) -> Linear:
    """One machine for each column of targets."""
    both = [machine(features, column, 2, strength, seed, weights) for column in targets.T]
    return Linear(
        weights=np.stack([one.weights[:, 1] for one in both], 1), bias=np.array([one.bias[1] for one in both], np.float32)
    )


def stochastic(
    parts: Callable[[int], Iterable[Part]], present: Ints, labels: int, strength: float, seed: int, epochs: int
) -> Linear:
    """The same machine by averaged stochastic gradients (hinge loss), which sees a part of the rows at a time.

    Args:
        parts: for an epoch's number, features, targets and weights in the order they are seen.
        present: places of all labels that have rows, ascending.
        labels: how many labels.
        strength: alpha, the weight of the size of the weights against the loss.
        seed: of the order of rows within a part.
        epochs: how often every row is seen.
    """
    from sklearn.linear_model import SGDClassifier

    solver = SGDClassifier(loss="hinge", alpha=strength, average=True, random_state=seed)
    for epoch in range(epochs):
        for features, targets, weights in parts(epoch):
            if len(present) == 1 or not features.shape[1]:
                return _constant(present, features.shape[1], labels)
            solver.partial_fit(features, targets, classes=present, sample_weight=weights)
    return _spread(solver.coef_, solver.intercept_, present, labels)


def centroids(parts: Iterable[Part], width: int, labels: int) -> Linear:
    """20 times the cosine to each label's mean text (Rocchio 1971); as dear for many labels as for few.

    Args:
        parts: features, targets and weights, in parts.
        width: number of features.
        labels: how many; a label without rows scores 0.
    """
    sums: Any = sp.csr_array((labels, width), dtype=np.float32)
    for features, targets, factors in parts:
        counts = np.ones(len(targets), np.float32) if factors is None else factors.astype(np.float32)
        member = sp.csr_array((counts, (targets, np.arange(len(targets)))), (labels, len(targets)))
        sums = sums + member @ features
    sizes = np.sqrt(np.asarray(sums.multiply(sums).sum(axis=1)).ravel())
    unit: Any = sp.diags_array((1 / np.maximum(sizes, np.finfo(np.float32).tiny)).astype(np.float32)) @ sums
    weights = sp.csr_array(unit.T)
    weights.sort_indices()
    return Linear(weights=weights.astype(np.float32) * np.float32(_SPREAD), bias=np.zeros(labels, np.float32))


def ridge(features: Any, targets: Targets, strength: float, seed: int, weights: Weights | None = None) -> Linear:
    """Least squares with a penalty on the size of the weights (Hoerl and Kennard 1970).

    Args:
        features: (n, features), sparse or not.
        targets: numbers, (n,) float64.
        strength: of the squared error against the squared size of the weights, which has a factor of 1.
        seed: of solvers that draw; none does today.
        weights: how much each row counts, (n,); None where all count once.
    """
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1 / strength, solver="sparse_cg" if sp.issparse(features) else "cholesky", tol=1e-5, random_state=seed)
    model.fit(features, targets, weights)
    coefficients = np.asarray(model.coef_, np.float64)
    return Linear(weights=coefficients[:, None].astype(np.float32), bias=np.array([model.intercept_], np.float32))


def _constant(present: Ints, width: int, labels: int) -> Linear:
    bias = np.full(labels, SMALLEST, np.float32)
    if len(present) == 1:
        bias[present] = 1
    return Linear(weights=np.zeros((width, labels), np.float32), bias=bias)


def _spread(coefficients: Any, intercepts: Any, present: Ints, labels: int) -> Linear:
    """scikit-learn's coefficients as one column for each label: of two labels it keeps the second's alone."""
    if len(present) == 2 and len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients])
        intercepts = np.concatenate([-intercepts, intercepts])
    weights = np.zeros((coefficients.shape[1], labels), np.float32)
    weights[:, present] = coefficients.T
    bias = np.full(labels, SMALLEST, np.float32)
    bias[present] = intercepts
    return Linear(weights=weights, bias=bias)
