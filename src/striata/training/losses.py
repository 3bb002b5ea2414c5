"""What training minimises: one function for each of :data:`striata.choices.LOSSES`.

Each is given a step's logits (rows, labels) in float32, its targets (rows,) as places of the true labels in int64 or as numbers
in float32, in standard deviations, or (rows, labels) as probabilities of the labels, the rows' weights (rows,) or None, the
:class:`Terms`, and its own settings; it returns a scalar: the mean over the rows, in which a row of weight 2 counts as that row
twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pkgutil import resolve_name
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..choices import LOSSES
from ..settings.recipe import Recipe
from ..tasks import Task


class Loss(Protocol):
    """One member's loss of a step's rows."""

    def __call__(self, logits: Tensor, targets: Tensor, *, rows: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a loss has to know beside a step's rows.

    Args:
        weights: of the labels, (labels,); the mean is then weighted by those of the rows' labels. None weighs all alike, and is
            what probabilities go with.
        smoothing: share of each target that is spread over all labels, in [0, 1).
        priors: the labels' shares of the training rows, (labels,); None for losses that do not ask for them.
    """

    weights: Tensor | None = None
    smoothing: float = 0.0
    priors: Tensor | None = None


def cross_entropy(logits: Tensor, targets: Tensor, terms: Terms, *, rows: Tensor | None = None) -> Tensor:
    """Mean cross entropy of the rows, as torch has it."""
    whole = partial(functional.cross_entropy, logits, targets, weight=terms.weights, label_smoothing=terms.smoothing)
    return whole() if rows is None else _weighted_mean(whole(reduction="none"), targets, rows, terms)


def _weighted_mean(losses: Tensor, targets: Tensor, rows: Tensor, terms: Terms) -> Tensor:
    """Of the rows' losses (rows,), in which the weights of their labels are already."""
    return (losses * rows).sum() / (rows if terms.weights is None else rows * terms.weights[targets]).sum()


def focal(logits: Tensor, targets: Tensor, terms: Terms, *, gamma: float, rows: Tensor | None = None) -> Tensor:
    """Mean over the rows of -(1 - p)^gamma log p, p the probability of the true label; Lin et al. 2017, arXiv:1708.02002.

    Where a target is spread over labels, each label's term counts by its share; with gamma 0 this is :func:`cross_entropy`.
    """
    logs, shares = functional.log_softmax(logits, -1), _spread(logits, targets, terms)
    # Above 0, because below gamma 1 the power has no finite derivative there.
    missing = (-torch.expm1(logs)).clamp_min(torch.finfo(logits.dtype).tiny)
    losses = -shares * missing**gamma * logs
    if rows is not None:
        return _weighted_mean((losses if terms.weights is None else losses * terms.weights).sum(-1), targets, rows, terms)
    if terms.weights is None:
        return losses.sum(-1).mean()
    return (losses * terms.weights).sum() / terms.weights[targets].sum()


def logit_adjusted(logits: Tensor, targets: Tensor, terms: Terms, *, tau: float, rows: Tensor | None = None) -> Tensor:
    """Mean cross entropy of the logits plus tau times the log of the priors; Menon et al. 2021, arXiv:2007.07314.

    What the priors explain the logits need not learn: without them, as in prediction, they are those of equally frequent labels.
    """
    assert terms.priors is not None
    return cross_entropy(logits + tau * terms.priors.log(), targets, terms, rows=rows)


def cumulative(logits: Tensor, targets: Tensor, terms: Terms, *, rows: Tensor | None = None) -> Tensor:
    """Mean over the rows of the sum, over the borders k of labels in an order, of the binary cross entropy of whether the true
    label y lies above k.

    The logit of P(y > k) is logsumexp(z_j, j > k) - logsumexp(z_j, j <= k) of the logits z of all labels. Cumulative link models
    (McCullagh 1980, Regression Models for Ordinal Data, J. R. Stat. Soc. B 42) ask the same questions of one slope with a
    threshold for each border; here the probabilities are those of a softmax over all labels, so that P(y > k) falls with k
    whatever the logits are. A target that is spread over labels lies above a border by the sum of its shares there.
    """
    upwards = logits.logcumsumexp(-1)[:, :-1]
    downwards = logits.flip(-1).logcumsumexp(-1).flip(-1)[:, 1:]
    above = 1 - _spread(logits, targets, terms).cumsum(-1)[:, :-1]
    losses = functional.binary_cross_entropy_with_logits(downwards - upwards, above, reduction="none").sum(-1)
    if terms.weights is None:
        return losses.mean() if rows is None else _weighted_mean(losses, targets, rows, terms)
    losses = losses * terms.weights[targets]
    return losses.sum() / terms.weights[targets].sum() if rows is None else _weighted_mean(losses, targets, rows, terms)


