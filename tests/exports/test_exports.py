"""Models for other tools, opened there by processes that know nothing of striata."""

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
import yaml
from scipy.special import softmax
from sklearn.metrics import log_loss

import striata
from striata.baselines import frozen
from striata.baselines.selection import Judgement
from striata.data import read_table
from striata.engine import Encoder
from striata.ensemble import combine_runs, write_ensemble
from striata.errors import ExportError, StriataError
from striata.exports import exported, standalone, writers
from striata.exports.parts import take_apart
from striata.model.scorers import EncoderScorer
from striata.runs import StudyFolder

from ..study.small import LABELS
from .made import ALONE, SCRIPT, alone, load, needs_open_sizes, run_of, texts_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporter and of sentence-transformers, about themselves

TRANSFORMERS = """
from transformers import pipeline
classify = pipeline("text-classification", model=folder, top_k=None)
rows = [{one["label"]: one["score"] for one in row} for row in classify(texts, truncation=True)]
print(json.dumps(rows))
"""
ONNX = """
import numpy, onnxruntime
from tokenizers import Tokenizer
config, facts = (json.load(open(f"{folder}/{name}.json")) for name in ("config", "striata"))
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.enable_truncation(facts["max_length"])
tokenizer.enable_padding(pad_id=config["pad_token_id"], pad_token=tokenizer.id_to_token(config["pad_token_id"]))
session = onnxruntime.InferenceSession(f"{folder}/onnx/model.onnx", providers=["CPUExecutionProvider"])
encoded = tokenizer.encode_batch(texts)
rows = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
inputs = {i.name: numpy.array([getattr(e, rows[i.name]) for e in encoded], "int64") for i in session.get_inputs()}
logits = session.run(["logits"], inputs)[0]
powers = numpy.exp(logits - logits.max(1, keepdims=True))
print(json.dumps([dict(zip(facts["labels"], map(float, p / p.sum()))) for p in powers]))
"""


def frozen_of(folder: Path, tmp_path: Path, solver: str) -> Path:
    """A copy of a study whose only run is the one on frozen embeddings, fitted by a solver."""
    study = StudyFolder.open(folder / "out")
    output = tmp_path / solver
    settings = study.settings() | {"layouts": [], "baselines": {"kinds": ["frozen"]}, "output": str(output)}
    striata.train(settings | {"ensemble": {"size": 1}})
    return output / "runs" / "frozen"


def test_merged_weights_open_in_a_pipeline_with_our_probabilities(native: Path, tmp_path: Path) -> None:
    model = load(run_of(native))
    made = striata.export(model, tmp_path / "out", to="transformers")
    assert (made.agreement, made.texts, made.source) == (1.0, 40, "the validation rows")
    assert made.largest_difference < 1e-4
    texts = texts_of(native)
    texts.append(" ".join(texts))  # longer than the model reads
    np.testing.assert_allclose(alone(TRANSFORMERS, tmp_path / "out", texts), model.predict_proba(texts), atol=1e-5)


