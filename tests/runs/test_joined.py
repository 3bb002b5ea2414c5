"""Runs side by side: rows by number, labels by name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from striata.data import Table
from striata.errors import RunError
from striata.runs import Run
from striata.runs.joined import join

from ..study.synthetic import LABELS, write_synthetic_run

ROWS = 30


def test_rows_are_joined_by_number_and_labels_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets, ids = rng.integers(0, 3, ROWS), rng.permutation(100)[:ROWS]
    logits = rng.normal(0, 1, (2, ROWS, 3)).astype(np.float32)
    first = write_synthetic_run(tmp_path, "s8", 0, logits[0], targets, ids=ids)
    rows, columns = rng.permutation(ROWS), np.array([2, 0, 1])  # of the second: another order of both
    place = np.argsort(columns)
    second = write_synthetic_run(
        tmp_path, "s8", 1, logits[1][rows][:, columns], place[targets[rows]], ids=ids[rows], names=[LABELS[i] for i in columns]
    )
    pool = join({run.name: run for run in (first, second)})
    order = np.argsort(ids)
    assert pool.labels == LABELS
    np.testing.assert_array_equal(pool.ids, ids[order])
    np.testing.assert_array_equal(pool.targets, targets[order])
    np.testing.assert_array_equal(pool.logits, logits[:, order])
    np.testing.assert_array_equal(pool.right([second.name])[0], (logits[1].argmax(1) == targets)[order])
    as_asked = pool.numbered(ids[:7])
    np.testing.assert_array_equal(as_asked.ids, ids[:7])
    np.testing.assert_array_equal(as_asked.by_name()[second.name], logits[1, :7])
    other = join({run.name: run for run in (second, first)})
    assert other.labels == second.labels
    np.testing.assert_array_equal(other.predicted([first.name]), place[pool.predicted([first.name])])


def test_a_row_that_no_run_saw_is_named(tmp_path: Path) -> None:
    targets = np.arange(ROWS) % 3
    run = write_synthetic_run(tmp_path, "s8", 0, np.eye(3, dtype=np.float32)[targets], targets)
    with pytest.raises(RunError, match=r"run s8-seed0 was not validated on row 30 \(1 such rows\)"):
        join({run.name: run}).numbered(np.array([3, 30]))
    with pytest.raises(RunError, match="no finished run"):
        join({})


def other_study(folder: Path, rng: np.random.Generator) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    """A run over other data: some of the same texts under other numbers, in another order, with labels in another order."""
    texts = np.array([*range(10, 34), 40, 40, 12], np.uint64)  # 12 and 40 twice
    targets = (texts % 3).astype(np.int64)
    logits = rng.normal(0, 1, (len(texts), 3)).astype(np.float32)
    order, columns = rng.permutation(len(texts)), np.array([1, 2, 0])
    write_synthetic_run(
        folder,
        "s8",
        0,
        logits[order][:, columns],
        np.argsort(columns)[targets[order]],
        ids=rng.permutation(1000)[: len(texts)],
        texts=texts[order],
        names=[LABELS[i] for i in columns],
        data_fingerprint="2" * 64,
    )
    return folder / "runs" / "s8-seed0", texts, targets, logits


def test_runs_over_different_data_are_joined_by_their_texts(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    targets = np.arange(ROWS) % 3  # of the texts 0 to 29
    logits = rng.normal(0, 1, (ROWS, 3)).astype(np.float32)
    first = write_synthetic_run(tmp_path / "a", "s8", 0, logits, targets)
    path, texts, _, others = other_study(tmp_path / "b", rng)
    runs = {"a/s8": first, "b/s8": Run.load(path)}
    with pytest.raises(RunError, match="were trained on different data"):
        join(runs)
    pool = join(runs, across=True)
    expected = [text for text in range(ROWS) if (texts == text).sum() == 1]
    assert pool.ids.tolist() == pool.texts.tolist() == expected == [10, 11, *range(13, 30)]
    np.testing.assert_array_equal(pool.targets, targets[expected])
    by_text = {int(text): row for text, row in zip(texts, others, strict=True)}
    np.testing.assert_array_equal(pool.by_name()["a/s8"], logits[expected])
    np.testing.assert_array_equal(pool.by_name()["b/s8"], [by_text[text] for text in expected])
    same = join({"one": first, "two": first}, across=True)  # over the same data by number, texts that occur twice among them
    assert len(same.ids) == ROWS


def test_a_text_with_two_labels_is_named(tmp_path: Path) -> None:
    targets = np.arange(ROWS) % 3
    logits = np.eye(3, dtype=np.float32)[targets]
    runs = {
        str(at): write_synthetic_run(tmp_path / str(at), "s8", 0, logits, truth, data_fingerprint=str(at) * 64)
        for at, truth in enumerate((targets, np.where(np.arange(ROWS) == 7, 0, targets)))
    }
    with pytest.raises(RunError, match=r"different true labels for validation row 7 \('Sports' and 'Business'; 1 such rows\)"):
        join(runs, across=True)


def test_a_texts_hash_is_the_same_in_any_data() -> None:
    texts, pairs = ["a", "b", "ab", "a b"], ["c", "c", "", "c"]
    one = Table(source="x", ids=np.arange(4), texts=texts)
    other = Table(source="y", ids=np.arange(4)[::-1].copy(), texts=texts[::-1], labels=["l"] * 4)
    assert one.text_hashes().tolist() == other.text_hashes()[::-1].tolist()
    with_pairs = Table(source="x", ids=np.arange(4), texts=texts, pairs=pairs).text_hashes()
    split = Table(source="x", ids=np.arange(1), texts=["a"], pairs=["bc"]).text_hashes()
    assert len({*one.text_hashes().tolist(), *with_pairs.tolist(), *split.tolist()}) == 9
    assert one.text_hashes()[0] == int.from_bytes(hashlib.blake2b(b"a", digest_size=8).digest(), "little")
