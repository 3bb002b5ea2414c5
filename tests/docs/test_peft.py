"""The lines of docs/peft.md give striata's probabilities for every head, and fail where they are of another one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import striata
from striata.choices import HEADS

from ..study.small import make_base, study_of
from .blocks import blocks_of

TEXTS = ["w1 w2 w3 w30 w5", "w26 w27 w60", "w52 w53 w51 w9 w8 w7 w6 w5 w4 w3"]


@pytest.fixture(scope="module", params=["roberta", "bert", "distilbert", "modernbert", "deberta-v2"])
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, family: str) -> Path:
    """A run of each head on an encoder, `HEAD/runs/agnews/runs/s8-seed0`."""
    folder = tmp_path_factory.mktemp("peft")
    study_of(folder)
    base = folder / "roberta" if family == "roberta" else make_base(folder, family)
    target = "qkv" if family == "modernbert" else "query value"
    for head in HEADS:
        layout = {"layout": f"0 r2 a4 {target} | 1-2 r4 a4 ffn_out", "name": "s8"}
        recipe = {"max_steps": 6, "evaluate_every": 6}
        study = study_of(folder, base=str(base), head=head, layouts=[layout], recipe=recipe, data={"max_length": 9})
        striata.train({**study, "output": str(folder / head / "runs/agnews"), "ensemble": False})
    return folder


def lines_for(head: str) -> list[str]:
    """The page's blocks for a head, with the texts of this test."""
    common, native, others, probabilities = [block.text for block in blocks_of("docs/peft.md") if block.kind == "python"]
    assert common.count("texts = [") == 1
    common = "\n".join(f"texts = {TEXTS!r}" if line.startswith("texts = ") else line for line in common.splitlines())
    return [common, native if head == "native" else others, probabilities]


def run_lines(lines: list[str], place: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(place)
    try:
        for block in lines:
            exec(compile(block, "docs/peft.md", "exec"), names)
    finally:
        os.chdir(before)
    return names


@pytest.mark.parametrize("head", list(HEADS))
def test_the_lines_give_the_probabilities_of_striata(folder: Path, head: str) -> None:
    names = run_lines(lines_for(head), folder / head)
    model = striata.load(folder / head / "runs/agnews/runs/s8-seed0", device="cpu", precision="fp32")
    expected = model.predict_proba(TEXTS)
    assert np.ptp(expected, axis=0).max() > 0.02  # it has learned to tell texts apart
    np.testing.assert_allclose(names["probabilities"].numpy(), expected, atol=2e-5)
    assert names["answers"] == model.predict(TEXTS)


@pytest.mark.parametrize("head", list(HEADS))
def test_the_lines_of_another_head_fail(folder: Path, head: str) -> None:
    other = "linear" if head == "native" else "native"
    with pytest.raises(ValueError, match="not found in the base model"):
        run_lines(lines_for(other), folder / head)


def test_what_the_page_says_of_merging(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "native", tmp_path / "native")
    names = run_lines([*lines_for("native"), 'model.merge_and_unload().save_pretrained("merged")'], tmp_path / "native")
    from transformers import AutoModelForSequenceClassification

    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "native/merged").eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(**names["tokens"]).logits, names["logits"], atol=1e-4, rtol=1e-4)
    assert list(merged.config.id2label.values()) == names["facts"]["labels"]
