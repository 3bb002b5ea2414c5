"""Optimizers and learning-rate schedules, one pair per member."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..choices import OPTIMIZERS, SCHEDULES
from ..settings.recipe import Recipe


def make_optimizer(recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> Optimizer:
    """The recipe's optimizer over one member's parameters; biases and norms are not decayed, as in transformers' Trainer.

    Args:
        recipe: names the optimizer, of :data:`striata.choices.OPTIMIZERS`, where the papers are.
        parameters: by name; one-dimensional ones are biases and norms.
    """
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    choice = OPTIMIZERS[recipe.optimizer.name]
    own = recipe.optimizer.settings()
    optimizer: Optimizer = resolve_name(choice.factory)(groups, lr=recipe.learning_rate, **own, **choice.fixed)
    return optimizer


def make_schedule(recipe: Recipe, optimizer: Optimizer, *, rows: int, step: int = 0) -> LambdaLR:
    """The recipe's learning rate over the steps, as it stands after `step` of them.

    Args:
        recipe: names the schedule and its warmup.
        optimizer: whose learning rate is set.
        rows: training rows, from which the number of steps follows.
        step: optimizer steps already taken.
    """
    from transformers import get_scheduler

    schedule: LambdaLR = get_scheduler(
        SCHEDULES[recipe.schedule].scheduler,
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
