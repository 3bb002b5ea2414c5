"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365), through all members at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..model.tensors import combine_tensors
from .readers import Reader
from .stages import Stage, contrast
from .words import Weights, Words

FEW, MANY = 32, 256  # steps
CLOSE = 0.02  # error, as a share of what there is to add up, at which more steps are not worth their time
_TOKENS = 2048  # in one pass with gradients


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrated:
    """What came out.

    Args:
        weights: of the words.
        score: of the whole text.
        empty: of nothing.
        error: how far the weights are from adding up to the difference of the two.
        steps: that were taken.
        exact: whether the score is linear in the words.
    """

    weights: Weights
    score: float
    empty: float
    error: float
    steps: int
    exact: bool


def integrate(readers: Sequence[Reader], stage: Stage, label: int, words: Words, steps: int | None) -> Integrated:
    """What each word adds to a label's score on the straight way from nothing to the text.

    Args:
        readers: of all members of the stage.
        stage: their combination.
        label: its place.
        words: of the text.
        steps: of the Gauss-Legendre quadrature; None for 32, doubled while the error is large, up to 256. Where the score is
            linear, one step is exact and all that is taken.
    """
    linear = stage.combiner.kind == "logits" and all(reader.linear for reader in readers)
    taken = 1 if linear else steps or FEW
    with torch.inference_mode(False), torch.enable_grad():
        score, empty = _ends(readers, stage, label)
        while True:
            weights = _integrated(readers, stage, label, words, taken)
            error = abs(float(weights.values.sum()) + weights.rest - (score - empty))
            if linear or steps is not None or taken >= MANY or error <= CLOSE * abs(score - empty):
                error = abs(float(weights.values.sum()) - (score - empty))
                return Integrated(weights=weights, score=score, empty=empty, error=error, steps=taken, exact=linear)
            taken *= 2


def _ends(readers: Sequence[Reader], stage: Stage, label: int) -> tuple[float, float]:
    with torch.no_grad():
        scores, _ = _scores(readers, stage, label, torch.tensor([1.0, 0.0], dtype=torch.float64))
    return float(scores[0]), float(scores[1])


def _integrated(readers: Sequence[Reader], stage: Stage, label: int, words: Words, steps: int) -> Weights:
    points, shares = np.polynomial.legendre.leggauss(steps)
    places, measure = torch.from_numpy((points + 1) / 2), torch.from_numpy(shares / 2)
    at_once = max(1, _TOKENS // sum(reader.tokens for reader in readers))
    sums: list[Tensor | None] = [None] * len(readers)
    for start in range(0, steps, at_once):
        part = slice(start, start + at_once)
        scores, leaves = _scores(readers, stage, label, places[part])
        moving = [leaf for leaf in leaves if leaf is not None]
        if not moving:
            continue
        gradients = iter(torch.autograd.grad((scores * measure[part]).sum(), moving))
        for at, leaf in enumerate(leaves):
            if leaf is not None:
                own, before = next(gradients).sum(0), sums[at]
                sums[at] = own if before is None else before + own
    weights = Weights(words)
    for reader, gradient in zip(readers, sums, strict=True):
        if gradient is not None:
            reader.add(gradient, weights)
    return weights


def _scores(readers: Sequence[Reader], stage: Stage, label: int, shares: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """Scores of the label, (points,) float64 on the CPU, and each reader's leaf."""
    logits: dict[str, Tensor] = {}
    leaves = []
    for reader in readers:
        own, leaf = reader.at(shares)
        logits |= {name: values.double().cpu() for name, values in own.items()}
        leaves.append(leaf)
    combiner, stacked = stage.combiner, None
    if combiner.stacking is not None:
        matrices = [torch.from_numpy(combiner.stacking.coefficients[name]) for name in stage.names]
        stacked = (matrices, torch.from_numpy(combiner.stacking.intercept))
    members = [logits[name] for name in stage.names]
    combined = combine_tensors(members, [combiner.weights[name] for name in stage.names], combiner.kind, stacked)
    factors = torch.from_numpy(contrast(label, combined.shape[1], stage.task) / stage.temperature)
    return combined @ factors, leaves
