"""Rows to label next: held to brute force and closed forms, and what is written of them."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy as reference_entropy
from typer.testing import CliRunner

import striata
from striata.choices import SUGGESTIONS
from striata.cli.app import app
from striata.errors import DataError
from striata.model.suggestions import choose, cover, disagreement, entropy, margin, spread_out, word_vectors

from ..study.small import LABELS, study_of, write_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suggest")
    recipe = {"max_steps": 4, "evaluate_every": 2}
    changes = {"layouts": ["0-2 r2 query"], "baselines": {"kinds": ["lexical"]}, "ensemble": {"size": 2}, "recipe": recipe}
    striata.train(study_of(folder, **changes), device="cpu")
    lines = write_texts(folder / "pool.csv", 60, seed=9).read_text().splitlines()[1:]
    rows = [f"P-{at},{line.rpartition(',')[0]},{at}" for at, line in enumerate(lines)]
    (folder / "pool.csv").write_text("\n".join(["id,text,score", *rows, "P-60," + rows[3].split(",")[1] + ",60"]) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> striata.Model:
    return striata.load(folder / "out", device="cpu", precision="fp32")


def test_scores_are_those_of_scipy_and_the_definitions() -> None:
    members = np.random.default_rng(0).dirichlet(np.ones(4), (3, 50))
    mean = members.mean(0)
    np.testing.assert_allclose(entropy(mean), reference_entropy(mean, axis=1))
    assert entropy(np.array([[1.0, 0.0]])) == 0
    two = np.sort(mean, 1)[:, -2:]
    np.testing.assert_allclose(margin(mean), 1 - two[:, 1] + two[:, 0])
    divergence = np.mean([reference_entropy(member, mean, axis=1) for member in members], axis=0)
    np.testing.assert_allclose(disagreement(members), divergence)


def test_covering_rows_leave_none_twice_as_far_as_the_best_choice() -> None:
    """The promise of greedy k-center, against all choices."""
    vectors = np.random.default_rng(1).normal(size=(14, 3)).astype(np.float32)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    best = min(distances[:, list(rows)].min(1).max() for rows in combinations(range(14), 4))
    chosen = cover(vectors, 4)
    assert len(set(chosen.tolist())) == 4
    assert distances[:, chosen].min(1).max() <= 2 * best
    assert sorted(cover(np.zeros((5, 2), np.float32), 5).tolist()) == [0, 1, 2, 3, 4]


def test_the_mix_takes_the_best_of_each_group() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat([0, 1, 2], 20)
    vectors = (np.eye(3)[group] * 10 + rng.normal(scale=0.1, size=(60, 3))).astype(np.float32)
    scores = rng.uniform(0.5, 1, 60) + (group == 0)  # the first group alone has the highest scores
    chosen = spread_out(vectors, scores, 3, 0)
    expected = [max(np.flatnonzero(group == one), key=lambda at: scores[at]) for one in range(3)]
    assert chosen.tolist() == sorted(expected, key=lambda at: -scores[at])
    assert sorted(spread_out(np.zeros((9, 2), np.float32), np.ones(9), 5, 0).tolist()) == [0, 1, 2, 3, 4]


def test_equal_texts_are_chosen_once_and_by_the_score() -> None:
    texts = ["a b", "A  b", "c", "d", "e"]
    places = choose((texts, None), np.array([5.0, 6, 1, 3, 2]), word_vectors, 3, spread=False, seed=0)
    assert places.tolist() == [0, 3, 4]
    assert len(choose((texts, None), np.ones(5), word_vectors, 9, spread=True, seed=0)) == 4


@pytest.mark.parametrize("by", SUGGESTIONS)
def test_a_suggestion_has_the_rows_of_the_pool(folder: Path, model: striata.Model, by: str) -> None:
    pool = pd.read_csv(folder / "pool.csv")
    suggestion = striata.suggest(model, str(folder / "pool.csv"), 12, by=by)
    assert (len(suggestion.rows), suggestion.pool) == (12, 61)
    probabilities = model.predict_proba(list(pool["text"])).astype(float)
    for row in suggestion.rows:
        assert row.text == pool["text"][row.row]
        assert row.predicted == model.labels[probabilities[row.row].argmax()]
        assert row.probability == pytest.approx(probabilities[row.row].max(), abs=1e-5)
    assert not {3, 60} <= {row.row for row in suggestion.rows}  # equal texts
    if by in ("margin", "entropy"):
        score = (margin if by == "margin" else entropy)(probabilities)
        assert [row.score for row in suggestion.rows] == pytest.approx(sorted(score[:60])[::-1][:12], abs=1e-4)
    assert [row.row for row in striata.suggest(model, pool, 12, by=by).rows] == [row.row for row in suggestion.rows]


def test_rows_that_are_labelled_already_are_left_out(folder: Path, model: striata.Model) -> None:
    train = folder / "train.csv"
    suggestion = striata.suggest(model, str(train), 200, by="margin")
    assert suggestion.known >= 40
    with pytest.raises(DataError, match="the model has one member"):
        striata.suggest(folder / "out/runs/lexical", str(train), by="disagreement")
    known = pd.read_csv(train)
    held = [text for text in known["text"] if text not in {row.text for row in suggestion.rows}]
    with pytest.raises(DataError, match="the validation rows have all of its"):
        striata.suggest(model, held)


def test_the_command_writes_the_pools_columns_and_where_each_row_was(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "next.csv"
    command = ["suggest", str(folder / "out/runs/lexical"), str(folder / "pool.csv"), "--rows", "7", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    written = pd.read_csv(out)
    assert list(written) == ["id", "text", "score", "row", "predicted", "probability", "score_suggested"]
    assert written["row"].tolist() == [row["row"] for row in rows]
    assert written["id"].tolist() == [f"P-{row['row']}" for row in rows]
    assert written["score"].tolist() == [row["row"] for row in rows]
    assert written["text"].tolist() == [row["text"] for row in rows]
    assert set(written["predicted"]) <= set(LABELS)
