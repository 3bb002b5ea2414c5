"""Shares of labels among rows without labels: estimated, read, and put into predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

import striata
from striata.calibration.label_shares import corrected, shares_by_confusion, shares_by_em, shares_of
from striata.errors import DataError
from striata.model import Model
from striata.model.priors import read_shares
from striata.model.whole_file import predict_file

from ..command import run
from ..study.small import LABELS, write_texts

KNOWN = np.array([0.5, 0.3, 0.2])


def rows_of(shares: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and the exact p(label | x) under KNOWN, where x is one of ten symbols that labels give with fixed chances."""
    rng = np.random.default_rng(seed)
    symbols = np.random.default_rng(0).dirichlet(np.full(10, 0.4), 3)  # p(x | label)
    targets = rng.choice(3, count, p=shares)
    x = np.array([rng.choice(10, p=symbols[target]) for target in targets])
    joint = symbols * KNOWN[:, None]
    return targets, (joint / joint.sum(0)).T[x]


def test_simulated_shift_is_estimated_by_both_methods_and_undone() -> None:
    moved = np.array([0.1, 0.2, 0.7])
    targets, known = rows_of(KNOWN, 4000, 1)
    truth, probabilities = rows_of(moved, 4000, 2)
    em = shares_by_em(probabilities, KNOWN)
    confusion = shares_by_confusion(known.argmax(1), targets, probabilities.argmax(1), 3)
    np.testing.assert_allclose(em, moved, atol=0.03)
    np.testing.assert_allclose(confusion, moved, atol=0.05)
    exact = corrected(probabilities, KNOWN, moved)
    np.testing.assert_allclose(exact.mean(0), moved, atol=0.03)  # calibrated again
    assert (exact.argmax(1) == truth).mean() > (probabilities.argmax(1) == truth).mean() + 0.02
    np.testing.assert_allclose(shares_by_em(known, KNOWN), KNOWN, atol=0.03)


def test_em_has_the_largest_likelihood() -> None:
    """Against a general optimizer."""
    _, probabilities = rows_of(np.array([0.2, 0.7, 0.1]), 300, 3)

    def cost(scores: np.ndarray) -> float:
        shares = np.exp(scores) / np.exp(scores).sum()
        return float(-np.log((probabilities * shares / KNOWN).sum(1)).mean())

    best = minimize(cost, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(shares_by_em(probabilities, KNOWN), np.exp(best) / np.exp(best).sum(), atol=1e-4)


def test_confusion_is_solved_exactly_where_it_can_be() -> None:
    """Answers by hand: label 0 is always right, half of label 1 is taken for 0."""
    targets, answers = np.repeat([0, 1], 4), np.array([0, 0, 0, 0, 0, 0, 1, 1])
    np.testing.assert_allclose(shares_by_confusion(answers, targets, np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]), 2), [0.4, 0.6])
    np.testing.assert_allclose(shares_of(np.array([0, 0, 1]), 3), np.array([2, 1, 0.5]) / 3.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("priors")
    write_texts(folder / "train.csv", 120)
    write_texts(folder / "new.csv", 30, seed=1, labels=False)
    study = {"base": "none", "data": {"train": str(folder / "train.csv"), "validation": 40}, "baselines": ["lexical"]}
    striata.train(study | {"output": str(folder / "out")})
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return striata.load(folder / "out")


def test_probabilities_are_corrected_by_bayes(folder: Path, model: Model) -> None:
    texts = [line for line in (folder / "new.csv").read_text().split("\n")[1:] if line]
    plain, known = model.predict_proba(texts), shares_of(model.runs["lexical"].validation().labels, 3)
    priors = {"World": 8.0, "Business": 1.0, "Sports": 1.0}
    np.testing.assert_allclose(
        model.predict_proba(texts, priors=priors), corrected(plain, known, np.array([0.1, 0.1, 0.8])), atol=1e-6
    )
    shares = model.label_shares(model.logits(texts))
    np.testing.assert_allclose(shares.shares, shares_by_em(plain, known), atol=1e-6)
    np.testing.assert_array_equal(model.predict_proba(texts, priors="estimate"), model.predict_proba(texts, priors=shares.priors))
    assert "p(text | label) is unchanged" in shares.lines()[0]
    assert shares.to_json()["transductive"] is True
    same = dict(zip(model.labels, known, strict=True))
    np.testing.assert_allclose(model.predict_proba(texts, priors=same), plain, atol=1e-6)


def test_a_file_is_predicted_with_shares(folder: Path, model: Model, tmp_path: Path) -> None:
    def predicted(name: str) -> list[dict[str, str]]:
        with (tmp_path / name).open() as file:
            return list(csv.DictReader(file))

    texts = [line for line in (folder / "new.csv").read_text().split("\n")[1:] if line]
    (tmp_path / "new.csv").write_text("id,text\n0,\n" + "".join(f"{at + 1},{text}\n" for at, text in enumerate(texts)))
    (tmp_path / "shares.json").write_text(json.dumps({"World": 1000, "Business": 1, "Sports": 0}))
    shares, told = read_shares(tmp_path / "shares.json", model.labels), []
    predict_file(model, tmp_path / "new.csv", tmp_path / "a.csv", probabilities=True, priors=shares)
    expected = model.predict_proba(texts, priors=shares)
    rows = predicted("a.csv")
    assert rows[0]["label"] == ""
    assert [row["label"] for row in rows[1:]] == [model.labels[at] for at in expected.argmax(1)]
    np.testing.assert_allclose([[float(row[f"p_{label}"]) for label in LABELS] for row in rows[1:]], expected, atol=1e-5)
    predict_file(model, tmp_path / "new.csv", tmp_path / "b.csv", priors="estimate", estimated=told.append)
    assert told[0].rows == 30
    assert told[0].priors == model.label_shares(model.logits(texts)).priors
    for wrong, message in (({"coverage": 0.9}, "label sets"), ({"calibrated": False, "probabilities": True}, "calibrated")):
        with pytest.raises(DataError, match=message):
            predict_file(model, tmp_path / "new.csv", tmp_path / "c.csv", priors=shares, **wrong)


def test_nothing_is_estimated_where_no_row_has_a_text(model: Model, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,more\n,1\n,2\n")
    told: list[object] = []
    predict_file(model, tmp_path / "new.csv", tmp_path / "a.csv", priors="estimate", estimated=told.append)
    predict_file(model, tmp_path / "new.csv", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert not told


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"World": 1}, "no share for label 'Business'"),
        ({"World": 1, "Busines": 1, "Sports": 1}, "unknown label 'Busines' .did you mean 'Business'"),
        ({"World": -1, "Business": 1, "Sports": 1}, "label 'World' has -1; expected a number from 0 on"),
        ({"World": 0, "Business": 0, "Sports": 0}, "all shares are 0"),
    ],
)
def test_shares_that_are_none_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_shares(shares, LABELS)


def test_the_command_says_what_it_estimated(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    assert run("predict", str(folder / "out"), str(folder / "new.csv"), "--out", str(out), "--priors", "estimate", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["priors"]["transductive"] is True
    assert "estimated from these rows" in " ".join(printed.err.split())
    (tmp_path / "shares.yaml").write_text("World: 1\n")
    assert run("predict", str(folder / "out"), str(folder / "new.csv"), "--priors", str(tmp_path / "shares.yaml")) == 2
    assert "no share for label 'Business'" in " ".join(capsys.readouterr().err.split())
