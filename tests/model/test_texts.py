"""Whatever holds texts is answered as the list of them is, or refused in one line with its type."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from datasets import Dataset, IterableDataset

from striata.data import Columns
from striata.ensemble import Combiner
from striata.errors import DataError
from striata.model import model as models
from striata.model.model import Model
from striata.tasks import SINGLE_LABEL

LABELS = ("Business", "Sports", "World")
TEXTS = ["Köln 🏆 2", "a, b 0", "c 1", "d 2"]
SECONDS = ["1", "0", "2", "0"]
ANSWERS = ["World", "Business", "Sports", "World"]


class Reading:
    """Reads the place of a text's label in its last word, moved on by that of the second text."""

    labels: Mapping[str, tuple[str, ...]] = {"run": LABELS}

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, np.ndarray]:
        assert type(texts) is list
        assert pairs is None or type(pairs) is list
        moved = [0] * len(texts) if pairs is None else [int(pair) for pair in pairs]
        places = [(int(text.split()[-1]) + move) % 3 for text, move in zip(texts, moved, strict=True)]
        return {"run": 5 * np.eye(3, dtype=np.float32)[places].reshape(-1, 3)}


def model_of(monkeypatch: pytest.MonkeyPatch, columns: Columns = Columns()) -> Model:  # noqa: B008 - it is frozen
    monkeypatch.setattr(models, "scorers_for", lambda runs, **_: [Reading()])
    run: Any = SimpleNamespace(
        task=SINGLE_LABEL, labels=LABELS, columns=columns,
        calibration=lambda: SimpleNamespace(
            shown="temperature 1.000", scaled=lambda logits: logits, decide=lambda logits, task: task.decide(logits)
        ),
        facts=SimpleNamespace(recipe={}),
        validation=lambda: SimpleNamespace(texts=np.zeros(1, np.uint64)),
    )  # fmt: skip
    return Model(Path("run"), {"run": run}, Combiner(kind="logits", weights={"run": 1.0}), run, device="cpu", precision="fp32")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    return model_of(monkeypatch)


ALONE: dict[str, Callable[[list[str]], object]] = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "generator": lambda texts: (text for text in texts),
    "iterator": iter,
    "array": np.array,
    "array of objects": lambda texts: np.array(texts, object),
    "pandas series": lambda texts: pd.Series(texts, index=range(9, 9 - len(texts), -1)),
    "pandas series of objects": lambda texts: pd.Series(texts, dtype=object),
    "pandas categories": lambda texts: pd.Series(texts, dtype="category"),
    "pandas index": pd.Index,
    "polars series": pl.Series,
    "arrow array": pa.array,
    "chunked array": lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
    "column of a data set": lambda texts: Dataset.from_dict({"text": texts})["text"],
}
TABLES: dict[str, Callable[[dict[str, list[Any]]], object]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "data set": Dataset.from_dict,
    "arrow": pa.table,
    "record batch": pa.RecordBatch.from_pydict,
    "columns": dict,
    "columns of series": lambda columns: {name: pd.Series(values) for name, values in columns.items()},
    "records": lambda columns: pd.DataFrame(columns).to_dict("records"),
    "iterator of records": lambda columns: iter(pd.DataFrame(columns).to_dict("records")),
}


@pytest.mark.parametrize("kind", ALONE)
def test_texts_alone(model: Model, kind: str) -> None:
    make = ALONE[kind]
    assert model.predict(make(TEXTS)) == ANSWERS
    np.testing.assert_array_equal(model.predict_proba(make(TEXTS)), model.predict_proba(TEXTS))
    assert model.predict(make(TEXTS), make(SECONDS)) == ["Business", "Business", "Business", "World"]
    assert model.predict(make(TEXTS[:2])) == ANSWERS[:2]  # two texts are no texts with their labels


@pytest.mark.parametrize("kind", TABLES)
def test_rows_with_columns(monkeypatch: pytest.MonkeyPatch, model: Model, kind: str) -> None:
    make = TABLES[kind]
    assert model.predict(make({"nr": [1, 2, 3, 4], "text": TEXTS})) == ANSWERS
    assert model.predict(make({"text_pair": SECONDS, "text": TEXTS})) == ["Business", "Business", "Business", "World"]
    named = model_of(monkeypatch, Columns(text="body"))
    np.testing.assert_array_equal(named.predict_proba(make({"text": SECONDS, "body": TEXTS})), model.predict_proba(TEXTS))
    labelled = {"text": TEXTS, "label": ["World", "Business", "World", "World"]}
    assert model.predict(make(labelled)) == ANSWERS
    assert model.evaluate(make(labelled)).accuracy == 0.75
    with pytest.raises(DataError, match="no text column among 'nr', 'what'"):
        model.predict(make({"nr": [1], "what": ["a 0"]}))


