"""Soups: one model out of several, measured before it is kept."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import striata
from striata.data import Tokenizer
from striata.disk.files import sha256_file
from striata.engine import Encoder, Stack
from striata.ensemble.merge import merge, merged_plan
from striata.ensemble.soup import PRODUCTS, WEIGHTS, write_soup
from striata.errors import StriataError
from striata.layout import make_plan
from striata.runs import Run
from striata.runs.adapter import write_adapter
from striata.runs.run import RunRecord, write_run

from ..processes import striata as run
from ..study.small import WORDS, make_base, study_of


def texts(rows: int = 20) -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, int(rng.integers(2, 9)))) for _ in range(rows)]


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_merged_model_gives_the_logits_of_the_summed_products(tmp_path: Path) -> None:
    """Against the encoder with the mean of scale * B A added to its own weights."""
    base = str(make_base(tmp_path))
    plans = [make_plan(layout, base=base, labels=3, head="linear") for layout in ("0-2 r2 a4 query", "1-2 r3 a6 query value")]
    rng = np.random.default_rng(0)
    encoder = Encoder.load(base, head=plans[0].head, precision="fp32", device="cpu")
    stack = Stack(encoder, plans)
    shapes = [stack.tensors(slot) for slot in (0, 1)]
    tensors = [{name: rng.normal(0, 0.2, v.shape).astype(np.float32) for name, v in each.items()} for each in shapes]
    into = merged_plan(plans, rank=5)
    merged = merge(plans, tensors, into)
    encoded = Tokenizer.load(base, 32).encode(texts())

    one = Stack(Encoder.load(base, head=into.head, precision="fp32", device="cpu"), [into])
    one.load(0, merged)
    found = one.predict(encoded)[0]

    plain = Encoder.load(base, head=into.head, precision="fp32", device="cpu")
    with torch.no_grad():
        for plan, each in zip(plans, tensors, strict=True):
            for site in plan.sites:
                a, b = (torch.from_numpy(each[f"base_model.model.{site.module}.lora_{x}.weight"]) for x in "AB")
                plain.model.get_submodule(site.module).weight += site.scale * (b @ a) / 2
    empty = make_plan("0 r1 query", base=base, labels=3, head="linear")
    reference = Stack(plain, [empty])
    zero = {name: np.zeros_like(value) for name, value in reference.tensors(0).items()}
    reference.load(0, {name: merged.get(name, value) if "lora" not in name else value for name, value in zero.items()})
    np.testing.assert_allclose(found, reference.predict(encoded)[0], atol=2e-5)
    assert np.abs(found - one.predict(encoded)[0].mean(0)).max() > 1e-2


def rewrite(run: Run, path: Path, *, tensors: dict[str, np.ndarray] | None = None, **changes: Any) -> None:
    """Writes a run again with some fields changed, and perhaps with other weights."""
    record = RunRecord(
        facts=run.facts.model_copy(update=changes), plan=run.plan, receipt={}, history=[], validation=run.validation()
    )
    write_run(path, record, partial(write_adapter, plan=run.adapter_plan, tensors=tensors or run.tensors()))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two runs that are one another's copy but for their seed's number, so that their soup is they themselves."""
    folder = tmp_path_factory.mktemp("twins")
    study = study_of(folder, head="linear", layouts=["0-2 r2 a4 query"], ensemble={"size": 1}, recipe={"max_steps": 10})
    striata.train(study)
    (run,) = (folder / "out" / "runs").iterdir()
    rewrite(Run.load(run), run.with_name("copy-seed1"), name="copy-seed1", seed=1)
    return folder


def test_a_soup_of_equal_runs_is_kept_and_opens_like_a_run(twins: Path) -> None:
    soup = write_soup(twins / "out", size=2, device="cpu")
    assert soup.form in (WEIGHTS, PRODUCTS)
    assert soup.run.path == twins / "out" / "soup"
    first = Run.load(next(iter((twins / "out" / "runs").iterdir())))
    assert soup.run.metrics["accuracy"] == first.metrics["accuracy"] == soup.best
    model, alone = (striata.load(path, precision="fp32") for path in (soup.run.path, first.path))
    np.testing.assert_allclose(model.logits(texts()), alone.logits(texts()), atol=1e-4)
    assert set(model.runs["soup"].facts.recipe["runs"]) == set(soup.members)
    assert model.evaluate(twins / "test.csv").accuracy == alone.evaluate(twins / "test.csv").accuracy
    assert soup.run.history() == []
    assert json.loads((soup.run.path / "receipt.json").read_text())["trainable"] == soup.run.trainable
    forced = write_soup(twins / "out", size=2, rank=4, device="cpu")
    assert (forced.form, {site.rank for site in forced.run.adapter_plan.sites}) == (PRODUCTS, {4})


def test_a_soup_is_made_and_predicts_from_the_command_line(twins: Path, tmp_path: Path) -> None:
    shutil.copytree(twins, tmp_path / "study")
    said = run("ensemble", "out", "--method", "soup", "--size", 2, cwd=tmp_path / "study")
    assert said.returncode == 0, said.stderr
    best = Run.load(tmp_path / "study" / "out" / "runs" / "copy-seed1").metrics["accuracy"]
    assert f"validation accuracy {best:.4f}, the best of them {best:.4f}" in said.stdout
    told = run("predict", "out/soup", "test.csv", "--out", "said.csv", cwd=tmp_path / "study")
    assert "rows predicted by 1 member" in told.stdout, told.stderr


def test_a_soup_that_is_worse_is_not_kept(twins: Path, tmp_path: Path) -> None:
    """One of the runs with its head turned round: the mean of the heads knows nothing."""
    shutil.copytree(twins / "out", tmp_path / "out")
    run = Run.load(tmp_path / "out" / "runs" / "copy-seed1")
    rewrite(run, run.path, tensors={name: -v if "classifier" in name else v for name, v in run.tensors().items()})
    before = tree(tmp_path)
    with pytest.raises(StriataError, match=r"the soup of .* reaches validation accuracy 0\.\d+, .* nothing was written"):
        write_soup(tmp_path / "out", size=2, device="cpu")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "a soup of one run is that run"),
        ({"size": 5}, "an ensemble of 5 was asked for, but there are 2"),
        ({"size": 2, "rank": 0}, "rank 0 was asked for"),
        ({"size": 2, "budget": 10}, "above the budget of 10"),
    ],
)
def test_what_makes_no_soup_is_said(twins: Path, options: dict[str, Any], message: str) -> None:
    before = tree(twins)
    with pytest.raises(StriataError, match=message):
        write_soup(twins / "out", **options)
    assert tree(twins) == before


def test_other_data_are_noticed(twins: Path) -> None:
    file = twins / "train.csv"
    before = file.read_text()
    file.write_text(before + "w1 w2,World\n")
    try:
        with pytest.raises(StriataError, match="is not what the runs were trained on"):
            write_soup(twins / "out", size=2)
    finally:
        file.write_text(before)
