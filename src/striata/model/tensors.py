"""The combination of runs as torch has it: for gradients, and for graphs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

Stacked = tuple[Sequence[Tensor], Tensor]
"""Coefficients of each member, (labels, labels), and the intercept, (labels,)."""


def combine_tensors(members: Sequence[Tensor], weights: Sequence[float], kind: str, stacked: Stacked | None = None) -> Tensor:
    """What :meth:`striata.ensemble.Combiner.apply` gives, of tensors.

    Args:
        members: logits of each, (texts, labels).
        weights: one per member.
        kind: "logits", "probabilities" or "stacking".
        stacked: the regression, for "stacking".

    Returns:
        (texts, labels).
    """
    if stacked is not None:
        coefficients, intercept = stacked
        parts = [functional.log_softmax(one, -1) @ matrix.T for one, matrix in zip(members, coefficients, strict=True)]
        return torch.stack(parts).sum(0) + intercept
    if kind == "probabilities":
        shares = [weight * torch.softmax(one, -1) for weight, one in zip(weights, members, strict=True)]
        return torch.log(torch.clamp(torch.stack(shares).sum(0), min=torch.finfo(torch.float32).tiny))
    return torch.stack([weight * one for weight, one in zip(weights, members, strict=True)]).sum(0)
