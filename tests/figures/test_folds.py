"""Rows dealt into folds: their definition, checked row by row."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report, confusion_matrix

from striata.figures.folds import deal_folds
from striata.figures.scores import Scores, by_label


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(2, 7), st.integers(0, 3))
def test_folds_are_even_and_spread_every_label(labels: list[int], count: int, seed: int) -> None:
    targets = np.array(labels)
    folds = deal_folds(targets, count, seed)
    folds_used = min(count, len(labels))
    sizes = Counter(folds.tolist())
    assert set(sizes) == set(range(folds_used))
    assert max(sizes.values()) - min(sizes.values()) <= 1
    for label in set(labels):
        inside = Counter(folds[targets == label].tolist())
        assert len(inside) == min(folds_used, int((targets == label).sum()))


@given(st.lists(st.integers(0, 9), min_size=3, max_size=60), st.integers(2, 5))
def test_rows_of_a_group_share_a_fold_and_groups_are_dealt_like_rows(groups: list[int], count: int) -> None:
    numbers = np.array(groups)
    targets = numbers % 3  # a group's rows have one label here
    folds = deal_folds(targets, count, 1, numbers)
    _, first = np.unique(numbers, return_index=True)
    alone = deal_folds(targets[first], count, 1)
    for group, fold in zip(np.unique(numbers), alone, strict=True):
        assert set(folds[numbers == group]) == {fold}


def test_metrics_in_json_have_a_name_for_every_field() -> None:
    truth, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    labels = ("a", "b", "c")
    report = classification_report(truth, predicted, target_names=labels, output_dict=True)
    document = by_label(predicted, truth, labels, Scores(accuracy=4 / 6, loss=0.5, macro_f1=0.6)).to_json()
    assert document == {
        "rows": 6,
        "accuracy": 4 / 6,
        "loss": 0.5,
        "macro_f1": 0.6,
        "per_label": {
            name: {"precision": rows["precision"], "recall": rows["recall"], "f1": rows["f1-score"], "rows": rows["support"]}
            for name, rows in report.items()
            if name in labels
        },
        "confusion": confusion_matrix(truth, predicted).tolist(),
        "labels": labels,
    }
