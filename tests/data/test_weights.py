"""Rows with weights: read, checked, carried, part of what stands for the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striata.data import Columns, Table, load_splits, read_table
from striata.data.read import weighted_rows
from striata.errors import DataError

WEIGHTED = Columns(weight="w")


def rows(count: int = 12) -> dict[str, list[object]]:
    return {
        "text": [f"text {at}" for at in range(count)],
        "label": ["ab"[at % 2] for at in range(count)],
        "w": [at + 0.5 for at in range(count)],
    }


def without_weights(count: int = 12) -> dict[str, list[object]]:
    return {name: values for name, values in rows(count).items() if name != "w"}


def test_weights_are_read_and_stay_with_their_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label,w\n" + "".join(f"text {at},{'ab'[at % 2]},{at + 0.5}\n" for at in range(12)))
    table = read_table(str(file), WEIGHTED)
    assert table.weights is not None
    np.testing.assert_array_equal(table.weights, np.arange(12) + 0.5)
    assert "weight from 'w'" in table.reading
    taken = table.take([3, 1]).weights
    assert taken is not None
    assert taken.tolist() == [3.5, 1.5]
    assert read_table(str(file), Columns()).weights is None
    assert read_table(rows(), WEIGHTED).reference == table.reference != read_table(str(file), Columns()).reference
    splits = load_splits(str(file), 4, None, columns=WEIGHTED)
    for part in (splits.train, splits.validation):
        assert part.weights is not None
        np.testing.assert_array_equal(part.weights, part.ids + 0.5)


def test_weights_belong_to_the_data_and_other_files_need_none(tmp_path: Path) -> None:
    held = tmp_path / "held.csv"
    held.write_text("text,label\nx,a\ny,b\n")
    prints = []
    for scale in (1, 2):
        table = read_table({**rows(), "w": [scale * at + 1 for at in range(12)]}, WEIGHTED)
        splits = load_splits(table, str(held), None, columns=WEIGHTED)
        assert splits.validation.weights is None
        prints.append(splits.fingerprint)
    prints.append(load_splits(read_table(without_weights(), Columns()), str(held), None).fingerprint)
    assert len(set(prints)) == 3


@pytest.mark.parametrize("value", [0, -1.0, None, "", "many", float("inf"), float("nan"), True, [1]])
def test_a_weight_that_is_no_number_above_0_is_refused_by_its_row(value: object) -> None:
    data = rows()
    data["w"][7] = value
    with pytest.raises(DataError, match=r"row 7 \(counted from 0\), column 'w': the weight is .*; expected a number above 0"):
        read_table(data, WEIGHTED)


def test_a_column_that_is_missing_is_refused() -> None:
    with pytest.raises(DataError, match=r"no column 'v' among .*change `data.weight`"):
        read_table(rows(), Columns(weight="v"))


def test_weights_beside_rows_in_memory_are_one_for_each() -> None:
    data = without_weights()
    data["text"][2] = ""
    table = weighted_rows(data, np.arange(12) + 1, Columns(drop_empty=True))["train"]
    assert isinstance(table, Table)
    assert table.weights is not None
    assert table.weights.tolist() == [1, 2, *range(4, 13)]
    with pytest.raises(DataError, match="has 3 values; expected one for each of 12"):
        weighted_rows(data, [1, 2, 3], Columns(drop_empty=True))
    with pytest.raises(DataError, match=r"row 11 .* is 0; expected a number above 0"):
        weighted_rows(data, [1] * 11 + [0], Columns(drop_empty=True))
    with pytest.raises(DataError, match="in column 'w' already"):
        weighted_rows(rows(), np.ones(12), WEIGHTED)
