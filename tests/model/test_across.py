"""A model of runs on two encoders, with labels in two orders and other lengths of texts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from scipy.special import softmax

import striata
from striata.cli import main
from striata.ensemble import load_ensemble, write_ensemble
from striata.model.scorers import EncoderScorer
from striata.runs import Run, StudyFolder

from ..study.small import LABELS, make_base, study_of

REVERSED = LABELS[::-1]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained studies, `out` and `other`, and `both`, an ensemble of all their three runs."""
    folder = tmp_path_factory.mktemp("across")
    recipe = {"max_steps": 15}
    striata.train(study_of(folder, layouts=["0-2 r2 query value", "1-2 r4 query"], recipe=recipe, ensemble={"size": 1}))
    make_base(folder, "bert", dropout=0.1)
    with open(folder / "train.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(REVERSED))})
    data = Dataset.from_dict(
        {"text": [row["text"] for row in rows], "label": [REVERSED.index(row["label"]) for row in rows]}, features=features
    )
    striata.train(
        study_of(
            folder,
            base=str(folder / "bert"),
            layouts=["0-1 r3 query"],
            data={"validation": 130, "max_length": 9, "seed": 1},
            recipe=recipe,
            ensemble={"size": 1},
            output=str(folder / "other"),
        ),
        data=data,
    )
    write_ensemble(folder / "out", folder / "other", out=folder / "both", size=3)
    return folder


def texts_of(folder: Path) -> list[str]:
    with open(folder / "test.csv", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def runs_of(folder: Path) -> list[Run]:
    return [run for name in ("out", "other") for run in StudyFolder.open(folder / name).runs()]


def test_every_member_answers_as_it_does_alone(both: Path) -> None:
    model, texts = striata.load(both / "both", device="cpu", precision="fp32"), texts_of(both)
    assert [type(scorer) for scorer in model.scorers] == [EncoderScorer, EncoderScorer]
    assert sorted(len(scorer.labels) for scorer in model.scorers) == [1, 2]
    together = model.member_logits(texts)
    assert set(together) == set(model.combiner.weights) == {f"{run.path.parents[1].name}/{run.name}" for run in runs_of(both)}
    assert {run.labels for run in runs_of(both)} == {LABELS, REVERSED}
    expected = []
    for run in runs_of(both):
        alone = striata.load(run.path, device="cpu", precision="fp32").logits(texts)
        expected.append(alone[:, [run.labels.index(label) for label in model.labels]])
        np.testing.assert_allclose(together[f"{run.path.parents[1].name}/{run.name}"], expected[-1], atol=1e-5)
    np.testing.assert_allclose(model.logits(texts), np.mean(expected, axis=0), atol=1e-5)
    np.testing.assert_allclose(
        model.predict_proba(texts, calibrated=False), softmax(np.mean(expected, axis=0), axis=1), atol=1e-5
    )
    assert model.predict(texts) == [model.labels[i] for i in np.mean(expected, axis=0).argmax(1)]
    assert model.identity.endswith(" torch.float32 cpu torch.float32 cpu")
    assert model.evaluate(both / "test.csv").metrics.labels == model.labels


def test_its_rows_are_those_that_both_studies_validated_on(both: Path) -> None:
    made = load_ensemble(both / "both")
    texts = [set(runs[0].validation().texts.tolist()) for runs in (StudyFolder.open(both / n).runs() for n in ("out", "other"))]
    seen = Run.load(runs_of(both)[0].path).validation()
    rows = [at for at, text in enumerate(seen.texts.tolist()) if text in texts[0] & texts[1]]
    assert 30 <= len(rows) < 40
    assert made.rows == len(rows) == made.calibration().rows
    assert made.validation().texts.tolist() == seen.texts[rows].tolist()


def test_from_the_command_line(both: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(both)
        monkeypatch.setattr("sys.argv", ["striata", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    code, shown, error = call("ensemble", "out", "other", "--out", "made", "--size", 2)
    assert code == 0, error
    assert "validation rows are shared by all studies (40 of out, 130 of other); the figures are of these" in shown
    code, shown, error = call("predict", "made", "test.csv", "--out", "answers.csv")
    assert code == 0, error
    assert "40 rows predicted by 2 members" in shown
    code, _, error = call("shift", "made", "--known", "train.csv", "--unlabelled", "test.csv", "--permutations", 19)
    assert code == 0, error
    code, _, error = call("stress", "made", "test.csv", "--rows", 30)
    assert code == 0, error
    code, _, error = call("card", "both", "--out", "card.md")
    assert code == 0, error
    card = (both / "card.md").read_text()
    orders = ("`roberta`, `bert`", "`bert`, `roberta`")  # the better first
    assert any(f"An ensemble of 3 text classifiers over 2 frozen encoders, {order}, each" in card for order in orders)
    code, _, error = call("ensemble", "out", "other")
    assert code == 2
    assert "error: --out is missing; an ensemble of several studies belongs to none of them" in error
