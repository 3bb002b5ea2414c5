"""What training minimises, by the name that a task gives it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Mean cross entropy of a step's rows.

    Args:
        logits: (rows, labels).
        targets: places of the true labels, (rows,) int64; or probabilities of the labels, (rows, labels) in the logits' type.
        weights: of the labels, (labels,); the mean is then weighted by those of the rows' labels. None weighs all alike, and is
            what probabilities go with.
        smoothing: share of each target that is spread over all labels, in [0, 1).

    Returns:
        A scalar.
    """
    return functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)


LOSSES: dict[str, Loss] = {"cross entropy": cross_entropy}
