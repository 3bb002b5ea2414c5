"""Studies on a GPU; skipped where there is none."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import striata
from striata.training.events import Event

from .small import make_base, study_of, write_texts

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
TEXTS = ["w1 w2 w3 w30", "w26 w27 w25", "w51 w52 w50 w50 w3", "w1"] * 9


def weights(folder: Path) -> dict[str, np.ndarray]:
    """Of all runs of a study."""
    files = sorted((folder / "out").rglob("adapter_model.safetensors"))
    return {f"{file.parent.name}/{name}": array for file in files for name, array in load_file(file).items()}


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> list[str]:
    """Names of what differs in any bit."""
    assert ours
    assert ours.keys() == theirs.keys()
    return [name for name in ours if not np.array_equal(ours[name], theirs[name])]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu")
    done = striata.train(study_of(folder, recipe={"max_steps": 60}), device="cuda")
    assert all(run.facts.metrics["accuracy"] > 0.6 for run in done.runs.values())  # of three labels
    return folder


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_study_again_is_the_same_bit_for_bit(tmp_path: Path, precision: str) -> None:
    """Interrupted and gone on with as well."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        folder.mkdir()
    striata.train(study_of(whole, recipe={"precision": precision}), device="cuda")

    def stop(event: Event) -> None:
        if event.kind == "saved" and not stops:
            stops.append(event)
            os.kill(os.getpid(), signal.SIGINT)

    stops: list[Event] = []
    study = study_of(stopped, recipe={"precision": precision})
    with pytest.raises(KeyboardInterrupt):
        striata.train(study, device="cuda", listen=stop)
    striata.train(study, device="cuda")
    assert not same(weights(whole), weights(stopped))


def test_what_a_gpu_trained_is_learned_and_answers_alike_on_a_cpu(trained: Path) -> None:
    for folder in (trained / "out" / "ensemble", *(trained / "out" / "runs").iterdir()):
        here, there = (striata.load(folder, device=device, precision="fp32") for device in ("cuda", "cpu"))
        for some in (TEXTS, TEXTS[:1]):
            np.testing.assert_allclose(here.predict_proba(some), there.predict_proba(some), atol=1e-4)


@pytest.mark.parametrize("adapt", [{"learning_rate": 0.01}, {"learning_rate": 0.003, "objective": "contrastive"}])
def test_an_encoder_adapts_on_a_gpu(tmp_path: Path, adapt: dict[str, Any]) -> None:
    make_base(tmp_path, dropout=0.1, masked=True)
    for name, seed in (("train.csv", 0), ("test.csv", 1), ("more.csv", 2)):
        write_texts(tmp_path / name, 150, seed=seed, labels=name != "more.csv")
    study = study_of(tmp_path, adapt={"unlabelled": str(tmp_path / "more.csv"), "steps": 80, **adapt})
    done = striata.train(study, device="cuda")
    runs = [run for run in done.runs.values() if run.facts.adapted is not None]
    assert runs
    for run in runs:
        assert run.facts.adapted is not None
        assert run.facts.adapted.last_loss < run.facts.adapted.first_loss


def test_fit_uses_the_gpu(tmp_path: Path) -> None:
    base = make_base(tmp_path, dropout=0.1)
    file = write_texts(tmp_path / "train.csv", 300)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    fitted = striata.fit(file, base=str(base), minutes=0.5, output=tmp_path / "out", device="cuda")
    assert torch.cuda.max_memory_allocated() > before
    assert list(striata.load(fitted.model, device="cuda").predict(TEXTS[:3])) == ["Business", "Sports", "World"]
