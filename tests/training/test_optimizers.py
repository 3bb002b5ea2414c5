"""Optimizers against the formulas of their papers, computed in numpy, and the state that a checkpoint carries."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from striata.settings import Recipe
from striata.training.optimizers import load_optimizer, make_optimizer, make_schedule, optimizer_tensors

RATE, DECAY, STEPS = 0.05, 0.1, 7
OPTIMIZERS = ("lion", "adamw", "adam", "sgd")
Arrays = dict[str, np.ndarray]


def recipe(optimizer: str) -> Recipe:
    return Recipe.model_validate(
        {"optimizer": optimizer, "learning_rate": RATE, "weight_decay": DECAY, "warmup": 3, "schedule": "linear", "max_steps": 10}
    )


def start() -> dict[str, nn.Parameter]:
    """A matrix, a matrix that lies in memory by columns, as adapters in a bank do, and a bias."""
    rng = np.random.default_rng(0)
    plain, turned, bias = (torch.from_numpy(rng.normal(size=size).astype(np.float32)) for size in ((4, 3), (3, 5), (6,)))
    return {"plain": nn.Parameter(plain), "turned": nn.Parameter(turned.t()), "bias": nn.Parameter(bias)}


def gradients() -> Iterator[Arrays]:
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        yield {name: rng.normal(size=p.shape).astype(np.float32) for name, p in start().items()}


def stepped(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], gradient: Arrays) -> None:
    for name, p in parameters.items():
        p.grad = torch.empty_like(p).copy_(torch.from_numpy(gradient[name]))
    optimizer.step()


def formula(kind: str, gradient: list[Arrays]) -> Arrays:
    """AdamW: Loshchilov and Hutter 2019, algorithm 2; Lion: Chen et al. 2023, algorithm 2; Adam and SGD with L2 decay."""
    found = {}
    for name, parameter in start().items():
        x = parameter.detach().numpy().astype(np.float64)
        decay = DECAY if x.ndim > 1 else 0.0
        m, v = np.zeros_like(x), np.zeros_like(x)
        for t, each in enumerate(gradient, 1):
            rate = RATE * (min(t - 1, 3) / 3 if t <= 3 else (10 - (t - 1)) / 7)  # of transformers' linear schedule
            g = each[name].astype(np.float64)
            if kind == "lion":
                update = np.sign(0.9 * m + 0.1 * g)
                x = x * (1 - rate * decay) - rate * update
                m = 0.99 * m + 0.01 * g
            elif kind == "sgd":
                m = 0.9 * m + (g + decay * x)
                x = x - rate * m
            else:
                if kind == "adamw":
                    x = x * (1 - rate * decay)
                else:
                    g = g + decay * x
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                x = x - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        found[name] = x
    return found


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizers_do_what_their_papers_say(kind: str) -> None:
    parameters = start()
    optimizer = make_optimizer(recipe(kind), parameters)
    schedule = make_schedule(recipe(kind), optimizer, rows=100)
    for gradient in gradients():
        stepped(optimizer, parameters, gradient)
        schedule.step()
    for name, expected in formula(kind, list(gradients())).items():
        np.testing.assert_allclose(parameters[name].detach().numpy(), expected, rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_restored_optimizer_goes_on_bit_for_bit(kind: str) -> None:
    parameters = start()
    optimizer = make_optimizer(recipe(kind), parameters)
    every = list(gradients())
    for gradient in every[:3]:
        stepped(optimizer, parameters, gradient)
    others = {name: nn.Parameter(torch.empty_like(p).copy_(p.detach())) for name, p in parameters.items()}
    again = make_optimizer(recipe(kind), others)
    load_optimizer(again, copy.deepcopy(optimizer_tensors(optimizer)))
    for gradient in every[3:]:
        stepped(optimizer, parameters, gradient)
        stepped(again, others, gradient)
    for name, p in parameters.items():
        assert torch.equal(p, others[name]), name
