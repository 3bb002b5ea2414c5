"""Weights for a mean of logits: the logarithmic opinion pool (Genest and Zidek 1986; Hinton 2002); of numbers the linear one
(Bates and Granger 1969; Breiman 1996)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from ..calibration import fit_temperature
from ..runs.joined import Pool
from ..tasks import SINGLE_LABEL
from .best import best_runs
from .combiner import Combiner
from .rule import Rule

_RIDGE = 30.0  # pull of the weights towards equal ones, as strong as thirty rows: few rows say little of who is worth more
_LEAST = 1e-6  # weight; what is less is rounding


def choose_weighted(pool: Pool, rule: Rule) -> Combiner:
    """The best runs of a pool, as many as the rule's size, with the weights of :func:`fit_weights`, less those whose weight
    is 0.

    Raises:
        EnsembleError: there are fewer runs than the size.
    """
    names = best_runs(pool, rule)
    logits = pool.members(names).logits
    if pool.task.numeric:
        weights = fit_number_weights(logits[..., 0], pool.targets)
    else:
        weights = fit_weights(*pool.task.as_one_label(logits, pool.targets))
    chosen = {name: weight for name, weight in zip(names, weights.tolist(), strict=True) if weight}
    return Combiner(kind="logits", weights=chosen)


def fit_weights(logits: npt.NDArray[np.floating], targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Weights of the members of a mean of logits with the smallest log loss.

    Each member's logits are first divided by its own temperature, so that the pull towards equal weights, which keeps members
    that say the same from taking each other's place, does not depend on how sharp a member is. The loss is convex in the
    weights, which are not negative.

    Args:
        logits: of the members on validation rows, (members, rows, labels).
        targets: index of each row's label, (rows,).

    Returns:
        Weights of the logits as they are, (members,), adding up to 1.
    """
    from scipy.optimize import minimize  # here, because it takes long to load and predicting needs none of it

    temperatures = np.array([fit_temperature(member, targets) for member in logits])
    sharp = SINGLE_LABEL.log_probabilities(logits.astype(np.float64) / temperatures[:, None, None])
    of_target = sharp[:, np.arange(len(targets)), targets]

    def cost(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        mixed = np.tensordot(weights, sharp, 1)
        norm = logsumexp(mixed, axis=1)
        away = weights - weights.mean()
        loss = (norm - weights @ of_target).sum() + _RIDGE * (away @ away) / 2
        slope = np.einsum("rl,mrl->m", np.exp(mixed - norm[:, None]), sharp) - of_target.sum(1) + _RIDGE * away
        return float(loss), slope

    equal = np.full(len(logits), 1 / len(logits))
    best = minimize(cost, equal, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(logits))
    weights: npt.NDArray[np.float64] = (best.x if best.x.sum() > 0 else equal) / temperatures
    weights /= weights.sum()
    weights[weights < _LEAST] = 0.0
    weights /= weights.sum()
    return weights


def fit_number_weights(answers: npt.NDArray[np.floating], targets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights of the members of a mean of numbers with the smallest squared error, none of them negative.

    They are pulled towards equal ones as strongly as by thirty rows on which the members differ as much as they do on these.

    Args:
        answers: of the members on validation rows, (members, rows).
        targets: true numbers, (rows,).

    Returns:
        (members,), adding up to 1.
    """
    from scipy.optimize import LinearConstraint, minimize

    if len(answers) == 1:
        return np.ones(1)
    errors = answers.astype(np.float64) - targets
    products = errors @ errors.T  # as weights add up to 1, the squared error of the mean is a quadratic form in them
    apart = _RIDGE * errors.var(0, ddof=1).mean()
    scale = float(np.trace(products)) / len(products) or 1.0

    def cost(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        away, slope = weights - 1 / len(weights), products @ weights
        return float(weights @ slope + apart * (away @ away)) / scale, 2 * (slope + apart * away) / scale

    equal = np.full(len(errors), 1 / len(errors))
    best = minimize(
        cost,
        equal,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(equal),
        constraints=LinearConstraint(np.ones((1, len(equal))), 1.0, 1.0),
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights: npt.NDArray[np.float64] = np.clip(best.x, 0, None)
    weights[weights < _LEAST] = 0.0
    weights /= weights.sum()
    return weights
