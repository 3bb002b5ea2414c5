"""Baselines on embeddings, and the cache of these, beside scikit-learn and brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from striata.baselines import EmbeddingCache, Frozen, Neighbours, Rows
from striata.baselines import embeddings as cache_module
from striata.baselines import neighbours as neighbours_module
from striata.baselines import threads as threads_module
from striata.baselines.frozen import _solve, discriminant

from .made import made


@pytest.mark.parametrize("labels", [2, 4])
def test_the_discriminant_is_scikit_learns_with_the_same_shrinkage(labels: int) -> None:
    rows, targets = made(90, labels, 0)
    assert rows.vectors is not None
    vectors = rows.vectors.astype(np.float64) @ np.random.default_rng(0).standard_normal((16, 16))  # columns go together
    coefficients, intercepts, shrinkage = discriminant(vectors, targets)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(vectors, targets)
    assert 0 < shrinkage < 1
    scores, expected = vectors @ coefficients.T + intercepts, reference.decision_function(vectors)
    scores = scores[:, 1] - scores[:, 0] if labels == 2 else scores  # scikit-learn has one column for two labels
    np.testing.assert_allclose(scores, expected, atol=1e-3)


@pytest.mark.parametrize("labels", [2, 4])
def test_the_logistic_regression_is_scikit_learns_on_standardized_columns(labels: int) -> None:
    rows, targets = made(90, labels, 0)
    assert rows.vectors is not None
    model, _ = _solve(rows.vectors, targets, labels, "logistic", 0.01, 0, None)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, tol=1e-8, max_iter=1000)).fit(rows.vectors, targets)
    logs = log_softmax(model.scores(rows.vectors).astype(np.float64), axis=1)
    np.testing.assert_allclose(logs, reference.predict_log_proba(rows.vectors), atol=5e-3)


def test_neighbours_are_those_of_brute_force_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, targets = made(200, 3, 0)
    new, _ = made(50, 3, 1)
    assert rows.vectors is not None
    assert new.vectors is not None
    fitted = Neighbours.fit(rows, targets, 3)
    reference = NearestNeighbors(n_neighbors=fitted.count, metric="cosine").fit(fitted.vectors.astype(np.float64))
    distance, places = reference.kneighbors(new.vectors)
    weights = np.exp(fitted.sharpness * (distance[:, :1] - distance))
    shares = (np.bincount(targets, minlength=3) + 1) / (len(targets) + 3)
    votes = np.stack([(weights * (targets[places] == label)).sum(1) for label in range(3)], 1) + shares
    expected = np.log(votes / (weights.sum(1, keepdims=True) + 1)) * fitted.scale
    np.testing.assert_allclose(fitted.logits(new), expected, atol=1e-4)
    monkeypatch.setattr(neighbours_module, "_BLOCK", 600)
    np.testing.assert_allclose(Neighbours.fit(rows, targets, 3).logits(new), expected, atol=1e-4)


def test_a_sample_of_rows_votes_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, targets = made(200, 3, 0)
    new, truth = made(100, 3, 1)
    monkeypatch.setattr(neighbours_module, "_MOST", 60)
    fitted = Neighbours.fit(rows, targets, 3)
    assert fitted.notes == ("60 of 200 rows are looked at",)
    assert fitted.vectors.shape == (60, 16)
    assert (fitted.logits(new).argmax(1) == truth).mean() > 0.9
    assert fitted.out_of_fold(rows, targets).shape == (200, 3)


def test_frozen_embeddings_of_few_rows_are_still_probabilities() -> None:
    rows, targets = made(24, 3, 0)
    new, truth = made(200, 3, 1)
    logs = log_softmax(Frozen.fit(rows, targets, 3).logits(new).astype(np.float64), axis=1)
    assert -logs[np.arange(200), truth].mean() < 0.5


class Computed:
    """Embeds a text as its length and first letter, and counts what it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        self.texts += texts
        seconds = pairs or [""] * len(texts)
        return np.array([[len(a) / 3, ord(a[0]), len(b)] for a, b in zip(texts, seconds, strict=True)], np.float32)


def cache(folder: Path, **more: object) -> EmbeddingCache:
    return EmbeddingCache(folder, **{"encoder": "e", "tokenizer": "t", "max_length": 64, **more})


