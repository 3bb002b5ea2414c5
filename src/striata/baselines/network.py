"""A network with one hidden layer on embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tasks.regression import Scale
from .rows import Floats, Logits, Targets, Weights, are_numbers
from .threads import threads_for

FEW, MANY, MANY_ROWS = 256, 512, 10_000  # hidden units, and from how many rows on
RATES, DECAY = {FEW: 2e-3, MANY: 1e-3}, 0.1  # of AdamW
DROPPED_INPUT, DROPPED = 0.2, {FEW: 0.3, MANY: 0.5}  # shares of the features and of the hidden units
FEWEST_EPOCHS, MOST_EPOCHS = 16, 30
_SIGHTS = 120_000  # rows seen in all, within these bounds
_SMALLEST, _LARGEST = 32, 256  # rows of a step
_STEPS = 20  # an epoch of few rows has
_WORK = 400_000_000_000  # most rows times epochs times weights


@dataclass(frozen=True, kw_only=True)
class Network:
    """Scores of one hidden layer with GELU (Hendrycks and Gimpel 2016).

    Args:
        first: (features, units) float32, standardization included.
        first_bias: (units,) float32.
        second: (units, labels) float32.
        second_bias: (labels,) float32.
    """

    first: Logits
    first_bias: Logits
    second: Logits
    second_bias: Logits

    @property
    def trainable(self) -> int:
        """How many weights and biases were fitted."""
        return self.first.size + self.first_bias.size + self.second.size + self.second_bias.size

    @property
    def features(self) -> int:
        """How many numbers it reads of a row."""
        return len(self.first)

    @property
    def labels(self) -> int:
        """How many labels it scores."""
        return len(self.second_bias)

    def scores(self, features: Floats) -> Logits:
        """(n, labels) float32 for (n, features)."""
        from scipy.special import ndtr

        hidden = features @ self.first + self.first_bias
        return np.asarray((hidden * ndtr(hidden)) @ self.second + self.second_bias, np.float32)

    def scaled(self, factor: float) -> Network:
        """The network whose scores are `factor` times as large."""
        return replace(self, second=self.second * np.float32(factor), second_bias=self.second_bias * np.float32(factor))

    def in_unit(self, scale: Scale) -> Network:
        """The network of numbers as they are, of one that learned them by a scale."""
        scaled = self.scaled(scale.deviation)
        return replace(scaled, second_bias=scaled.second_bias + np.float32(scale.mean))

    def on_columns(self, mean: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> Network:
        """The network for columns as they are, of one for columns less their `mean` by their `spread`, both (features,)."""
        first = self.first / spread[:, None]
        return replace(self, first=first.astype(np.float32), first_bias=(self.first_bias - mean @ first).astype(np.float32))

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`from_tensors` reads."""
        return {
            "first.weights": self.first,
            "first.bias": self.first_bias,
            "second.weights": self.second,
            "second.bias": self.second_bias,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]], *, features: int, labels: int) -> Network:
        """What :meth:`tensors` gave.

        Raises:
            KeyError, ValueError: it is no network of so many features and labels.
        """
        network = cls(
            first=tensors["first.weights"],
            first_bias=tensors["first.bias"],
            second=tensors["second.weights"],
            second_bias=tensors["second.bias"],
        )
        units = len(network.first_bias)
        if network.first.shape != (features, units) or network.second.shape != (units, labels) or network.labels != labels:
            raise ValueError(f"its layers have other sizes than {features} features and {labels} labels need")
        return network


def most_rows(features: int, labels: int) -> int:
    """How many rows a network of so many features and labels is trained on; more would take too long."""
    return max(1, _WORK // (FEWEST_EPOCHS * MANY * (features + labels)))


def train_network(features: Floats, targets: Targets, labels: int, *, seed: int, weights: Weights | None = None) -> Network:
    """Trains by AdamW with a one-cycle schedule, dropout before both layers (Srivastava et al. 2014), on the CPU.

    Args:
        features: (n, features), columns of one scale; of more rows than :func:`most_rows` a sample is trained on.
        targets: places of the labels, (n,), 0 or 1 for each label, (n, labels), or numbers, (n,) float64: these are learned by
            squared error, less their mean and by their standard deviation, which the network's scores are given back.
        labels: how many; 1 for numbers.
        weights: how much each row counts, (n,): a step's loss is the weighted mean of its rows'; None where all count once.
        seed: of weights, dropout and order; the same rows and seed give the same network, with the same number of
            threads where rows are 10,000 or more.
    """
    import torch
    from torch.nn import functional

    units = FEW if len(features) < MANY_ROWS else MANY
    chosen = np.random.default_rng(seed).permutation(len(features))[: most_rows(features.shape[1], labels)]
    inputs = torch.from_numpy(np.ascontiguousarray(features[chosen], np.float32))
    scale = Scale(float(targets.mean()), float(targets.std()) or 1.0) if are_numbers(targets) else None
    if scale is not None:
        goals = torch.from_numpy(scale.standard(targets[chosen])[:, None])
    else:
        goals = torch.from_numpy(targets[chosen].astype(np.float32) if targets.ndim == 2 else targets[chosen])
    fit = _loss_of(targets)
    counts = None if weights is None else torch.from_numpy(weights[chosen].astype(np.float32))
    rows = len(inputs)
    size = min(rows, max(_SMALLEST, min(_LARGEST, rows // _STEPS)))
    epochs = max(FEWEST_EPOCHS, min(MOST_EPOCHS, _SIGHTS // rows))
    with threads_for(len(features), torch), torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        first, second = torch.nn.Linear(inputs.shape[1], units), torch.nn.Linear(units, labels)
        optimizer = torch.optim.AdamW(
            [*first.parameters(), *second.parameters()], lr=RATES[units], weight_decay=DECAY, fused=True
        )
        steps = epochs * (rows // size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATES[units], total_steps=steps + 1)
        for _ in range(epochs):
            order = torch.randperm(rows)
            for start in range(0, rows - size + 1, size):
                places = order[start : start + size]
                hidden = functional.gelu(first(functional.dropout(inputs[places], DROPPED_INPUT)))
                scores = second(functional.dropout(hidden, DROPPED[units]))
                if counts is None:
                    loss = fit(scores, goals[places])
                else:
                    losses = fit(scores, goals[places], reduction="none").reshape(size, -1).mean(1)
                    loss = (losses * counts[places]).sum() / counts[places].sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    parts = (first.weight.t(), first.bias, second.weight.t(), second.bias)
    arrays = [np.ascontiguousarray(part.detach().numpy()) for part in parts]
    network = Network(first=arrays[0], first_bias=arrays[1], second=arrays[2], second_bias=arrays[3])
    return network if scale is None else network.in_unit(scale)


def _loss_of(targets: Targets) -> Callable[..., Any]:
    """The mean over a step's rows, in torch."""
    from torch.nn import functional

    if are_numbers(targets):
        return functional.mse_loss
    return functional.cross_entropy if targets.ndim == 1 else functional.binary_cross_entropy_with_logits
