"""Weights of several runs merged into those of one: the mean of equal plans, and low-rank products brought to one rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..layout import Layout, Plan, Section, make_plan
from ..layout.sections import from_layers

_Tensors = Mapping[str, npt.NDArray[np.floating]]
PREFIX = "base_model.model."  # of peft's names


def mean_of_weights(tensors: Sequence[_Tensors]) -> dict[str, npt.NDArray[np.float32]]:
    """The mean of every tensor of runs with one plan (Wortsman et al. 2022, arXiv:2203.05482)."""
    stacked = {name: np.stack([run[name] for run in tensors]).astype(np.float64) for name in tensors[0]}
    return {name: (values.sum(0) / len(tensors)).astype(np.float32) for name, values in stacked.items()}


def merged_layout(plans: Sequence[Plan], rank: int | None) -> Layout:
    """A layout over every site that one of the plans has.

    Args:
        plans: of runs on one encoder.
        rank: of each site, at most its smaller dimension; None for the largest that a plan has there.
    """
    ranks: dict[tuple[int, str], int] = {}
    for plan in plans:
        for site in plan.sites:
            smaller = min(site.in_features, site.out_features)
            key = (site.layer, site.target)
            ranks[key] = max(ranks.get(key, 0), site.rank) if rank is None else min(rank, smaller)
    layers: list[dict[str, Section]] = [{} for _ in range(max((layer for layer, _ in ranks), default=0) + 1)]
    for (layer, target), size in ranks.items():
        layers[layer][target] = Section(layer, layer, size, float(size), 0.0, (target,))
    return from_layers(layers)


def merged_plan(plans: Sequence[Plan], *, rank: int | None = None, budget: int | None = None) -> Plan:
    """The plan of :func:`merged_layout`, scale 1 everywhere.

    Raises:
        BudgetError: it has more parameters than the budget.
        EncoderError: the encoder's shape cannot be found.
    """
    first = plans[0]
    layout = merged_layout(plans, rank)
    return make_plan(layout, base=first.base, labels=first.labels, head=first.head.kind, budget=budget)


def merge(plans: Sequence[Plan], tensors: Sequence[_Tensors], into: Plan) -> dict[str, npt.NDArray[np.float32]]:
    """The mean of the runs' products scale * B A, brought to the ranks of a plan; heads are averaged.

    The singular value decomposition gives the nearest matrices of these ranks; they are the mean itself wherever the rank is at
    least the sum of the runs' ranks.

    Args:
        plans: of the runs.
        tensors: their weights, by peft's names.
        into: from :func:`merged_plan`.
    """
    merged = mean_of_weights([{name: value for name, value in weights.items() if ".lora_" not in name} for weights in tensors])
    sites = [{site.module: site for site in plan.sites} for plan in plans]
    for site in into.sites:
        name = f"{PREFIX}{site.module}"
        downs, ups = [], []
        for own, weights in zip(sites, tensors, strict=True):
            if site.module in own:
                downs.append(weights[f"{name}.lora_A.weight"].astype(np.float64))
                ups.append(weights[f"{name}.lora_B.weight"].astype(np.float64) * (own[site.module].scale / len(plans)))
        down, up = _of_rank(np.concatenate(downs), np.concatenate(ups, axis=1), site.rank)
        merged[f"{name}.lora_A.weight"] = down.astype(np.float32)
        merged[f"{name}.lora_B.weight"] = (up / site.scale).astype(np.float32)
    return merged


def _of_rank(
    down: npt.NDArray[np.float64], up: npt.NDArray[np.float64], rank: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The nearest (rank, in), (out, rank) to a product, without forming it: orthogonal factors, then a small decomposition."""
    left, small_left = np.linalg.qr(up)
    right, small_right = np.linalg.qr(down.T)
    u, values, v = np.linalg.svd(small_left @ small_right.T, full_matrices=False)
    size = min(rank, len(values))
    root = np.sqrt(values[:size])
    result_down = np.zeros((rank, down.shape[1]))
    result_up = np.zeros((up.shape[0], rank))
    result_down[:size] = (right @ v[:size].T * root).T
    result_up[:, :size] = left @ u[:, :size] * root
    return result_down, result_up