def test_a_torch_that_may_freeze_sizes_is_refused(native: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.6.0+cpu")
    with pytest.raises(ExportError, match=r"needs torch 2\.13 or newer \(here 2\.6\.0\+cpu\)"):
        striata.export(run_of(native), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def graphs(native: Path, mean: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Graphs of an ensemble with native heads, and of a run with a mean head and token types."""
    needs_open_sizes()
    folders = {"ensemble": native / "out" / "ensemble", "mean": run_of(mean)}
    place = tmp_path_factory.mktemp("graphs")
    return {name: striata.export(folder, place / name).folder for name, folder in folders.items()}


@pytest.mark.parametrize("which", ["ensemble", "mean"])
def test_a_graph_needs_nothing_but_onnx_runtime_and_tokenizers(
    native: Path, mean: Path, graphs: dict[str, Path], which: str
) -> None:
    folder = {"ensemble": native / "out" / "ensemble", "mean": run_of(mean)}[which]
    texts = texts_of(native)
    texts.append(" ".join(texts))  # longer than the model reads
    answers = alone(ONNX, graphs[which], texts, "torch", "transformers")
    np.testing.assert_allclose(answers, load(folder).predict_proba(texts), atol=1e-5)


@pytest.mark.parametrize("which", ["ensemble", "mean"])
def test_the_script_in_the_folder_predicts_with_it(native: Path, mean: Path, graphs: dict[str, Path], which: str) -> None:
    folder = {"ensemble": native / "out" / "ensemble", "mean": run_of(mean)}[which]
    texts = texts_of(native)
    texts.append(" ".join(texts))  # longer than the model reads
    start = ALONE.replace("BLOCKED", repr({"striata", "torch", "transformers", "scipy", "sklearn"}))
    arguments = [sys.executable, "-c", start + SCRIPT, str(graphs[which])]
    ways = ((json.dumps(texts), None), ("[]", "\n".join(texts) + "\n"))  # as arguments, and piped in
    for argument, piped in ways:
        done = subprocess.run([*arguments, argument], input=piped, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["label"] for row in rows] == load(folder).predict(texts)
        shares = np.array([[row["probabilities"][label] for label in LABELS] for row in rows])
        np.testing.assert_allclose(shares, load(folder).predict_proba(texts), atol=1e-5)


def test_a_tab_parts_two_texts() -> None:
    assert standalone.split(["a b\tc\n", "d\te\tf"]) == (["a b", "d"], ["c", "e\tf"])
    assert standalone.split(["a\tb", "c\r\n"]) == (["a\tb", "c"], None)
    assert standalone.split([]) == ([], None)


def test_a_card_says_how_to_open_the_folder(graphs: dict[str, Path]) -> None:
    facts = json.loads((graphs["ensemble"] / "striata.json").read_text())
    card = (graphs["ensemble"] / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1]) == {"library_name": "onnx", "pipeline_tag": "text-classification"}
    assert "an ensemble of 2 members" in card
    assert f"cut at {facts['max_length']} tokens" in card
    assert "\n".join(LABELS) in card
    assert f"{facts['compared']['largest_difference']:.2g} apart" in card


def test_an_ensemble_has_the_encoder_once_and_its_members_logits(native: Path, graphs: dict[str, Path]) -> None:
    import onnx
    import onnxruntime

    model = load(native / "out" / "ensemble")
    (scorer,) = model.scorers
    assert isinstance(scorer, EncoderScorer)
    encoder = Encoder.load(str(native / "roberta"), head=next(iter(model.runs.values())).adapter_plan.head).model
    file = graphs["ensemble"] / "onnx" / "model.onnx"
    stored = sum(int(np.prod(tensor.dims)) for tensor in onnx.load(file).graph.initializer)
    assert stored < sum(p.numel() for p in encoder.parameters()) + scorer.trainable + 5000
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    texts = texts_of(native)[:1]  # one, which needs no padding
    ids = scorer.tokenizer.encode(texts).ids[None].astype(np.int64)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    (members,) = session.run(["member_logits"], {tensor.name: inputs[tensor.name] for tensor in session.get_inputs()})
    for own, logits in zip(members, model.member_logits(texts).values(), strict=True):
        np.testing.assert_allclose(own, logits, atol=1e-4)


@pytest.mark.parametrize("solver", ["discriminant", "network"])
def test_frozen_embeddings_are_read_as_they_were_fitted(
    mean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solver: str
) -> None:
    judged = frozen._judged
    worst = Judgement(scale=1.0, losses=np.full(2, 99.0), accuracy=0.0)
    monkeypatch.setattr(frozen, "_judged", lambda *rest: judged(*rest) if rest[4] == solver else worst)
    model = load(frozen_of(mean, tmp_path, solver))
    parts = take_apart(model).graph
    assert parts is not None
    assert (parts.head, len(parts.classifier.heads[0].layers)) == (None, {"discriminant": 1, "network": 2}[solver])
    inputs = parts.tokenizer()(texts_of(mean), padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        logits, _ = parts.classifier(inputs["input_ids"], inputs["attention_mask"])
    np.testing.assert_allclose(
        logits.numpy(), model.logits(texts_of(mean)) / np.float32(model.calibration.temperature), atol=0.02
    )
    if solver == "discriminant":
        made = striata.export(model, tmp_path / "dense", to="sentence-transformers")
        assert made.agreement == 1.0
    else:
        with pytest.raises(ExportError, match="a network on frozen embeddings is no dense layer"):
            striata.export(model, tmp_path / "dense", to="sentence-transformers")


def test_adapters_and_frozen_embeddings_go_into_one_graph(mean: Path, tmp_path: Path) -> None:
    needs_open_sizes()
    runs = mean / "out" / "runs"
    shutil.copytree(mean / "out", tmp_path / "study")
    for name in ("lexical", "neighbours"):
        shutil.rmtree(tmp_path / "study" / "runs" / name)
    write_ensemble(tmp_path / "study", out=tmp_path / "both", size=len(list(runs.iterdir())) - 2)
    model = load(tmp_path / "both")
    assert {run.kind for run in model.runs.values()} == {"adapter", "frozen"}
    made = striata.export(model, tmp_path / "out")
    assert made.agreement == 1.0
    answers = alone(ONNX, tmp_path / "out", texts_of(mean), "torch", "transformers")
    np.testing.assert_allclose(answers, model.predict_proba(texts_of(mean)), atol=2e-3)


@pytest.mark.parametrize(("method", "combine"), [("stacking", "logits"), ("weighted", "logits"), ("top", "probabilities")])
def test_every_way_to_combine_is_in_the_modules(native: Path, tmp_path: Path, method: str, combine: str) -> None:
    combine_runs(native / "out", out=tmp_path / "out", size=3, method=method, combine=combine)
    model = load(tmp_path / "out")
    parts = take_apart(model).graph
    assert parts is not None
    inputs = parts.tokenizer()(texts_of(native), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits, _ = parts.classifier(inputs["input_ids"], inputs["attention_mask"])
    np.testing.assert_allclose(
        logits.numpy(), model.logits(texts_of(native)) / np.float32(model.calibration.temperature), atol=1e-4
    )


def test_a_mean_head_is_a_dense_layer_of_sentence_transformers(mean: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = load(run_of(mean))
    striata.export(model, tmp_path / "out", to="sentence-transformers")
    logits = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(texts_of(mean), show_progress_bar=False)
    np.testing.assert_allclose(logits, model.logits(texts_of(mean)) / np.float32(model.calibration.temperature), atol=1e-4)


def test_eight_bits_are_measured_and_their_temperature_is_fitted_again(
    mean: Path, graphs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(writers.WRITERS, "onnx", lambda _, folder: shutil.copytree(graphs["mean"], folder, dirs_exist_ok=True))
    model = load(run_of(mean))
    made = striata.export(model, tmp_path / "out", quantize="int8", data=mean / "test.csv", agreement=0.5)
    assert sorted(file.name for file in (tmp_path / "out" / "onnx").iterdir()) == ["model_quantized.onnx"]
    assert made.change is not None
    assert made.change.low <= made.change.value <= made.change.high
    assert made.accuracy == model.evaluate(mean / "test.csv").accuracy
    code = ONNX.replace("model.onnx", "model_quantized.onnx")
    answers = alone(code, tmp_path / "out", texts_of(mean), "torch")
    labels = [LABELS.index(label) for label in read_table(str(mean / "test.csv"), striata.Columns()).labels or ()]
    right = (answers.argmax(1) == labels).mean()
    assert right == pytest.approx(made.accuracy + made.change.value)
    scaled = np.log(answers)
    losses = {
        factor: log_loss(labels, softmax(scaled * factor, 1), normalize=False) + np.log(made.temperature / factor) ** 2 / 2
        for factor in (0.9, 1.0, 1.1)
    }
    assert losses[1.0] == min(losses.values())  # with the prior that keeps temperatures finite
    with pytest.raises(ExportError, match=r"get the same label, less than the 101\.00% that are asked for") as refused:
        striata.export(model, tmp_path / "strict", quantize="int8", data=mean / "test.csv", agreement=1.01)
    assert not (tmp_path / "strict").exists()
    assert refused.value.argument == "agreement"


def test_a_model_that_is_open_in_another_precision_is_exported_in_fp32(native: Path, tmp_path: Path) -> None:
    made = striata.export(striata.load(run_of(native), precision="bf16"), tmp_path / "out", to="transformers")
    assert made.largest_difference < 1e-4


def test_a_run_beside_the_studys_runs_is_compared_on_the_studys_rows(native: Path, tmp_path: Path) -> None:
    study = shutil.copytree(native / "out", tmp_path / "study")
    shutil.copytree(run_of(native), study / "distilled")
    assert striata.export(study / "distilled", tmp_path / "out", to="transformers").source == "the validation rows"


def test_where_the_encoder_has_moved_the_studys_rows_are_compared(native: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    (native / "roberta").rename(moved)
    try:
        made = striata.export(load(run_of(native), base=moved), tmp_path / "out", to="transformers")
    finally:
        moved.rename(native / "roberta")
    assert made.source == "the validation rows"


def test_without_the_studys_data_made_up_texts_are_compared(native: Path, tmp_path: Path) -> None:
    moved = native / "train.csv"
    moved.rename(native / "elsewhere.csv")
    try:
        made = striata.export(run_of(native), tmp_path / "out", to="transformers")
        assert (made.texts, made.accuracy) == (100, None)
        with pytest.raises(ExportError, match="give labelled rows as `data`"):
            striata.export(run_of(native), tmp_path / "other", quantize="int8")
    finally:
        (native / "elsewhere.csv").rename(moved)


def test_what_does_not_answer_the_same_is_not_left_behind(native: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(parts: Any, folder: Path) -> None:
        parts.graph.classifier.heads[0].layers[-1].bias.data[0] += 0.01
        writers.write_transformers(parts, folder)

    monkeypatch.setitem(writers.WRITERS, "transformers", broken)
    with pytest.raises(ExportError, match=r"does not answer as the model does: calibrated logits are up to 0.0\d+ apart"):
        striata.export(run_of(native), tmp_path / "out", to="transformers")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("which", "settings", "message"),
    [
        ("ensemble", {"to": "transformers"}, "an ensemble of 2 is no model that transformers has; export it to onnx"),
        ("mean", {"to": "transformers"}, "transformers' classification models have no mean head; export it to onnx or sentence"),
        ("run", {"to": "sentence-transformers"}, "pools by the mean, and this model has a native head; export it to onnx"),
        ("all", {"to": "transformers"}, "an ensemble of 6 is no model that transformers has"),
        (
            "lexical",
            {"to": "transformers"},
            "reads words or looks up rows, which no model of transformers does",
        ),
        ("lexical", {"quantize": "int8"}, "has no encoder whose products could be in int8; leave it out"),
        ("run", {"to": "tensorflow"}, "unknown export 'tensorflow'"),
        ("run", {"quantize": "int3"}, "unknown quantization 'int3'"),
        ("run", {"to": "transformers", "quantize": "int8"}, "ONNX alone"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(
    native: Path, mean: Path, tmp_path: Path, which: str, settings: dict[str, str], message: str
) -> None:
    folders = {"run": run_of(native), "ensemble": native / "out/ensemble", "mean": run_of(mean), "all": mean / "out/ensemble"}
    folders["lexical"] = mean / "out/runs/lexical"
    with pytest.raises(ExportError, match=message):
        striata.export(folders[which], tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_not_touched(native: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("mine")
    with pytest.raises(StriataError, match=r"out .*out exists; choose another folder"):
        striata.export(run_of(native), tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "mine"
    assert exported.NEEDS.keys() == writers.WRITERS.keys()
