"""Models that take more than one graph: words that are counted, rows that are looked up, answers by stages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

import striata
from striata.baselines import Lexical, Majority, Rows
from striata.baselines.linear import Linear
from striata.baselines.wordfit import Choice
from striata.baselines.words import CHARACTERS, PARTS, WORDS, Analysis, Counts, _counter
from striata.ensemble import Cascade, Combiner, combine_runs
from striata.errors import ExportError
from striata.exports import exported, standalone, writers
from striata.exports.composition import divide, write_composition
from striata.exports.parts import Parts, take_apart
from striata.exports.standalone import Classifier

from ..study.small import LABELS
from .made import ALONE, BASELINES, SCRIPT, load, needs_open_sizes, texts_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporter, about itself

TEXTS = ["The cat sat, the cat ran", "a cat's   hat\tand THE mat", "mat mat MAT", "日本語 の 文章", "İstanbul ßtraße ran", "x"]


@given(text=st.text(st.one_of(st.sampled_from("aB ß_İ1\t\n é.'日のก"), st.characters()), max_size=40))
@pytest.mark.parametrize("analysis", [WORDS, PARTS, CHARACTERS], ids=lambda analysis: analysis.name)
@settings(max_examples=150, deadline=None)
def test_terms_are_those_that_the_library_counts(analysis: Analysis, text: str) -> None:
    terms = standalone.terms_of(text, analysis.analyzer, analysis.ngrams, analysis.fragment)
    assert sorted(terms) == sorted(_counter(analysis).build_analyzer()(text))


def lexical(analysis: Analysis | None, *, paired: bool, sparse: bool) -> Lexical:
    """One with the terms of `TEXTS` and weights by chance."""
    if analysis is None:
        model = Linear(weights=np.zeros((0, 3), np.float32), bias=np.array([1, -1, 0.5], np.float32))
        return Lexical(vectorizer=None, model=model, choice=Choice(solver="none"), rows=6)
    counts = Counts.of(analysis, TEXTS, TEXTS[::-1] if paired else None)
    assert counts is not None
    weighed = counts.weigh(1, 1000)
    assert weighed is not None
    draws = np.random.default_rng(0)
    weights: Any = draws.standard_normal((weighed[0].width, 3)).astype(np.float32)
    if sparse:
        weights = sp.csr_array(weights * (draws.random(weights.shape) < 0.4))
    model = Linear(weights=weights, bias=draws.standard_normal(3).astype(np.float32))
    return Lexical(vectorizer=weighed[0], model=model, choice=Choice(solver="machine"), rows=6)


def written(member: Lexical | Majority, folder: Path, order: list[int]) -> Classifier:
    """A folder with nothing but this one member, opened."""
    labels = tuple(np.array(LABELS)[order])
    parts = Parts(
        folder=folder, graphs=(), texts={"one": member}, nearest={}, order={"one": order}, labels=labels, pairs=False,
        checksum="", combiner=Combiner(kind="logits", weights={"one": 1.0}), divisors=np.ones(()), thresholds=(),
    )  # fmt: skip
    write_composition(parts, folder)
    return Classifier(folder)


@pytest.mark.parametrize("analysis", [WORDS, PARTS, CHARACTERS, None], ids=lambda analysis: analysis and analysis.name)
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_words_are_weighed_to_the_last_bit(analysis: Analysis | None, paired: bool, sparse: bool, tmp_path: Path) -> None:
    member = lexical(analysis, paired=paired, sparse=sparse)
    texts = [*TEXTS, "nothing known", "the the the cat hat"]
    pairs = [*TEXTS[::-1], "the mat", "cat"] if paired else None
    logits = written(member, tmp_path, [2, 0, 1]).logits(texts, pairs)
    assert logits.tolist() == member.logits(Rows(texts=texts, pairs=pairs))[:, [2, 0, 1]].tolist()


def test_shares_of_labels_need_no_text(tmp_path: Path) -> None:
    member = Majority(priors=np.log(np.array([0.5, 0.3, 0.2], np.float32)), rows=10)
    assert written(member, tmp_path, [2, 0, 1]).logits(TEXTS).tolist() == [member.priors[[2, 0, 1]].tolist()] * len(TEXTS)


def predicted(folder: Path, texts: list[str], *blocked: str) -> np.ndarray:
    """Probabilities by the folder's own script in a process without these packages, (texts, labels)."""
    start = ALONE.replace("BLOCKED", repr({"striata", "torch", "transformers", "scipy", "sklearn", *blocked}))
    command = [sys.executable, "-c", start + SCRIPT, str(folder), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return np.array([[row["probabilities"][label] for label in LABELS] for row in rows])


def test_counted_words_need_numpy_alone(mean: Path, tmp_path: Path) -> None:
    model = load(mean / "out" / "runs" / "lexical")
    made = striata.export(model, tmp_path / "out")
    assert (made.largest_difference, made.texts, made.source) == (0.0, 40, "the validation rows")
    assert {file.name for file in made.folder.iterdir()} == {
        "README.md", "model.json", "predict.py", "striata.json", "words-1.json", "words-1.npz"
    }  # fmt: skip
    answers = predicted(made.folder, texts_of(mean), "onnxruntime", "tokenizers")
    np.testing.assert_allclose(answers, model.predict_proba(texts_of(mean)), atol=1e-6)
    card = (made.folder / "README.md").read_text()
    assert "pip install numpy\n" in card
    assert "cut at" not in card
    assert "transformers.js" not in card


@pytest.fixture(scope="module")
def source(mean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one run with adapters, and of words, frozen embeddings and neighbours; with an ensemble of all."""
    folder = shutil.copytree(mean / "out", tmp_path_factory.mktemp("composed") / "study")
    shutil.rmtree(folder / "ensemble")
    for path in sorted(path for path in (folder / "runs").iterdir() if path.name not in BASELINES)[1:]:
        shutil.rmtree(path)
    combine_runs(folder, size=4)
    return folder


@pytest.fixture(scope="module")
def everyone(source: Path) -> Path:
    """The ensemble of all, exported."""
    needs_open_sizes()
    return striata.export(load(source / "ensemble"), source.parent / "out").folder


@pytest.fixture
def same_graph(everyone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that writes anew everything but the graph, which takes longest, and is that of the same members."""

    def write(parts: Parts, folder: Path) -> None:
        shutil.copytree(everyone / "encoder-1", folder / "encoder-1")
        write_composition(parts, folder)
        members = (json.loads((place / "model.json").read_text())["graphs"] for place in (folder, everyone))
        assert next(members) == next(members)

    monkeypatch.setitem(writers.WRITERS, "onnx", write)


def test_members_of_all_kinds_answer_together(mean: Path, source: Path, everyone: Path) -> None:
    model = load(source / "ensemble")
    assert {run.kind for run in model.runs.values()} == {"adapter", "lexical", "frozen", "neighbours"}
    texts = texts_of(mean)
    texts.append(" ".join(texts))  # longer than the encoder reads
    np.testing.assert_allclose(predicted(everyone, texts), model.predict_proba(texts), atol=2e-3)
    facts = json.loads((everyone / "striata.json").read_text())
    assert (facts["compared"]["agreement"], facts["compared"]["apart"]) == (1.0, 0.0)
    assert facts["compared"]["size"] > (everyone / "rows-1.npz").stat().st_size
    card = (everyone / "README.md").read_text()
    assert "neighbours looks among 110 training rows, whose embeddings (0.0 MB) lie in the folder" in card
    assert "a graph alone is not the model" in card
    assert (everyone / "encoder-1" / "tokenizer.json").is_file()
    assert not (everyone / "encoder-2").exists()


@pytest.mark.usefixtures("same_graph")
@pytest.mark.parametrize(("method", "combine"), [("stacking", "logits"), ("top", "probabilities")])
def test_every_way_to_combine_is_in_the_plan(source: Path, tmp_path: Path, method: str, combine: str) -> None:
    combine_runs(source, out=tmp_path / "model", size=4, method=method, combine=combine)
    made = striata.export(load(tmp_path / "model"), tmp_path / "out")
    assert (made.agreement, made.apart) == (1.0, 0.0)


@pytest.mark.usefixtures("same_graph")
def test_a_cascade_asks_the_graph_for_the_rest_alone(source: Path, mean: Path, tmp_path: Path) -> None:
    texts = texts_of(mean)
    model = load(source / "ensemble")
    own = model.member_logits(texts)["lexical"]
    cascade = Cascade(
        early="lexical", threshold=float(np.median(softmax(own / 0.7, 1).max(1))), early_temperature=0.7, late_temperature=1.3,
        loss=0.01, rows=40, answered=20, lost=0, gained=0, unproven=0.0,
    )  # fmt: skip
    model.combiner = Combiner(kind="cascade", weights={**model.combiner.weights, "lexical": 0.0}, cascade=cascade)
    made = striata.export(model, tmp_path / "out")
    assert (made.agreement, made.apart) == (1.0, 0.0)
    np.testing.assert_allclose(predicted(made.folder, texts), model.predict_proba(texts), atol=2e-3)
    sure = [text for text, early in zip(texts, cascade.sure(own), strict=True) if early]
    assert 0 < len(sure) < len(texts)
    answers = predicted(made.folder, sure, "onnxruntime", "tokenizers")
    np.testing.assert_allclose(answers, model.predict_proba(sure), atol=1e-6)


def test_eight_bits_are_in_every_graph_and_the_temperature_in_the_plan(everyone: Path, mean: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(everyone, tmp_path / "out")
    before = Classifier(folder).logits(texts_of(mean))
    divide(folder, np.array(2.0))
    np.testing.assert_allclose(Classifier(folder).logits(texts_of(mean)), before / 2, rtol=1e-6)
    writers.quantize(folder)
    assert [file.name for file in (folder / "encoder-1" / "onnx").iterdir()] == ["model_quantized.onnx"]
    answers = Classifier(folder).logits(texts_of(mean))
    assert 0.9 < (answers.argmax(1) == before.argmax(1)).mean() <= 1
    assert not np.array_equal(answers, before / 2)


@pytest.mark.usefixtures("same_graph")
def test_rows_that_are_not_the_training_rows_are_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = writers.WRITERS["onnx"]

    def mixed(parts: Parts, folder: Path) -> None:
        write(parts, folder)
        with np.load(folder / "rows-1.npz") as arrays:
            values = dict(arrays)
        np.savez(folder / "rows-1.npz", **values | {"targets": (values["targets"] + 1) % 3})

    monkeypatch.setitem(writers.WRITERS, "onnx", mixed)
    with pytest.raises(ExportError, match="does not answer as the model does"):
        striata.export(load(source / "ensemble"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_few_texts_may_have_other_nearest_rows(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "folder": tmp_path, "form": "onnx", "quantization": None, "texts": 1000, "source": "x", "largest_difference": 0.5,
        "agreement": 0.999, "accuracy": None, "change": None, "temperature": 1.0, "size": 1,
    }  # fmt: skip
    few = exported.Exported(**settings, apart=0.004)
    exported._refuse(few, 0.98, exported.JUMPS)
    assert few.lines()[-1] == "a last bit decided which rows are nearest, or which stage answers, for 0.4% of the texts"
    with pytest.raises(ExportError, match="does not answer as the model does"):
        exported._refuse(few, 0.98, 0.0)


def test_members_on_several_encoders_have_a_graph_for_each(native: Path, mean: Path, tmp_path: Path) -> None:
    combine_runs(native / "out", mean / "out", out=tmp_path / "model", size=9, method="top")
    parts = take_apart(load(tmp_path / "model"))
    graphs = {len(graph.names): graph.outputs for graph in parts.graphs}
    assert graphs == {3: ("member_logits",), 4: ("member_logits", "means")}  # three with adapters, and frozen embeddings
    (place,) = (at for at, _ in parts.nearest.values())
    assert "means" in parts.graphs[place].outputs
    assert len(parts.texts) == 1
