"""Training rows weighted so that they are like rows without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

import striata
from striata.errors import StudyError
from striata.figures.density import density_weights, effective_rows
from striata.runs import Run
from striata.settings import load_study

from ..command import run
from ..study.small import LABELS, noting, study_of, write_texts


def test_weights_are_ratios_of_densities() -> None:
    """Of two normal distributions, whose ratio is known: exp(x - 1/2) for means 0 and 1."""
    rng = np.random.default_rng(0)
    rows, others = rng.normal(0, 1, (4000, 1)), rng.normal(1, 1, (4000, 1))
    weights = density_weights(rows, others, groups=np.arange(8000), clip=100)
    exact = np.exp(rows[:, 0] - 0.5)
    assert weights.mean() == pytest.approx(1)
    assert np.corrcoef(np.log(weights), np.log(exact))[0, 1] > 0.99
    np.testing.assert_allclose(np.average(rows[:, 0], weights=weights), 1, atol=0.1)
    clipped = density_weights(rows, others, groups=np.arange(8000), clip=3)
    assert clipped.max() / clipped.min() < weights.max() / weights.min()
    assert effective_rows(clipped) > effective_rows(weights)
    assert effective_rows(np.array([1.0, 1, 2])) == pytest.approx(16 / 6)
    same = density_weights(rows[:2000], rows[2000:], groups=np.arange(4000))
    assert effective_rows(same) > 1900
    noise = rng.normal(0, 1, (1150, 100))  # many features and few rows tell them apart by chance
    assert effective_rows(density_weights(noise[:150], noise[150:], groups=np.arange(1150))) > 140


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    """A study of words whose rows are to be like texts of one label, one of them a test row."""
    write_texts(tmp_path / "train.csv", 150)
    write_texts(tmp_path / "test.csv", 20, seed=3)
    lines = write_texts(tmp_path / "all.csv", 200, seed=1).read_text().split("\n")[1:-1]
    world = [line.split(",")[0] for line in lines if line.endswith("World")]
    first = (tmp_path / "test.csv").read_text().split("\n")[1].split(",")[0]
    (tmp_path / "like.csv").write_text("\n".join(["text", *world, first]) + "\n")
    data = {"train": str(tmp_path / "train.csv"), "validation": 40, "test": str(tmp_path / "test.csv")}
    data |= {"weight_like": str(tmp_path / "like.csv")}
    return {"base": "none", "data": data, "baselines": ["lexical", "majority"], "output": str(tmp_path / "out")}


def test_a_study_is_weighted_says_so_and_goes_on_with_the_same_weights(
    study: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes: list[str] = []
    trained = striata.train(study, listen=noting(notes))
    assert any("transductive: training rows are weighted to be like" in line and "of 110 rows" in line for line in notes)
    assert any("1 rows of" in line and "copies of test rows" in line for line in notes)
    assert trained.runs["lexical"].facts.transductive
    assert run("leaderboard", tmp_path / "out") == 0
    assert "transductive: runs have seen rows without labels" in " ".join(capsys.readouterr().err.split())
    assert run("card", tmp_path / "out/runs/lexical") == 0
    assert "It is transductive, made with a look at texts" in (tmp_path / "out/runs/lexical/README.md").read_text()
    shares = np.exp(striata.load(tmp_path / "out/runs/majority").logits(["w1"])[0])
    assert dict(zip(trained.runs["majority"].labels, shares, strict=True))["World"] > 0.6
    before = load((tmp_path / "out/weights.safetensors").read_bytes())["weights"]
    assert before.mean() == pytest.approx(1)
    striata.train({**study, "baselines": ["lexical", "majority"], "ensemble": {"size": 2}})
    np.testing.assert_array_equal(load((tmp_path / "out/weights.safetensors").read_bytes())["weights"], before)
    (tmp_path / "like.csv").write_text("text\nanother row\n")
    with pytest.raises(StudyError, match=r"was weighted by are not those that `data.weight_like` names now"):
        striata.train(study)
    plain = striata.train({**study, "data": {**study["data"], "weight_like": None}, "output": str(tmp_path / "plain")})
    assert not plain.runs["lexical"].facts.transductive
    other = Run.load(tmp_path / "plain/runs/lexical")
    assert other.facts.data_fingerprint == trained.runs["lexical"].facts.data_fingerprint


def test_members_are_trained_with_the_weights(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "layouts": ["0 r2 query"],
        "ensemble": {"size": 1},
        "recipe": {"max_steps": 4, "evaluate_every": 2},
    }
    study = study_of(tmp_path, **changes)
    texts = (tmp_path / "train.csv").read_text().split("\n")
    (tmp_path / "like.csv").write_text(
        "\n".join(["text", *(t.split(",")[0] + " w9" for t in texts[1:] if t.endswith(LABELS[0]))])
    )
    like = study_of(tmp_path, data={"weight_like": str(tmp_path / "like.csv")}, output=str(tmp_path / "like"), **changes)
    plain, weighted = (next(iter(striata.train(one).runs.values())).tensors() for one in (study, like))
    assert max(np.abs(values - weighted[name]).max() for name, values in plain.items()) > 1e-4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"weight": "w", "weight_like": "x.csv"}, "one of `weight` and `weight_like`"),
        ({"weight_clip": 5}, "`weight_clip` beside `weight_like` only"),
        ({"weight_like": "x.csv", "weight_clip": 0}, "a number above 0"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        load_study({"base": "none", "data": {"train": "x.csv", **data}, "baselines": "auto", "output": "out"})
