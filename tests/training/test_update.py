"""What the recipe says of the loss and of a step, against torch's own loop on peft's own model."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

import striata
from striata.data import Tokenizer
from striata.errors import StudyError
from striata.runs import Run

from ..engine.reference import padded, peft_twin
from ..study.small import WORDS, make_base

LABELS = ("2", "9", "10", "30")  # by size; by alphabet 10, 2, 30, 9; and the file begins with 10
SHARES = (0.1, 0.5, 0.15, 0.25)
WEIGHTS = {"10": 0.3, "30": 4.0, "2": 1.0, "9": 2.5}
RATE, STEPS = 0.2, 4
IN_ORDER = [WEIGHTS[label] for label in LABELS]
# By the member's name: its recipe, and the same in torch's words.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "weights-by-name": ({"class_weights": WEIGHTS}, {"weights": IN_ORDER}),
    "balanced": ({"class_weights": "balanced"}, {"weights": "balanced"}),
    "label-smoothing": ({"label_smoothing": 0.3}, {"smoothing": 0.3}),
    "smoothing-and-weights": ({"label_smoothing": 0.3, "class_weights": WEIGHTS}, {"smoothing": 0.3, "weights": IN_ORDER}),
    "focal": ({"loss": {"name": "focal", "gamma": 1.5}}, {"gamma": 1.5}),
    "focal-and-weights": ({"loss": "focal", "class_weights": WEIGHTS}, {"gamma": 2.0, "weights": IN_ORDER}),
    "focal-0": ({"loss": {"name": "focal", "gamma": 0}, "label_smoothing": 0.3}, {"smoothing": 0.3}),
    "logit-adjusted": ({"loss": {"name": "logit_adjusted", "tau": 1.5}}, {"tau": 1.5}),
    "clip": ({"clip": 0.2}, {"clip": 0.2}),
    "unreached-clip": ({"clip": 1e6}, {}),
    "momentum": ({"optimizer": {"name": "sgd", "momentum": 0.6}}, {"momentum": 0.6}),
    "one-step": ({"max_steps": 1, "evaluate_every": 1, "weight_decay": 0.0}, {}),
    "one-clipped-step": ({"max_steps": 1, "evaluate_every": 1, "weight_decay": 0.0, "clip": 0.05}, {}),
}


def write_rows(path: Path, rows: int, seed: int) -> Path:
    """Texts of four labels in unequal numbers, the first row's label 10."""
    rng = np.random.default_rng(seed)
    places = [2, 0, 1, 3, *rng.choice(4, rows - 4, p=SHARES)]
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["text", "label"])
        for place in places:
            lines.writerow([" ".join(WORDS[i] for i in rng.integers(place * 15, place * 15 + 30, 5)), LABELS[place]])
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_rows(folder / "train.csv", 40, 0)
    write_rows(folder / "validation.csv", 20, 1)
    return make_base(folder)


def rows_of(file: Path) -> tuple[list[str], list[str]]:
    with file.open(newline="") as lines:
        texts, labels = zip(*list(csv.reader(lines))[1:], strict=True)
    return list(texts), list(labels)


def train(base: Path, output: Path, cases: Mapping[str, dict[str, Any]], **changes: Any) -> dict[str, Run]:
    """Members by name, all rows in every step, measured once at their ends."""
    recipe = {
        "optimizer": {"name": "sgd", "momentum": 0.0}, "learning_rate": RATE, "schedule": "constant", "warmup": 0,
        "batch_size": 40, "max_steps": STEPS, "evaluate_every": STEPS, "clip": None, "precision": "fp32",
    }  # fmt: skip
    study = {
        "base": str(base),
        "data": {"train": str(base.parent / "train.csv"), "validation": str(base.parent / "validation.csv"), "max_length": 32},
        "layouts": [
            {"layout": "0 r2 a4 query | 1-2 r4 a4 query value", "name": name, "recipe": own | changes}
            for name, own in cases.items()
        ],
        "recipe": recipe,
        "baselines": "none",
        "ensemble": {"size": 1},
        "output": str(output),
    }
    return {name.removesuffix("-seed0"): run for name, run in striata.train(study).runs.items()}