def test_evaluate_takes_texts_and_labels_and_a_path(model: Model, tmp_path: Path) -> None:
    labels = ["World", "Business", "World", "World"]
    assert model.evaluate((TEXTS, labels)).accuracy == 0.75
    assert model.evaluate((np.array(TEXTS), pd.Series(labels))).accuracy == 0.75
    assert model.predict((TEXTS, labels)) == ANSWERS
    pd.DataFrame({"text": TEXTS, "label": labels}).to_csv(tmp_path / "test.csv", index=False)
    assert model.evaluate(tmp_path / "test.csv").accuracy == model.evaluate(str(tmp_path / "test.csv")).accuracy == 0.75


def test_no_texts_have_no_answers(model: Model) -> None:
    for nothing in ([], (), iter([]), np.array([], str), pd.Series([], dtype=str)):
        assert model.predict(nothing) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one string", "one string was given; expected a list of texts"),
        (Path("new.csv"), "texts are the path new.csv; expected texts; `striata predict` predicts a file"),
        (b"bytes", "texts are a bytes; expected a list, tuple, array or series of texts, a pandas or polars DataFrame"),
        (5, "texts are a int; expected a list"),
        (None, "texts are a NoneType; expected a list"),
        ({"a 0", "b 1"}, "texts are a set; expected a list"),
        (np.array([["a 0"], ["b 1"]]), "texts are a numpy ndarray; expected a list"),
        (pl.LazyFrame({"text": ["a 0"]}), r"texts are a polars LazyFrame; call `collect\(\)` on it first; expected"),
        (IterableDataset.from_generator(lambda: iter([{"text": "a 0"}])), "IterableDataset; it is a stream: make a `Dataset`"),
        ([["a 0"], ["b 1"]], r"text 0 \(counted from 0\) is a list; expected a text"),
        (iter(["a 0", 7]), r"text 1 \(counted from 0\) is a int; expected a text"),
        ({"text": "a 0"}, r"texts \(dict\): column 'text' is a str; expected a list of values"),
    ],
)
def test_what_holds_no_texts_is_refused_in_one_line(model: Model, texts: object, message: str) -> None:
    for ask in (model.predict, model.predict_proba):
        texts = iter(["a 0", 7]) if hasattr(texts, "__next__") else texts
        with pytest.raises(DataError, match=message) as caught:
            ask(texts)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [
    list, tuple, iter, pd.Series, pl.Series, lambda texts: pd.DataFrame({"text": texts}),
    lambda texts: Dataset.from_dict({"text": texts}), lambda texts: np.array(texts, object),
    lambda texts: pd.Series(texts, dtype="string"), lambda texts: pd.Series([np.nan if text is None else text for text in texts]),
])  # fmt: skip
def test_texts_that_are_empty_or_missing_have_no_answer(model: Model, make: Callable[[Any], Any]) -> None:
    texts = ["", TEXTS[0], None, "  ", TEXTS[1]]
    assert model.predict(make(texts)) == [None, ANSWERS[0], None, None, ANSWERS[1]]
    assert model.predict(make(texts), abstain_below=0.0) == [None, ANSWERS[0], None, None, ANSWERS[1]]
    probabilities = model.predict_proba(make(texts))
    assert np.isnan(probabilities[[0, 2, 3]]).all()
    np.testing.assert_array_equal(probabilities[[1, 4]], model.predict_proba(TEXTS[:2]))
    with pytest.raises(DataError, match=r"text 0 \(counted from 0\) is empty|empty text: 3 rows have no text"):
        model.logits(make(texts))


def test_a_pair_without_one_of_its_texts_has_no_answer(model: Model) -> None:
    assert model.predict([TEXTS[0], "", TEXTS[1]], ["0", "1", None]) == [ANSWERS[0], None, None]
    assert model.predict([""]) == [None]
    assert model.predict_proba([None]).shape == (1, 3)


def test_second_texts_have_to_fit(model: Model) -> None:
    with pytest.raises(DataError, match="there are 2 texts and 1 second texts; expected as many of both"):
        model.predict(["a 0", "b 1"], ["1"])
    with pytest.raises(DataError, match="second texts are a int; expected a list of texts"):
        model.predict(["a 0"], 5)
    with pytest.raises(DataError, match="give them as a column, or both as lists"):
        model.predict(pd.DataFrame({"text": ["a 0"]}), ["1"])


@pytest.mark.parametrize("data", [5, None, {"a"}, pd.Series(TEXTS), list(TEXTS), np.array(TEXTS), iter(TEXTS)])
def test_rows_without_labels_are_not_measured(model: Model, data: object) -> None:
    with pytest.raises(DataError, match=f"test rows are a (pandas |numpy )?{type(data).__name__}; expected"):
        model.evaluate(data)
