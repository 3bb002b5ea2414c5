"""Several labels a text: interrupted, searched, explained, suggested, stressed and exported, against independent references."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from peft import PeftModel
from scipy.stats import entropy
from transformers import AutoModelForSequenceClassification, pipeline

import striata
from striata.baselines import Neighbours, Rows
from striata.data import Columns, read_table
from striata.errors import StudyError
from striata.exports import writers
from striata.exports.composition import _write_rows
from striata.exports.standalone import Classifier, Nearest
from striata.model.suggestions import as_choices, disagreement, margin
from striata.robustness import run_stress
from striata.training.events import Event

from ..exports.made import ALONE, SCRIPT, load, needs_open_sizes
from .several import LABELS, several_of, write_several

TEXT = "w0 w1 w25 w80 w2 w26"


def adapter_of(several: Path) -> Path:
    return sorted(path for path in (several / "out" / "runs").iterdir() if "seed" in path.name)[0]


@pytest.fixture(scope="module")
def model(several: Path) -> striata.Model:
    return load(several / "out" / "ensemble")


@pytest.fixture(scope="module")
def texts(several: Path) -> list[str]:
    return read_table(str(several / "test.csv"), Columns(task="multilabel")).texts


def test_figures_on_test_rows_are_those_of_the_answers(tmp_path: Path) -> None:
    trained = striata.train(several_of(tmp_path, baselines={"kinds": ["lexical", "majority"]}, layouts=[], ensemble=False))
    assert len(trained.test) == 2
    for name, figures in trained.test.items():
        own = load(trained.runs[name].path).evaluate(str(tmp_path / "test.csv")).metrics.scores.to_json()
        assert figures == pytest.approx(own)


def test_interrupted_training_goes_on_bit_for_bit_and_other_labels_are_refused(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.kind == "saved":
            raise KeyboardInterrupt

    changes = {
        "baselines": "none", "layouts": ["0-2 r2 d0.1 query value"], "ensemble": {"size": 1, "method": "top"},
        "recipe": {"max_steps": 3, "evaluate_every": 1},
    }  # fmt: skip
    whole = striata.train(several_of(tmp_path, **changes)).runs
    settings = several_of(tmp_path, **changes, output=str(tmp_path / "cut"))
    with pytest.raises(KeyboardInterrupt):
        striata.train(settings, listen=interrupt)
    text = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").write_text(text.replace("alpha|beta", "alpha", 1))
    with pytest.raises(StudyError, match=r"what `data` names \(.*train\.csv, .*test\.csv\) has other rows now"):
        striata.train(settings)
    (tmp_path / "train.csv").write_text(text)
    cut = striata.train(settings).runs
    for name, run in whole.items():
        assert cut[name].history() == run.history()
        assert all(np.array_equal(tensor, cut[name].tensors()[key]) for key, tensor in run.tensors().items())
        np.testing.assert_array_equal(cut[name].validation().labels, run.validation().labels)


def test_a_search_looks_for_the_figure_that_decides(tmp_path: Path) -> None:
    search = {"trials": 2, "generation": 2, "sections": [1, 2], "ranks": [1, 2]}
    settings = several_of(
        tmp_path, layouts=[], search=search, baselines="none", budget=3_000, ensemble={"size": 1, "method": "top"},
        recipe={"max_steps": 4, "evaluate_every": 2, "best_by": "micro_f1"},
    )  # fmt: skip
    runs = striata.train(settings).runs
    assert len(runs) == 2
    for run in runs.values():
        seen = {row["step"]: row["validation_micro_f1"] for row in run.history() if row.get("validation_micro_f1") is not None}
        assert run.facts.best_step == max(seen, key=lambda step: seen[step])
    again = striata.train(settings).runs
    assert {name: run.checksum for name, run in again.items()} == {name: run.checksum for name, run in runs.items()}


def test_a_label_is_explained_as_captum_explains_its_logit(several: Path) -> None:
    model = load(adapter_of(several))
    (run,) = model.runs.values()
    (explained,) = model.explain([TEXT], label="beta", steps=32)
    options = {"num_labels": len(LABELS), "attn_implementation": "eager", "ignore_mismatched_sizes": True}
    reference = AutoModelForSequenceClassification.from_pretrained(str(run.base), **options)
    reference = PeftModel.from_pretrained(reference, run.path).eval()
    place, temperature = model.labels.index("beta"), model.calibration.temperatures[model.labels.index("beta")]
    (scorer,) = model.scorers
    ids = torch.from_numpy(scorer.tokenizer.encode([TEXT]).ids[None].astype(np.int64))
    inside = torch.arange(1, ids.shape[1] - 1)
    nothing = ids.clone()
    nothing[0, inside] = 1  # padding
    ways = LayerIntegratedGradients(
        lambda tokens: reference(input_ids=tokens).logits[:, place] / temperature, reference.get_input_embeddings()
    )
    expected = ways.attribute(ids, nothing, n_steps=32, method="gausslegendre").sum(-1)[0][inside].detach().numpy()
    np.testing.assert_allclose([word.weight for word in explained.words], expected, atol=2e-4 * np.abs(expected).max())
    probability = float(model.predict_proba([TEXT])[0, place])
    assert explained.probability == pytest.approx(probability, abs=1e-6)
    assert explained.score == pytest.approx(np.log(probability / (1 - probability)), abs=1e-4)


def test_an_ensemble_explains_the_likeliest_label_that_it_gives(model: striata.Model, texts: list[str]) -> None:
    explained = model.explain(texts[:12], method="leave-one-out")
    probabilities, scaled = model.predict_proba(texts[:12]), model.calibration.scaled(model.logits(texts[:12]))
    for at, (one, labels) in enumerate(zip(explained, model.predict(texts[:12]), strict=True)):
        among = labels.split("|") if labels else list(LABELS)
        assert one.label == max(among, key=lambda label: probabilities[at, LABELS.index(label)])
        assert one.predicted == labels
        place, word = LABELS.index(one.label), one.words[0]
        assert one.score == pytest.approx(scaled[at, place], abs=1e-3)
        less = model.calibration.scaled(model.logits([texts[at][: word.start] + texts[at][word.end :]]))[0, place]
        assert word.weight == pytest.approx(scaled[at, place] - less, abs=1e-3)
    (near,) = model.explain(texts[:1], method="neighbours", label="alpha", rows=3)
    assert [near.agrees(row) for row in near.rows] == ["alpha" in row.label.split("|") for row in near.rows]


def test_rows_are_suggested_by_the_mean_over_labels(several: Path, model: striata.Model, texts: list[str]) -> None:
    suggestion = striata.suggest(model, several / "test.csv", rows=10, by="entropy")
    probabilities = model.predict_proba(texts).astype(np.float64)
    uncertain = entropy(np.stack([probabilities, 1 - probabilities]), axis=0).mean(1)
    rows = [row.row for row in suggestion.rows]
    assert [row.score for row in suggestion.rows] == pytest.approx(uncertain[rows].tolist(), abs=1e-5)
    assert sorted(rows) == sorted(np.argsort(-uncertain, kind="stable")[:10].tolist())
    assert [row.predicted for row in suggestion.rows] == model.predict([texts[row] for row in rows])
    np.testing.assert_allclose(margin(as_choices(probabilities)), 1 - np.abs(2 * probabilities - 1))
    members = np.stack([probabilities, probabilities[::-1]])
    both = [entropy(np.stack([p, 1 - p]), axis=0) for p in (members.mean(0), *members)]
    np.testing.assert_allclose(disagreement(as_choices(members)), both[0] - (both[1] + both[2]) / 2, atol=1e-12)


def test_stress_counts_rows_with_all_labels_right(several: Path, model: striata.Model, texts: list[str]) -> None:
    table = read_table(str(write_several(several / "many.csv", 120, 2)), Columns(task="multilabel"))
    stress = run_stress(model, table)
    right = np.array(model.predict(table.texts)) == np.array(table.labels)
    assert stress.clean.value == right.mean()
    for part in stress.slices:
        if part.by == "label":
            having = np.array([part.name in (labels or "").split("|") for labels in table.labels or ()])
            assert (part.rows, part.accuracy.value) == (having.sum(), right[having].mean())
    assert {part.name for part in stress.slices if part.by == "label"} >= {"alpha", "beta"}


def test_merged_weights_open_in_a_pipeline_with_sigmoids(several: Path, texts: list[str], tmp_path: Path) -> None:
    model = load(adapter_of(several))
    made = striata.export(model, tmp_path / "out", to="transformers")
    assert made.agreement == 1.0
    assert made.accuracy is not None
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    classify: Any = pipeline("text-classification", model=str(tmp_path / "out"), top_k=None)
    rows = [{one["label"]: one["score"] for one in row} for row in classify(texts[:8], truncation=True)]
    np.testing.assert_allclose([[row[label] for label in LABELS] for row in rows], model.predict_proba(texts[:8]), atol=1e-5)
    facts = json.loads((tmp_path / "out" / "striata.json").read_text())
    assert facts["thresholds"] == list(model.calibration.thresholds)
    assert "the sigmoid of a label's logit" in (tmp_path / "out" / "README.md").read_text()


def test_a_graph_has_the_temperatures_and_its_script_the_thresholds(
    several: Path, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_open_sizes()
    model = load(adapter_of(several))
    made = striata.export(model, tmp_path / "out")
    assert made.agreement == 1.0
    start = ALONE.replace("BLOCKED", repr({"striata", "torch", "transformers", "scipy", "sklearn"}))
    arguments = [sys.executable, "-c", start + SCRIPT, str(tmp_path / "out"), json.dumps(texts)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["label"] for row in rows] == model.predict(texts)
    assert [row["labels"] for row in rows] == [label.split("|") if label else [] for label in model.predict(texts)]
    shown = [[row["probabilities"][label] for label in LABELS] for row in rows]
    np.testing.assert_allclose(shown, model.predict_proba(texts), atol=1e-5)
    monkeypatch.setitem(writers.WRITERS, "onnx", lambda _, folder: shutil.copytree(tmp_path / "out", folder, dirs_exist_ok=True))
    eight = striata.export(model, tmp_path / "eight", quantize="int8", data=several / "test.csv", agreement=0)
    assert isinstance(eight.temperature, tuple)
    assert len(eight.temperature) == len(LABELS)
    assert eight.largest_difference < 1


def test_counted_words_are_put_together_as_here(several: Path, texts: list[str], tmp_path: Path) -> None:
    model = load(several / "out" / "runs" / "lexical")
    striata.export(model, tmp_path / "out")
    classifier = Classifier(tmp_path / "out")
    answers = classifier.probabilities(texts)
    np.testing.assert_allclose(answers, model.predict_proba(texts), atol=1e-6)
    assert ["|".join(labels) for labels in classifier.decide(answers)] == model.predict(texts)


def test_the_nearest_rows_vote_for_each_label_as_here(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors, targets = rng.normal(size=(60, 8)).astype(np.float32), (rng.random((60, 3)) < 0.4).astype(np.int64)
    rows = Rows(texts=[f"t{at}" for at in range(60)], vectors=vectors, weights=rng.uniform(0.5, 2, 60))
    member = Neighbours.fit(rows, targets, 3)
    facts = _write_rows(member, [2, 0, 1], tmp_path, "rows.npz")
    new = rng.normal(size=(5, 8)).astype(np.float32)
    expected = member.logits(Rows(texts=["x"] * 5, vectors=new))[:, [2, 0, 1]]
    np.testing.assert_allclose(Nearest(facts, tmp_path).logits(new), expected, atol=1e-3)
