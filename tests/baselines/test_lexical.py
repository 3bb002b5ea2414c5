"""TF-IDF and a linear model, beside scikit-learn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from striata.baselines import Lexical, Rows
from striata.baselines.linear import centroids, machine
from striata.baselines.wordfit import Limits
from striata.baselines.words import PARTS, WORDS, Counts

from .made import made

CHINESE = "".join(chr(0x4E00 + i) for i in range(400))


@pytest.mark.parametrize("min_df", [1, 2])
def test_features_are_scikit_learns(min_df: int) -> None:
    rows, _ = made(80, 3, 0)
    weighed = Counts.of(WORDS, rows.texts, None).weigh(min_df, 10**6)
    reference = TfidfVectorizer(ngram_range=(1, 2), min_df=min_df, sublinear_tf=True)
    expected = reference.fit_transform(rows.texts)
    vectorizer, features = weighed
    assert vectorizer.terms == reference.get_feature_names_out().tolist()
    np.testing.assert_allclose(vectorizer.idf, reference.idf_, rtol=1e-6)
    np.testing.assert_allclose(features.toarray(), expected.toarray(), atol=1e-6)
    again = vectorizer.transform(rows.texts, None)
    assert (again != features).nnz == 0
    alone = vectorizer.transform(rows.texts[5:6], None)
    assert (alone != features[5:6]).nnz == 0


def test_the_most_frequent_terms_are_kept() -> None:
    texts = ["common common rare", "common seldom", "seldom other"]
    vectorizer, features = Counts.of(WORDS, texts, None).weigh(1, 2)
    assert set(vectorizer.terms) == {"common", "seldom"}
    assert features.shape == (3, 2)


@pytest.mark.parametrize("labels", [2, 5])
def test_the_machine_is_scikit_learns(labels: int) -> None:
    rows, targets = made(150, labels, 0)
    _, features = Counts.of(WORDS, rows.texts, None).weigh(2, 10**6)
    reference = LinearSVC(C=0.5, tol=1e-6, max_iter=100_000).fit(features, targets).decision_function(features)
    expected = reference if labels > 2 else np.stack([-reference, reference], 1)
    scores = machine(features, targets, labels, 0.5, 0).scores(features)
    np.testing.assert_allclose(scores, expected, atol=0.02)
    assert (scores.argmax(1) == expected.argmax(1)).mean() > 0.99


def test_labels_without_rows_score_below_those_with_rows() -> None:
    rows, targets = made(60, 3, 0)
    _, features = Counts.of(WORDS, rows.texts, None).weigh(2, 10**6)
    scores = machine(features, targets * 2, 5, 1.0, 0).scores(features)  # labels 1 and 3 have no rows
    assert set(scores.argmax(1).tolist()) == {0, 2, 4}
    np.testing.assert_array_equal(scores[:, [1, 3]], -1)


def test_centroids_are_cosines_to_the_mean_text() -> None:
    rows, targets = made(60, 3, 0)
    _, features = Counts.of(WORDS, rows.texts, None).weigh(1, 10**6)
    parts = [(features[:25], targets[:25], None), (features[25:], targets[25:], None)]
    scores = centroids(parts, features.shape[1], 4).scores(features)
    dense = features.toarray()
    means = np.stack([dense[targets == label].mean(0) for label in range(3)])
    expected = 20 * dense @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    np.testing.assert_allclose(scores[:, :3], expected, atol=1e-4)
    np.testing.assert_array_equal(scores[:, 3], 0)


def test_pairs_are_told_apart_by_what_both_texts_have() -> None:
    draws = np.random.default_rng(0)

    def pairs(count: int) -> tuple[Rows, np.ndarray]:
        targets = draws.integers(0, 2, count)
        topics = draws.integers(0, 3, count)  # a pair is alike (1) or not (0); each text alone says nothing
        others = np.where(targets == 1, topics, (topics + draws.integers(1, 3, count)) % 3)
        names = np.array(["red red wine", "green tea leaf", "blue ink pen"])
        return Rows(texts=names[topics].tolist(), pairs=names[others].tolist()), targets

    rows, targets = pairs(400)
    new, truth = pairs(100)
    fitted = Lexical.fit(rows, targets, 2)
    assert (fitted.logits(new).argmax(1) == truth).mean() == 1
    assert (Lexical.fit(Rows(texts=rows.texts), targets, 2).logits(Rows(texts=new.texts)).argmax(1) == truth).mean() < 0.7


def test_words_without_spaces_are_counted_in_characters() -> None:
    rows, targets = made(200, 3, 0, letters=CHINESE)
    new, truth = made(200, 3, 1, letters=CHINESE)
    fitted = Lexical.fit(rows, targets, 3)
    assert fitted.receipt()["analysis"]["analyzer"] == "char"
    assert (fitted.logits(new).argmax(1) == truth).mean() > 0.9


@pytest.mark.parametrize("min_df", [1, 2])
def test_parts_of_words_are_a_block_beside_the_words(min_df: int) -> None:
    rows, _ = made(80, 3, 0)
    weighed = Counts.of(PARTS, rows.texts, None).weigh(min_df, 10**6)
    vectorizer, features = weighed
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=min_df, sublinear_tf=True)
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(5, 5), min_df=min_df, sublinear_tf=True)
    expected = {"": words.fit_transform(rows.texts), "#": parts.fit_transform(rows.texts)}
    for mark, reference in (("", words), ("#", parts)):
        places = [at for at, term in enumerate(vectorizer.terms) if term.startswith("#") == bool(mark)]
        assert [vectorizer.terms[at].removeprefix("#") for at in places] == reference.get_feature_names_out().tolist()
        np.testing.assert_allclose(features[:, places].toarray(), expected[mark].toarray(), atol=1e-6)
    assert (vectorizer.transform(rows.texts, None) != features).nnz == 0


def test_parts_of_words_tell_where_no_word_occurs_twice() -> None:
    draws = np.random.default_rng(0)
    targets = np.arange(300) % 2
    letters = np.array(list("bcdfgklmnprst"))

    def word(ending: str) -> str:
        return "".join(draws.choice(letters, 6)) + ending

    texts = [" ".join(word("lung" if label else "itat") for _ in range(4)) for label in targets]
    rows, new = Rows(texts=texts[:200]), Rows(texts=texts[200:])
    fitted = Lexical.fit(rows, targets[:200], 2)
    assert (fitted.logits(new).argmax(1) == targets[200:]).all()
    only_words = Lexical.fit(rows, targets[:200], 2, limits=Limits(parts=0))
    assert (only_words.logits(new).argmax(1) == targets[200:]).mean() < 0.7
    assert only_words.receipt()["analysis"]["fragment"] is None


def test_symbols_are_told_apart_and_white_space_gets_the_shares_of_the_labels() -> None:
    symbols = Rows(texts=["!!! ...", "??? ;;;", "!!!", "???"] * 10)
    targets = np.arange(40) % 2
    assert (Lexical.fit(symbols, targets, 2).logits(symbols).argmax(1) == targets).all()
    blank = Lexical.fit(Rows(texts=[""] * 4), np.array([0, 0, 0, 1]), 2)
    np.testing.assert_allclose(np.exp(blank.logits(Rows(texts=["anything"]))), [[4 / 6, 2 / 6]], rtol=1e-6)
    assert "nothing that can be counted" in blank.notes[0]


@pytest.mark.parametrize(
    ("limits", "solver", "note"),
    [
        (Limits(machine=0, chunk=64), "stochastic", "stochastic gradients"),
        (Limits(characters=8000, chunk=64), "stochastic", "the vocabulary is that of"),
        (Limits(machine=0, stochastic=0), "centroids", "mean text"),
        (Limits(machine=0, stochastic=0, entries=2000), "centroids", "rows, so that they fit into memory"),
        (Limits(weights=900), "machine", None),
    ],
)
def test_bounded_memory_and_time(limits: Limits, solver: str, note: str | None) -> None:
    rows, targets = made(600, 3, 0)
    new, truth = made(300, 3, 1)
    fitted = Lexical.fit(rows, targets, 3, limits=limits)
    assert fitted.choice.solver == solver
    assert note is None or any(note in line for line in fitted.notes)
    assert (fitted.logits(new).argmax(1) == truth).mean() > 0.85
    assert fitted.receipt()["features"] * 3 <= limits.weights
    inside = fitted.out_of_fold(rows, targets)
    assert (inside.argmax(1) == targets).mean() > 0.85


def test_a_text_is_answered_alike_alone_and_among_others() -> None:
    rows, targets = made(120, 3, 0)
    fitted = Lexical.fit(rows, targets, 3)
    together = fitted.logits(rows)
    alone = np.concatenate([fitted.logits(rows.take(np.array([at]))) for at in range(20)])
    assert alone.tobytes() == together[:20].tobytes()


def test_another_process_with_another_hash_seed_writes_and_answers_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.baselines.made import made; from striata.baselines import Lexical\n"
        "rows, targets = made(90, 3, 0); out = Path(sys.argv[1]); Lexical.fit(rows, targets, 3).write(out)\n"
        "(out / 'logits').write_bytes(Lexical.read(Path(sys.argv[2])).logits(rows).tobytes())"
    )
    rows, targets = made(90, 3, 0)
    here, other = tmp_path / "here", tmp_path / "other"
    here.mkdir()
    other.mkdir()
    fitted = Lexical.fit(rows, targets, 3)
    fitted.write(here)
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "src")])
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code, str(other), str(here)], check=True, env=environment, cwd=root)
    assert (other / "logits").read_bytes() == fitted.logits(rows).tobytes()
    for name in ("vocabulary.json", "baseline.safetensors"):
        assert (other / name).read_bytes() == (here / name).read_bytes()