def _spread(logits: Tensor, targets: Tensor, terms: Terms) -> Tensor:
    """Targets as shares of all labels, (rows, labels), smoothed."""
    shares = targets if targets.ndim == 2 else functional.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    return shares * (1 - terms.smoothing) + terms.smoothing / logits.shape[-1]


def binary_cross_entropy(logits: Tensor, targets: Tensor, terms: Terms, *, rows: Tensor | None = None) -> Tensor:
    """Mean over rows and labels, as torch has it; targets are 0 or 1 for each label, and weights those of a label's 1."""
    goals = targets.to(logits.dtype) * (1 - terms.smoothing) + terms.smoothing / 2
    whole = partial(functional.binary_cross_entropy_with_logits, logits, goals, pos_weight=terms.weights)
    return whole() if rows is None else (whole(reduction="none").mean(-1) * rows).sum() / rows.sum()


def mse(logits: Tensor, targets: Tensor, terms: Terms, *, rows: Tensor | None = None) -> Tensor:
    """Mean squared error of logits (rows, 1), as torch has it."""
    return _mean(functional.mse_loss(logits[:, 0], targets, reduction="none"), rows)


def huber(logits: Tensor, targets: Tensor, terms: Terms, *, delta: float, rows: Tensor | None = None) -> Tensor:
    """Mean over the rows of half the squared error, or above delta of delta times the error less delta / 2, as torch has it;
    Huber 1964, Robust Estimation of a Location Parameter, Ann. Math. Stat. 35."""
    return _mean(functional.huber_loss(logits[:, 0], targets, reduction="none", delta=delta), rows)


def _mean(losses: Tensor, rows: Tensor | None) -> Tensor:
    return losses.mean() if rows is None else (losses * rows).sum() / rows.sum()


def make_loss(
    recipe: Recipe,
    task: Task,
    targets: np.ndarray,
    labels: Sequence[str],
    device: torch.device,
    weights: np.ndarray | None = None,
) -> Loss:
    """The loss of one member, of a step's logits, targets and weights of rows.

    Args:
        recipe: names it, or leaves it to the task.
        task: what a label is.
        targets: of all training rows, (rows,) int64, or numbers in float32; or, (rows, labels), probabilities in float32, or 0
            and 1 in int64.
        labels: names, for class weights.
        device: where the logits will be.
        weights: of all training rows, (rows,); None where all count alike.
    """
    name, own = (task.loss, {}) if recipe.loss is None else (recipe.loss.name, recipe.loss.settings())
    choice = LOSSES[name]
    by_label = _class_weights(recipe, targets, labels, weights)
    priors = _shares(targets, len(labels), weights) if choice.priors else None
    terms = Terms(
        weights=None if by_label is None else torch.tensor(by_label, dtype=torch.float32, device=device),
        smoothing=recipe.label_smoothing,
        priors=None if priors is None else torch.tensor(priors, dtype=torch.float32, device=device),
    )
    loss: Loss = partial(resolve_name(choice.function), terms=terms, **own)
    return loss


def _class_weights(recipe: Recipe, targets: np.ndarray, labels: Sequence[str], weights: np.ndarray | None) -> np.ndarray | None:
    if recipe.class_weights is None:
        return None
    if recipe.class_weights == "balanced":
        if targets.ndim == 2:  # a label's 1 weighs as much in all as its 0
            factors = np.ones(len(targets)) if weights is None else weights
            having = factors @ targets
            return np.asarray((factors.sum() - having) / np.where(having > 0, having, 1))
        counts = np.bincount(targets, weights, minlength=len(labels))
        balanced: np.ndarray = counts.sum() / (len(labels) * counts)
        return balanced
    return np.array([recipe.class_weights[label] for label in labels])


def _shares(targets: np.ndarray, labels: int, weights: np.ndarray | None) -> np.ndarray:
    """Of each label in the training rows, (labels,)."""
    if targets.ndim == 2:
        mean: np.ndarray = targets.mean(0) if weights is None else np.average(targets, axis=0, weights=weights)
        return mean
    counts = np.bincount(targets, weights, minlength=labels)
    shares: np.ndarray = counts / counts.sum()
    return shares
