"""Splits, label order, the audit, tokens."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from striata.data import Columns, Encoded, Tokenizer, audit_data, load_splits, stratified_parts
from striata.data.splits import PartSource
from striata.errors import DataError, EncoderError


def write(path: Path, rows: list[tuple[str, str]]) -> str:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return str(path)


def numbered(count: int, labels: str = "abc") -> list[tuple[str, str]]:
    return [(f"text {i}", labels[i % len(labels)]) for i in range(count)]


@pytest.mark.parametrize("part", [30, 0.25])
def test_rows_are_held_out_in_proportion_and_by_seed(tmp_path: Path, part: PartSource) -> None:
    source = write(tmp_path / "x.csv", numbered(120))
    splits = load_splits(source, part, 12, seed=3)
    again = load_splits(source, part, 12, seed=3)
    other = load_splits(source, part, 12, seed=4)
    assert splits.test is not None
    ids = [set(table.ids.tolist()) for table in splits.tables().values()]
    assert sum(map(len, ids)) == 120 == len(set.union(*ids))
    assert max(Counter(splits.validation.labels).values()) - min(Counter(splits.validation.labels).values()) <= 1
    assert splits.validation.ids.tolist() == again.validation.ids.tolist() != other.validation.ids.tolist()
    assert splits.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize("part", [2, 0.05, 0.5, 0.9, 1900, 1997])
def test_a_rare_label_is_on_both_sides(tmp_path: Path, part: PartSource) -> None:
    source = write(tmp_path / "x.csv", [(f"text {i}", "rare" if i % 500 == 3 else "common") for i in range(2000)])
    splits = load_splits(source, part, None)
    count = round(part * 2000) if isinstance(part, float) else part
    assert len(splits.validation) == count
    assert sorted([*splits.train.ids.tolist(), *splits.validation.ids.tolist()]) == list(range(2000))
    assert set(splits.train.labels or ()) == set(splits.validation.labels or ()) == {"rare", "common"}


@given(st.lists(st.integers(0, 5), min_size=4, max_size=60), st.data())
@settings(max_examples=100, deadline=None)
def test_every_label_is_on_both_sides_where_there_is_room(labels: list[int], data: st.DataObject) -> None:
    values, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        return
    rows = data.draw(st.integers(len(values), max(len(values), len(labels) - len(values))))
    part, rest = stratified_parts(np.array(labels), rows, 0)
    assert sorted([*part, *rest]) == list(range(len(labels)))
    assert len(part) == rows
    if len(rest) >= len(values):
        assert set(np.array(labels)[part]) == set(np.array(labels)[rest]) == set(values.tolist())


@given(st.integers(4, 60), st.integers(1, 60), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_holding_out_takes_as_many_as_asked_or_says_why_not(
    tmp_path_factory: pytest.TempPathFactory, rows: int, count: int, seed: int
) -> None:
    source = write(tmp_path_factory.getbasetemp() / "held.csv", [*numbered(rows, "ab"), ("alone", "z")])
    try:
        splits = load_splits(source, count, None, seed=seed)
    except DataError as error:
        assert count < 2 or rows - count < 2
        assert "cannot hold out" in str(error)
    else:
        assert (len(splits.validation), len(splits.train)) == (count, rows + 1 - count)
        assert "alone" in splits.train.texts


def test_the_order_of_labels(tmp_path: Path) -> None:
    numbers = load_splits(write(tmp_path / "n.csv", numbered(30, ["10", "9", "2"])), 6, None)  # type: ignore[arg-type]
    assert numbers.labels == ("2", "9", "10")
    words = load_splits(write(tmp_path / "w.csv", numbered(30, ["b", "a", "10"])), 6, None)  # type: ignore[arg-type]
    assert words.labels == ("10", "a", "b")


def test_wrong_labels_are_named(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", numbered(30, ["sports", "world"]))  # type: ignore[arg-type]
    held = write(tmp_path / "held.csv", [("x", "world"), ("y", "sport")])
    with pytest.raises(DataError, match=r"held\.csv: row 1 .* has label 'sport' \(did you mean 'sports'\?\), which the training"):
        load_splits(train, held, None)
    with pytest.raises(DataError, match=r"has only one label \('a'\)"):
        load_splits(write(tmp_path / "one.csv", numbered(5, "a")), 2, None)
    with pytest.raises(DataError, match=r"cannot hold out 29 of 30 rows .* change data\.validation"):
        load_splits(train, 29, None)


def make_tokenizer(folder: Path) -> Path:
    words = {word: at for at, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "b", "c", "d"])}
    raw = RawTokenizer(models.WordLevel(words, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", model_max_length=12
    )
    wrapped.save_pretrained(folder)
    return folder


def test_tokens_are_those_of_transformers(tmp_path: Path) -> None:
    folder = make_tokenizer(tmp_path / "tokenizer")
    ours = Tokenizer.load(str(folder), 6)
    theirs = PreTrainedTokenizerFast.from_pretrained(folder)
    texts = ["a", "a b c d a b c", "d d", "unknown words here"]
    expected = theirs(texts, truncation=True, max_length=6)["input_ids"]
    found = ours.encode(texts)
    assert [found.ids[a:b].tolist() for a, b in zip(found.starts, found.starts[1:], strict=False)] == expected
    assert found.truncated.tolist() == [False, True, False, False]
    pairs = ours.encode(["a b", "a b c"], ["c", "c d d"])
    expected_pairs = theirs(["a b", "a b c"], ["c", "c d d"], truncation=True, max_length=6)
    assert pairs.ids.tolist() == [i for ids in expected_pairs["input_ids"] for i in ids]
    assert pairs.types is None or pairs.types.tolist() == [i for types in expected_pairs["token_type_ids"] for i in types]


def test_whole_lengths_are_those_of_texts_that_are_not_cut(tmp_path: Path) -> None:
    folder = make_tokenizer(tmp_path / "tokenizer")
    ours = Tokenizer.load(str(folder), 6)
    theirs = PreTrainedTokenizerFast.from_pretrained(folder)
    texts, pairs = ["a", "a b c d a b c", "d " * 5000, "a b c"], ["b c d a", "a", "b", "c " * 3000]
    for second in (None, pairs):
        before = ours.encode(texts, second)
        whole = theirs(texts, second)["input_ids"]
        assert ours.whole_lengths(before, texts, second).tolist() == [len(ids) for ids in whole]
        after = ours.encode(texts, second)
        assert after.lengths.max() == 6
        assert after.ids.tolist() == before.ids.tolist()


def test_a_vocabulary_without_its_unknown_word(tmp_path: Path) -> None:
    folder = make_tokenizer(tmp_path / "tokenizer")
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["unk_token"] = "[GONE]"
    file.write_text(json.dumps(content))
    tokenizer = Tokenizer.load(str(folder), 6)
    assert len(tokenizer.encode(["a b"])) == 1
    with pytest.raises(EncoderError, match=r"the tokenizer of .* fails at a text \(.*\); copy the model's tokenizer files again"):
        tokenizer.encode(["a unheard-of b"])


def test_lengths_that_do_not_work(tmp_path: Path) -> None:
    folder = make_tokenizer(tmp_path / "tokenizer")
    with pytest.raises(DataError, match="max_length 13 is more than the 12 tokens"):
        Tokenizer.load(str(folder), 13)
    with pytest.raises(DataError, match="max_length 2 leaves no room for a text"):
        Tokenizer.load(str(folder), 2)
    with pytest.raises(EncoderError, match="has no tokenizer"):
        Tokenizer.load(str(tmp_path), 8)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"max_position_embeddings": 5}, DataError, "max_length 6 is more than the 5 positions of .*; lower data.max_length"),
        ({"model_type": "roberta", "max_position_embeddings": 6}, DataError, "max_length 6 is more than the 4 positions of"),
        ({"model_type": "roberta", "pad_token_id": None}, EncoderError, "has pad_token_id None; expected a whole number from 0"),
        ({"vocab_size": 7}, EncoderError, r"has token numbers up to 7, the encoder embeddings of 7 tokens, numbered from 0"),
        ({}, None, ""),
        ({"model_type": "roberta", "max_position_embeddings": 7, "pad_token_id": 0, "vocab_size": 8}, None, ""),
    ],
)
def test_what_the_tokenizer_delivers_is_compared_with_what_the_encoder_takes(
    tmp_path: Path, config: dict[str, object], error: type[Exception] | None, message: str
) -> None:
    folder = make_tokenizer(tmp_path / "tokenizer")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "bert", "max_position_embeddings": 64, "vocab_size": 99, **config})
    )
    if error is None:
        assert len(Tokenizer.load(str(folder), 6).encode(["a b c"])) == 1
    else:
        with pytest.raises(error, match=message):
            Tokenizer.load(str(folder), 6)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_taking_and_joining_texts(lengths: list[int], data: st.DataObject) -> None:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    whole = Encoded(ids=np.arange(starts[-1], dtype=np.int32), starts=starts, types=None, truncated=np.zeros(len(lengths), bool))
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8))
    part = whole.take(rows)
    assert part.ids.tolist() == [token for row in rows for token in range(starts[row], starts[row + 1])]
    both = Encoded.join([part, whole])
    assert both.ids.tolist() == [*part.ids.tolist(), *whole.ids.tolist()]
    assert len(both) == len(rows) + len(lengths)


def test_the_audit_counts(tmp_path: Path) -> None:
    train = [("a", "x"), ("a", "x"), ("b", "x"), ("b", "y"), ("c c c c c c", "y"), ("d", "y")]
    splits = load_splits(
        write(tmp_path / "t.csv", train), write(tmp_path / "v.csv", [("a", "x"), ("d", "x"), ("new", "y")]), None
    )
    tokenizer = Tokenizer.load(str(make_tokenizer(tmp_path / "tokenizer")), 6)
    lengths = {
        name: tokenizer.whole_lengths(tokenizer.encode(table.texts), table.texts) for name, table in splits.tables().items()
    }
    audit = audit_data(splits, lengths, 6)
    part = audit.parts["train"]
    assert (part.rows, part.labels, part.duplicates, part.conflicting, part.truncated) == (6, {"x": 3, "y": 3}, 2, 1, 1)
    assert (part.tokens["longest"], part.tokens["median"]) == (8, 3)  # two special tokens in each, and of the whole texts
    assert audit.shared == {"train and validation": 2}
    assert any("train and validation share 2 texts" in line for line in audit.lines())


def test_nearly_equal_labels_are_pointed_out(tmp_path: Path) -> None:
    rows = [(f"text {i}", label) for i, label in enumerate(["pos", "Pos", " pos", "neg", "1", "1.0"] * 4)]
    splits = load_splits(write(tmp_path / "x.csv", rows), 6, None)
    lengths = {name: np.ones(len(table), np.int64) for name, table in splits.tables().items()}
    audit = audit_data(splits, lengths, None)
    assert [set(labels) for labels in audit.near_labels] == [{" pos", "Pos", "pos"}, {"1", "1.0"}]
    assert "labels that are nearly equal: '1', '1.0'; they count as different labels" in audit.lines()


def test_a_declared_label_without_rows_is_a_note(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "never", "b"])})
    data = Dataset.from_dict({"text": [f"text {i}" for i in range(8)], "label": [0, 2] * 4}, features=features)
    data.to_parquet(tmp_path / "x.parquet")
    splits = load_splits(str(tmp_path / "x.parquet"), 2, None)
    assert splits.labels == ("a", "b")
    audit = audit_data(splits, {name: np.ones(len(table), np.int64) for name, table in splits.tables().items()}, None)
    assert "  declared labels that no row has, left out: never" in audit.lines()
    assert audit.lines().count("  text from column 'text', label from 'label'") == 1  # of both parts, which lie in one file


def test_columns_of_values_and_dropped_rows_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        "id;text;label\n" + "".join(f"{i};{f'text {i}' if i % 4 else ''};{'ab'[i % 2]}\n" for i in range(16))
    )
    splits = load_splits(str(tmp_path / "x.csv"), 4, None, columns=Columns(drop_empty=True))
    audit = audit_data(splits, {name: np.ones(len(table), np.int64) for name, table in splits.tables().items()}, None)
    assert "  text from column 'text', label from 'label'; left alone: id, separated by semicolons" in audit.lines()
    assert "  4 rows without a text or a label left out" in audit.lines()
