"""Training on probabilities in the place of labels: the loss against its formula, and one-hot rows against labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from striata.data import Tokenizer
from striata.engine import Encoder, Stack
from striata.layout import make_plan
from striata.runs import Member
from striata.settings import Recipe
from striata.training.loop import Outcome, Trainer
from striata.training.losses import Terms, cross_entropy
from striata.training.validation import Validator

from ..study.small import WORDS, make_base


def test_the_loss_of_probabilities_and_its_gradient_are_those_of_the_formula() -> None:
    """Of row i: -sum p log softmax(z); its gradient (softmax(z) - p) / rows, since p adds up to 1."""
    rng = np.random.default_rng(0)
    z, p = rng.normal(0, 3, (7, 4)), rng.dirichlet(np.ones(4), 7)
    p[2] = [0, 1, 0, 0]
    logits = torch.tensor(z, dtype=torch.float32, requires_grad=True)
    loss = cross_entropy(logits, torch.tensor(p, dtype=torch.float32), Terms())
    (gradient,) = torch.autograd.grad(loss, logits)
    softmax = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert float(loss.detach()) == pytest.approx(-(p * np.log(softmax)).sum(1).mean(), rel=1e-5)
    np.testing.assert_allclose(gradient.numpy(), (softmax - p) / 7, atol=1e-6)


def train(base: Path, targets: np.ndarray, labels: np.ndarray) -> Outcome:
    """One member over 30 texts, with dropout, one epoch and a half."""
    rng = np.random.default_rng(1)
    texts = Tokenizer.load(str(base), 32).encode([" ".join(rng.choice(WORDS, int(rng.integers(2, 9)))) for _ in range(30)])
    plan = make_plan("0-2 r3 a6 d0.1 query value", base=str(base), labels=3, head="linear")
    settings: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 0.02, "batch_size": 5, "max_steps": 9, "evaluate_every": 3}
    member = Member(name="one", title="one", layout="one", seed=4, recipe=Recipe.model_validate(settings), plan=plan)
    ended: list[Outcome] = []
    Trainer(
        Stack(Encoder.load(str(base), head=plan.head, precision="fp32", device="cpu"), [plan]),
        [member],
        texts=texts,
        targets=targets,
        names=("a", "b", "c"),
        validator=Validator(texts, labels, 0),
        checkpoint=None,
        ended=ended.append,
    ).run()
    return ended[0]


def test_one_hot_probabilities_train_as_labels_do(tmp_path: Path) -> None:
    base, labels = make_base(tmp_path, dropout=0.1), np.arange(30) % 3
    hard, soft = train(base, labels, labels), train(base, np.eye(3, dtype=np.float32)[labels], labels)
    smooth = train(base, np.full((30, 3), 1 / 3, np.float32), labels)
    assert hard.best is not None and soft.best is not None and smooth.best is not None  # noqa: PT018
    for name, value in hard.best.tensors.items():
        np.testing.assert_allclose(soft.best.tensors[name], value, atol=1e-5, err_msg=name)
    losses = [[entry["loss"] for entry in outcome.history if "loss" in entry] for outcome in (hard, soft, smooth)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert np.abs(np.array(losses[2]) - losses[0]).max() > 0.05