def test_no_text_is_embedded_twice_by_one_encoder(tmp_path: Path) -> None:
    compute = Computed()
    texts = ["one", "three", "one", "five"]
    first = cache(tmp_path).embed(texts, None, compute)
    assert compute.texts == ["one", "three", "five"]
    np.testing.assert_array_equal(first, compute(texts, None).astype(np.float16))
    compute.texts.clear()
    again = cache(tmp_path)
    assert again.embed([*texts, "seven"], None, compute)[:4].tobytes() == first.tobytes()
    assert compute.texts == ["seven"]
    assert again.embed(["seven", "five"], None, compute).shape == (2, 3)
    assert compute.texts == ["seven"]
    cache(tmp_path).embed(["one"], ["two"], compute)
    cache(tmp_path, encoder="f").embed(["one"], None, compute)
    cache(tmp_path, tokenizer="u").embed(["one"], None, compute)
    cache(tmp_path, max_length=32).embed(["one"], None, compute)
    assert compute.texts == ["seven", "one", "one", "one", "one"]


def test_a_damaged_part_of_the_cache_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "PORTION", 2)
    compute = Computed()
    texts = ["one", "three", "five", "seven", "nine"]
    first = cache(tmp_path).embed(texts, None, compute)
    files = sorted(tmp_path.rglob("*.safetensors"))
    assert len(files) == 3
    data = bytearray(files[1].read_bytes())
    data[-1] ^= 1
    files[1].write_bytes(data)
    compute.texts.clear()
    assert cache(tmp_path).embed(texts, None, compute).tobytes() == first.tobytes()
    assert 1 <= len(compute.texts) <= 2


def test_an_interruption_loses_one_portion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "PORTION", 2)
    compute = Computed()

    def stops(texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        if compute.texts:
            raise KeyboardInterrupt
        return compute(texts, pairs)

    texts = ["one", "three", "five", "seven"]
    with pytest.raises(KeyboardInterrupt):
        cache(tmp_path).embed(texts, None, stops)
    cache(tmp_path).embed(texts, None, compute)
    assert compute.texts == texts


def test_what_a_killed_process_left_in_the_cache_goes_though_nothing_is_written_to_it(tmp_path: Path) -> None:
    cache(tmp_path).embed(["one"], None, Computed())
    (file,) = tmp_path.rglob("*.safetensors")
    left = file.with_name(f".{file.name}.abcdefgh.striata")
    left.mkdir()
    (left / ".lock").touch()
    cache(tmp_path).embed(["one"], None, Computed())
    assert list(file.parent.iterdir()) == [file]


def test_baselines_need_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, striata.baselines; assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_share_a_group_only_where_text_and_second_text_are_equal() -> None:
    rows = Rows(texts=["A  b", "a b", "a b", "c"], pairs=["x", "X ", "y", "x"])
    assert rows.groups.tolist() == [0, 0, 2, 3]
    assert Rows(texts=rows.texts).groups.tolist() == [0, 0, 0, 3]


@pytest.mark.parametrize(("many", "threads"), [(10_000, 1), (10, 2)], ids=["few rows", "many rows"])
def test_few_rows_are_fitted_on_one_thread_whatever_the_machine_has(
    monkeypatch: pytest.MonkeyPatch, many: int, threads: int
) -> None:
    """Two threads that wait for each other after every small product took seven times as long on a busy machine."""
    monkeypatch.setattr(threads_module, "MANY", many)
    seen: dict[str, set[int]] = {}

    def watched(module: object, name: str) -> None:
        usual = getattr(module, name)

        def call(*arguments: object, **named: object) -> object:
            pools = {int(pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas"}
            torch_s = {torch.get_num_threads()} if name == "gelu" else set()
            seen[name] = seen.get(name, set()) | pools | torch_s
            return usual(*arguments, **named)

        monkeypatch.setattr(module, name, call)

    watched(LogisticRegression, "fit")
    watched(torch.nn.functional, "gelu")
    rows, places = made(150, 3, 0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpool_limits(2, "blas"):
            for targets in (places, np.eye(3, dtype=np.int64)[places]):
                Frozen.fit(replace(rows, words=rows.vectors), targets, 3)
            watched_threads = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    assert watched_threads == 2  # as before
    assert seen == {"fit": {threads}, "gelu": {threads}}
