"""Optimizers and learning-rate schedules, one pair per member."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..settings.recipe import Recipe


def make_optimizer(recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> Optimizer:
    """The recipe's optimizer over one member's parameters; biases and norms are not decayed, as in transformers' Trainer.

    Args:
        recipe: names the optimizer. Lion: Chen et al. 2023, arXiv:2302.06675; AdamW: Loshchilov and Hutter 2019,
            arXiv:1711.05101.
        parameters: by name; one-dimensional ones are biases and norms.
    """
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "lion":
        from lion_pytorch.foreach import Lion

        lion: Optimizer = Lion(groups, lr=recipe.learning_rate)
        return lion
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, fused=True)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.learning_rate, fused=True)


def make_schedule(recipe: Recipe, optimizer: Optimizer, *, rows: int, step: int = 0) -> LambdaLR:
    """The recipe's learning rate over the steps, as it stands after `step` of them.

    Args:
        recipe: names the schedule and its warmup.
        optimizer: whose learning rate is set.
        rows: training rows, from which the number of steps follows.
        step: optimizer steps already taken.
    """
    from transformers import get_scheduler

    names = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
    schedule: LambdaLR = get_scheduler(
        names[recipe.schedule],
        optimizer,
        num_warmup_steps=recipe.warmup_steps(rows),
        num_training_steps=recipe.steps(rows),
    )
    schedule.last_epoch = step
    for group, start, factor in zip(optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
        group["lr"] = start * factor(step)
    return schedule


def optimizer_tensors(optimizer: Optimizer) -> dict[str, np.ndarray]:
    """The optimizer's state as flat arrays, `INDEX.KEY`."""
    return {
        f"{index}.{key}": value.detach().cpu().numpy().copy()
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, np.ndarray]) -> None:
    """Gives an optimizer the state that :func:`optimizer_tensors` read."""
    whole = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in tensors.items():
        index, _, key = name.partition(".")
        value, live = torch.from_numpy(array), parameters[int(index)]
        if value.shape == live.shape:  # fused steps want the parameter's own order in memory
            value = torch.empty_like(live).copy_(value)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
