"""Runs side by side: rows by number, labels by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striata.errors import RunError
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
