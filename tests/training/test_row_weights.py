"""Weights of rows in training, against rows that are there several times."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import striata
from striata.errors import StudyError
from striata.runs import Run
from striata.training.losses import Terms, cross_entropy, focal, logit_adjusted

from ..study.small import make_base, study_of, write_texts

COUNTS = np.random.default_rng(0).integers(1, 4, 24)


@pytest.mark.parametrize("function", [cross_entropy, partial(focal, gamma=1.5), partial(logit_adjusted, tau=0.7)])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize(("labels", "soft"), [(None, False), (None, True), ((0.5, 2.0, 1.0), False)])
def test_a_loss_is_that_of_repeated_rows(
    function: Callable[..., torch.Tensor], smoothing: float, labels: tuple[float, ...] | None, soft: bool
) -> None:
    """Without weights of rows, losses are torch's (see test_update.py)."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(24, 3, generator=generator, requires_grad=True)
    targets = torch.rand(24, 3, generator=generator).softmax(-1) if soft else torch.arange(24) % 3
    counts = torch.from_numpy(COUNTS)
    weights = None if labels is None else torch.tensor(labels)
    terms = Terms(weights=weights, smoothing=smoothing, priors=torch.tensor([0.2, 0.3, 0.5]))
    loss = function(logits, targets, terms, rows=counts.float())
    many, answers = (values.repeat_interleave(counts, 0) for values in (logits, targets))
    expected = function(many, answers, terms)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (loss, expected)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    make_base(folder)
    write_texts(folder / "train.csv", 24)
    write_texts(folder / "held.csv", 12, seed=1)
    return folder


def train(folder: Path, name: str, data: dict[str, Any], weights: object = None, **recipe: Any) -> Run:
    """Three steps of gradient descent over all rows at once."""
    settings = {"train": None, "validation": str(folder / "held.csv")} | ({"weight": "w"} if "w" in data else {})
    recipe |= {"optimizer": "sgd", "learning_rate": 0.2, "schedule": "constant", "warmup": 0, "clip": None}
    study = study_of(
        folder,
        base=str(folder / "roberta"),
        data=settings,
        layouts=["0-2 r2 query value"],
        ensemble={"size": 1},
        recipe=recipe | {"batch_size": 100, "max_steps": 3, "evaluate_every": 3},
        output=str(folder / name),
    )
    return next(iter(striata.train(study, data=data, weights=weights).runs.values()))


@pytest.mark.parametrize("recipe", [{}, {"class_weights": "balanced", "label_smoothing": 0.2}, {"loss": "logit_adjusted"}])
def test_a_member_of_weighted_rows_learns_what_repeated_rows_teach(folder: Path, recipe: dict[str, Any]) -> None:
    texts, labels = zip(*(line.split(",") for line in (folder / "train.csv").read_text().split("\n")[1:-1]), strict=True)
    plain, name = {"text": list(texts), "label": list(labels)}, "-".join(recipe)
    repeated = {key: np.repeat(values, COUNTS).tolist() for key, values in plain.items()}
    expected = train(folder, f"repeated-{name}", repeated, **recipe).tensors()
    column = train(folder, f"column-{name}", plain | {"w": (0.1 * COUNTS).tolist()}, **recipe)
    beside = train(folder, f"beside-{name}", plain, weights=COUNTS, **recipe)
    alike = train(folder, f"alike-{name}", plain, **recipe)
    for run in (column, beside):
        for key, values in run.tensors().items():
            np.testing.assert_allclose(values, expected[key], atol=2e-5, err_msg=key)
    assert max(np.abs(values - expected[key]).max() for key, values in alike.tensors().items()) > 1e-3
    assert "weight" not in column.facts.columns.to_json()


def test_weights_without_rows_are_refused(folder: Path) -> None:
    study = {"base": "none", "data": str(folder / "train.csv"), "baselines": "auto", "output": str(folder / "none")}
    with pytest.raises(StudyError, match=r"name the column as `data.weight`"):
        striata.train(study, weights=COUNTS)
