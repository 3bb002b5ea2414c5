"""Losses for unequal labels against their formulas; what a study may say of them; interrupted training goes on bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import striata
from striata.errors import StudyError
from striata.runs import RunFacts
from striata.settings import Recipe, load_study
from striata.tasks import SINGLE_LABEL
from striata.training.events import Event
from striata.training.losses import Terms, cross_entropy, focal, make_loss

from ..study.small import study_of

CPU = torch.device("cpu")


def loss_of(loss: Any, logits: torch.Tensor, targets: np.ndarray, **recipe: Any) -> torch.Tensor:
    """What a recipe's loss is of some rows that are all training rows."""
    names = [str(at) for at in range(logits.shape[1])]
    return make_loss(Recipe(loss=loss, **recipe), SINGLE_LABEL, targets, names, CPU)(logits, torch.from_numpy(targets))


@pytest.fixture(scope="module")
def rows() -> tuple[torch.Tensor, np.ndarray]:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(0, 3, (50, 4)).astype(np.float32)).requires_grad_(), rng.choice(
        4, 50, p=[0.7, 0.2, 0.06, 0.04]
    )


@pytest.mark.parametrize("recipe", [{}, {"class_weights": "balanced"}, {"label_smoothing": 0.2}, {
    "class_weights": {"0": 1, "1": 2, "2": 3, "3": 4}, "label_smoothing": 0.1,
}])  # fmt: skip
def test_settings_of_0_are_cross_entropy(rows: tuple[torch.Tensor, np.ndarray], recipe: dict[str, Any]) -> None:
    logits, targets = rows
    (expected,) = torch.autograd.grad(plain := loss_of("cross_entropy", logits, targets, **recipe), logits)
    for loss in ({"name": "focal", "gamma": 0}, {"name": "logit_adjusted", "tau": 0}):
        (gradient,) = torch.autograd.grad(value := loss_of(loss, logits, targets, **recipe), logits)
        assert value.item() == pytest.approx(plain.item(), rel=1e-5)
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.5, 1, 2, 5])
def test_focal_loss_is_its_formula(rows: tuple[torch.Tensor, np.ndarray], gamma: float) -> None:
    logits, targets = rows
    z = logits.detach().numpy()
    p = (np.exp(z) / np.exp(z).sum(1, keepdims=True))[np.arange(len(z)), targets]
    assert loss_of({"name": "focal", "gamma": gamma}, logits, targets).item() == pytest.approx(
        np.mean(-((1 - p) ** gamma) * np.log(p)), rel=1e-5
    )
    one_hot = functional.one_hot(torch.from_numpy(targets), 4).float()
    assert focal(logits, one_hot, Terms(), gamma=gamma).item() == pytest.approx(
        focal(logits, torch.from_numpy(targets), Terms(), gamma=gamma).item(), rel=1e-6
    )

    def sums(z: torch.Tensor) -> torch.Tensor:
        return focal(z, torch.from_numpy(targets), Terms(), gamma=gamma)

    assert torch.autograd.gradcheck(sums, logits.detach().double().requires_grad_())


@pytest.mark.parametrize("gamma", [0, 0.1, 0.5, 1, 2])
def test_rows_that_are_certain_have_finite_gradients(gamma: float) -> None:
    logits = torch.tensor([[500.0, 0, 0], [0, 500.0, 0], [90.0, 0, 0]], requires_grad=True)
    loss = focal(logits, torch.tensor([0, 0, 0]), Terms(), gamma=gamma)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_logit_adjustment_is_cross_entropy_of_shifted_logits(rows: tuple[torch.Tensor, np.ndarray]) -> None:
    logits, targets = rows
    shares = torch.from_numpy(np.bincount(targets, minlength=4) / 50)
    for tau in (0.5, 1.0, 2.0):
        expected = functional.cross_entropy(logits + torch.log(shares**tau), torch.from_numpy(targets), label_smoothing=0.1)
        value = loss_of({"name": "logit_adjusted", "tau": tau}, logits, targets, label_smoothing=0.1)
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    plain = cross_entropy(logits, torch.from_numpy(targets), Terms()).item()
    assert abs(loss_of("logit_adjusted", logits, targets).item() - plain) > 0.1


def study(**recipe: Any) -> dict[str, Any]:
    return {"base": "roberta-base", "data": {"train": "a.csv"}, "layouts": ["s8"], "output": "x", "recipe": recipe}


def test_a_study_names_a_loss_with_its_own_settings() -> None:
    assert load_study(study()).recipe.loss is None
    for name, own in (("focal", {"gamma": 2.0}), ("logit_adjusted", {"tau": 1.0}), ("cross_entropy", {})):
        recipe = load_study(study(loss=name)).recipe
        assert recipe.model_dump(mode="json")["loss"] == {"name": name, **own}
        assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    recipe = load_study(study(loss="focal"), ["recipe.loss.gamma=1.5"]).recipe
    assert recipe.loss is not None
    assert recipe.loss.gamma == 1.5
    for loss, message in (
        ({"name": "focal", "tau": 1}, r"recipe\.loss; expected no 'tau', which is no setting of focal; its own are gamma"),
        (
            {"name": "cross_entropy", "gamma": 1},
            r"expected no 'gamma', which is no setting of cross_entropy; it has none of its own",
        ),
        ({"name": "focal", "gamma": -1}, r"recipe\.loss\.gamma is -1; expected a number from 0 on"),
        ("focall", r"recipe\.loss.* is 'focall'; expected cross_entropy, focal, .*\(did you mean 'focal'\?\)"),
    ):
        with pytest.raises(StudyError, match=message):
            load_study(study(loss=loss))
    with pytest.raises(StudyError, match=r"unknown key 'recipe\.criterion' \(here it is `recipe\.loss`\)"):
        load_study(study(criterion="focal"))


def test_interrupted_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    layouts = [
        {"layout": "0-2 r2 d0.1 query", "name": "focal", "recipe": {"loss": {"name": "focal", "gamma": 0.5}}},
        {"layout": "1-2 r1 value", "name": "adjusted", "recipe": {"loss": "logit_adjusted", "class_weights": "balanced"}},
    ]
    short = {"max_steps": 6, "evaluate_every": 2}

    def interrupt(event: Event) -> None:
        if event.kind == "saved":
            raise KeyboardInterrupt

    whole = striata.train(study_of(tmp_path, layouts=layouts, recipe=short, ensemble={"size": 1})).runs
    settings = study_of(tmp_path, layouts=layouts, recipe=short, ensemble={"size": 1}, output=str(tmp_path / "cut"))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            striata.train(settings, listen=interrupt)
    cut = striata.train(settings).runs
    assert set(cut) == set(whole) == {"focal-seed0", "adjusted-seed0"}
    for name, run in whole.items():
        assert cut[name].history() == run.history()
        assert all(np.array_equal(tensor, cut[name].tensors()[key]) for key, tensor in run.tensors().items())
    facts = whole["focal-seed0"].facts
    plain = {key: value for key, value in facts.recipe.items() if key != "loss"}
    without = RunFacts.model_validate(facts.model_dump() | {"recipe": plain})  # as one that was written before there were losses
    assert without.identity == RunFacts.model_validate(facts.model_dump() | {"recipe": plain | {"loss": None}}).identity
    assert without.identity != facts.identity