def reference(
    base: Path,
    start: Run,
    weights: Sequence[float] | None = None,
    *,
    smoothing: float = 0.0,
    clip: float | None = None,
    momentum: float = 0.0,
    gamma: float = 0.0,
    tau: float = 0.0,
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Losses and final weights of torch's loop: cross_entropy, clip_grad_norm_, SGD with decay of matrices.

    Focal loss is each row's cross entropy times (1 - p)^gamma; logit adjustment is cross entropy of shifted logits.
    """
    twin = peft_twin(base, start.plan, start.tensors())
    texts, labels = rows_of(base.parent / "train.csv")
    inputs = padded(Tokenizer.load(str(base), 32).encode(texts), 1)
    targets = torch.tensor([LABELS.index(label) for label in labels])
    named = {n.replace(".modules_to_save.default", "").replace(".default", ""): p for n, p in twin.named_parameters()}
    live = {name: p for name, p in named.items() if p.requires_grad}
    groups = [
        {"params": [p for p in live.values() if p.ndim > 1], "weight_decay": 0.02},
        {"params": [p for p in live.values() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=momentum)
    weight, losses = None if weights is None else torch.tensor(weights, dtype=torch.float32), []
    shift = tau * torch.log(torch.bincount(targets, minlength=len(LABELS)) / len(targets))
    for _ in range(STEPS):
        logits = twin(**inputs).logits + shift
        loss = functional.cross_entropy(logits, targets, weight=weight, label_smoothing=smoothing)
        if gamma:
            rows = functional.cross_entropy(logits, targets, weight=weight, reduction="none")
            p = torch.softmax(logits, -1)[torch.arange(len(targets)), targets]
            loss = ((1 - p) ** gamma * rows).sum() / (len(targets) if weight is None else weight[targets].sum())
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            clip_grad_norm_(list(live.values()), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: p.detach().numpy() for name, p in live.items()}


def balanced(base: Path) -> list[float]:
    _, labels = rows_of(base.parent / "train.csv")
    return list(compute_class_weight("balanced", classes=np.array(LABELS), y=np.array(labels)))


@pytest.fixture(scope="module")
def starts(base: Path) -> dict[str, Run]:
    """Every member's weights before its first update: the rate of the one step is 0."""
    recipes = {name: recipe for name, (recipe, _) in CASES.items()}
    return train(base, base.parent / "starts", recipes, max_steps=1, evaluate_every=1, warmup=0.5)


@pytest.fixture(scope="module")
def ends(base: Path) -> dict[str, Run]:
    return train(base, base.parent / "ends", {name: recipe for name, (recipe, _) in CASES.items()})


@pytest.mark.parametrize("case", [name for name in CASES if not name.startswith("one")])
def test_a_member_trains_as_torch_does(base: Path, starts: dict[str, Run], ends: dict[str, Run], case: str) -> None:
    _, options = CASES[case]
    if options.get("weights") == "balanced":
        options = {**options, "weights": balanced(base)}
    start, run = starts[case], ends[case]
    losses, weights = reference(base, start, **options)
    ours = [entry["loss"] for entry in run.history() if entry["loss"] is not None]
    np.testing.assert_allclose(ours, losses, rtol=2e-5)
    begun, ended = start.tensors(), run.tensors()
    assert set(ended) == set(weights)
    for name, expected in weights.items():
        moved = np.abs(expected - begun[name]).max()
        np.testing.assert_allclose(ended[name], expected, atol=1e-3 * moved, rtol=0, err_msg=name)
    if options:  # else the setting changes too little to be seen
        _, plain = reference(base, start)
        assert max(np.abs(plain[name] - weights[name]).max() / np.abs(weights[name] - begun[name]).max() for name in plain) > 0.05


def test_a_clipped_step_is_as_long_as_the_clip_says(starts: dict[str, Run], ends: dict[str, Run]) -> None:
    """One step of SGD without decay moves the weights by rate times the gradient, whose norm is then the clip."""

    def gradient(case: str) -> np.ndarray:
        begun, ended = starts[case].tensors(), ends[case].tensors()
        return np.concatenate([(begun[name] - ended[name]).ravel() / RATE for name in begun])

    assert np.linalg.norm(gradient("one-step")) > 0.5
    assert np.linalg.norm(gradient("one-clipped-step")) == pytest.approx(0.05, rel=1e-3)


def test_class_weights_name_every_label(base: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="class_weights has no weight for label '30'; give one for every label"):
        train(base, tmp_path / "out", {"short": {"class_weights": dict.fromkeys(LABELS[:3], 1.0)}})
    with pytest.raises(StudyError, match=r"class_weights names label '31'.*; expected 2, 9, 10, 30"):
        train(base, tmp_path / "out", {"more": {"class_weights": {**WEIGHTS, "31": 1.0}}})
    with pytest.raises(StudyError, match=r"recipe\.class_weights.*a number above 0"):
        train(base, tmp_path / "out", {"none": {"class_weights": {**WEIGHTS, "30": 0.0}}})
