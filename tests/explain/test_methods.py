"""Counted words, removed words, near rows, stages: against arithmetic written out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import striata
from striata.baselines import Lexical
from striata.data import Columns, read_table
from striata.ensemble import Combiner
from striata.ensemble.combiner import Cascade
from striata.errors import DataError
from striata.model import Model
from striata.model.baseline_scorers import TextScorer

from ..study.small import write_texts
from .models import BASELINES, TEXT, adapters, opened, score, trained


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("methods"))


def several(study: Path, *names: str, combiner: Combiner | None = None) -> Model:
    models = [opened(study, name) for name in names]
    runs = {name: run for one in models for name, run in one.runs.items()}
    combiner = combiner or Combiner(kind="logits", weights=dict.fromkeys(names, 1 / len(names)))
    return Model(models[0].folder, runs, combiner, models[0]._source, device="cpu", precision="fp32")


def test_counted_words_add_up_exactly_to_the_score_less_the_intercepts(study: Path) -> None:
    model = opened(study, "lexical")
    lexical = model.scorers[0].baselines["lexical"] if isinstance(model.scorers[0], TextScorer) else None
    assert isinstance(lexical, Lexical)
    assert lexical.vectorizer is not None
    (explained,) = model.explain([TEXT])
    label, temperature = model.labels.index(explained.label), model.calibration.temperature
    assert explained.method == "exact"
    assert explained.error == pytest.approx(0, abs=1e-12)
    assert explained.score == pytest.approx(score(model.logits([TEXT]), label, temperature)[0], rel=1e-6)
    assert explained.empty == pytest.approx(score(lexical.model.bias[None], label, temperature)[0], rel=1e-6)
    features = lexical.vectorizer.transform([TEXT], None).toarray()[0].astype(np.float64)
    weights = np.asarray(lexical.model.weights, np.float64)
    others = np.delete(weights, label, axis=1).mean(1)
    of_terms = features * (weights[:, label] - others) / temperature
    expected = dict.fromkeys(re.findall(r"\w+|,", TEXT), 0.0)
    for term, weight in zip(lexical.vectorizer.terms, of_terms, strict=True):
        if term.startswith("#"):  # a part of a word, of five characters with the spaces around it
            words = [word for word in TEXT.split() for at in range(max(1, len(word) - 2)) if f" {word} "[at : at + 5] == term[1:]]
            pieces = [re.findall(r"\w+|,", word) for word in words]
        else:
            pieces = [term.split()] if re.search(rf"\b{term.replace(' ', ',? ')}\b", TEXT) else []
        for piece in pieces:
            for word in piece:
                expected[word] += weight / len(pieces) / len(piece)
    assert {one.word: pytest.approx(one.weight, abs=1e-9) for one in explained.words} == expected


def test_a_mean_of_logits_is_the_mean_of_the_weights(study: Path) -> None:
    members = [opened(study, name) for name in ("lexical", "majority")]
    model = several(study, "lexical", "majority", combiner=Combiner(kind="logits", weights={"lexical": 0.25, "majority": 0.75}))
    (explained,), (alone,) = model.explain([TEXT], label="World"), members[0].explain([TEXT], label="World")
    assert explained.method == "exact"
    for one, other in zip(explained.words, alone.words, strict=True):
        scale = 0.25 * members[0].calibration.temperature / model.calibration.temperature
        assert one.weight == pytest.approx(scale * other.weight, abs=1e-9)


def test_counted_words_and_an_encoder_are_explained_together(study: Path) -> None:
    name = next(iter(adapters(study)))
    model = several(study, name, "lexical", "frozen")
    (explained,) = model.explain([TEXT], label="Sports")
    parts = [opened(study, one).explain([TEXT], label="Sports", steps=32)[0] for one in (name, "lexical", "frozen")]
    temperatures = [opened(study, one).calibration.temperature for one in (name, "lexical", "frozen")]
    for at, one in enumerate(explained.words):
        whole = sum(part.words[at].weight * t for part, t in zip(parts, temperatures, strict=True)) / 3
        assert one.weight == pytest.approx(whole / model.calibration.temperature, abs=1e-4)


@pytest.mark.parametrize("name", ["lexical", "neighbours"])
def test_leave_one_out_is_the_fall_of_the_score(study: Path, name: str) -> None:
    model = opened(study, name)
    (explained,) = model.explain([TEXT], method="leave-one-out", label="World")
    label, temperature = model.labels.index("World"), model.calibration.temperature
    whole = score(model.logits([TEXT]), label, temperature)[0]
    assert (explained.method, explained.error, explained.empty) == ("leave-one-out", None, None)
    assert explained.score == pytest.approx(whole, abs=1e-5)
    for one in explained.words:
        without = TEXT[: one.start] + TEXT[one.end :]
        assert one.weight == pytest.approx(whole - score(model.logits([without]), label, temperature)[0], abs=1e-4)
    (single,) = model.explain(["w25"], method="leave-one-out")
    assert single.words[0].weight == pytest.approx(single.score)


def test_members_that_look_rows_up_have_no_gradients(study: Path) -> None:
    model = several(study, "neighbours", "lexical")
    assert model.explain([TEXT])[0].method == "leave-one-out"
    with pytest.raises(DataError, match=r"^method gradients: neighbours looks rows up and has none; use leave-one-out$"):
        model.explain([TEXT], method="gradients")


def test_the_nearest_training_rows_by_an_encoder(study: Path) -> None:
    model = opened(study, next(iter(adapters(study))))
    texts = read_table(str(study.parent / "test.csv"), Columns(), split="test").texts[:3]
    held_out = {int(row) for row in model._source.validation().ids}
    rows = read_table(str(study.parent / "train.csv"), Columns(), split="train")
    places = [at for at in range(len(rows)) if at not in held_out]
    known, new = model.embed([rows.texts[at] for at in places]), model.embed(texts)
    distances, nearest = NearestNeighbors(n_neighbors=3, metric="cosine").fit(known).kneighbors(new)
    for explained, distance, near in zip(model.explain(texts, method="neighbours", rows=3), distances, nearest, strict=True):
        assert explained.words == ()
        np.testing.assert_allclose([row.similarity for row in explained.rows], 1 - distance, atol=2e-3)
        assert explained.rows[0].row == places[near[0]]
        for row in explained.rows:
            assert (row.text, row.label) == (rows.texts[row.row], (rows.labels or [])[row.row])
    (itself,) = model.explain([rows.texts[places[0]]], method="neighbours", rows=1)
    assert itself.rows[0].similarity == pytest.approx(1, abs=1e-3)


def test_without_an_encoder_rows_are_near_that_share_words(study: Path) -> None:
    (explained,) = opened(study, "lexical").explain(["w25 w26"], method="neighbours", rows=4)
    assert [row.similarity for row in explained.rows] == sorted((row.similarity for row in explained.rows), reverse=True)
    assert all({"w25", "w26"} & set(row.text.split()) for row in explained.rows)


def test_training_rows_that_are_not_there(study: Path, tmp_path: Path) -> None:
    pack = striata.pack(study / "runs" / "lexical", tmp_path / "pack")
    with pytest.raises(DataError, match=r"^method neighbours: .* lies in no study"):
        striata.load(pack).explain([TEXT], method="neighbours")
    with pytest.raises(DataError, match=r"^method neighbours: no member of .* has an encoder or counts words"):
        opened(study, "majority").explain([TEXT], method="neighbours")
    rows = (study.parent / "train.csv").read_bytes()
    try:
        write_texts(study.parent / "train.csv", 150, seed=5)
        with pytest.raises(DataError, match=r"^method neighbours: the training rows of .* cannot be read \(the data of"):
            opened(study, "lexical").explain([TEXT], method="neighbours")
    finally:
        (study.parent / "train.csv").write_bytes(rows)


@pytest.mark.parametrize("threshold", [0.0, None])
def test_a_cascade_is_explained_by_whoever_answers(study: Path, threshold: float | None) -> None:
    name = next(iter(adapters(study)))
    cascade = Cascade(
        early="lexical", threshold=threshold, early_temperature=2.0, late_temperature=3.0, loss=0.1, rows=40, answered=20, lost=0,
        gained=0, unproven=0.0,
    )  # fmt: skip
    combiner = Combiner(kind="cascade", weights={name: 0.5, "majority": 0.5}, cascade=cascade)
    models = [opened(study, one) for one in (name, "majority", "lexical")]
    runs = {key: run for one in models for key, run in one.runs.items()}
    model = Model(models[0].folder, runs, combiner, models[0]._source, device="cpu", precision="fp32")
    model.warn = lambda _: None
    (explained,) = model.explain([TEXT], label="World")
    assert explained.method == ("exact" if threshold == 0.0 else "gradients")
    label = model.labels.index("World")
    assert explained.score == pytest.approx(score(model.logits([TEXT]), label, model.calibration.temperature)[0], abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "Sport"}, r"^label 'Sport' is no label of the model \(did you mean 'Sports'\?\); expected one of Business, "),
        ({"method": "gradient"}, r"^unknown way to explain 'gradient' \(did you mean 'gradients'\?\)"),
        ({"steps": 0}, "^steps 0: expected at least 1"),
        ({"rows": 0}, "^rows 0: expected at least 1"),
    ],
)
def test_wrong_options_are_named(study: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(study, "lexical").explain([TEXT], **options)


def test_every_kind_of_baseline_is_explained(study: Path) -> None:
    for name in BASELINES:
        (explained,) = opened(study, name).explain([TEXT])
        assert explained.label == explained.predicted
        assert len(explained.words) == 8
        assert "Explanation(" in repr(explained)
        assert explained.to_json()["method"] == explained.method
