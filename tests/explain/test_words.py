"""Texts as words, and where the terms of a vectorizer lie."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from striata.baselines.words import CHARACTERS, PARTS, WORDS, Analysis
from striata.explain.terms import occurrences
from striata.explain.words import Weights, Words

TEXTS = st.text(alphabet="aAbé ß\tİΣσ'’-.,!नमस्ते中文ไทย\n1_", max_size=40)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Stocks fell, sharply.", ["Stocks", "fell", ",", "sharply", "."]),
        ("don't  stop\n'now'", ["don't", "stop", "'", "now", "'"]),
        ("well-known 3.5%", ["well", "-", "known", "3", ".", "5", "%"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("我爱 AI", ["我", "爱", "AI"]),
        ("AI我", ["AI", "我"]),
        ("ที่", ["ที่"]),
        ("👩‍💻 ok", ["👩", "💻", "ok"]),
        ("  ", []),
    ],
)
def test_a_text_as_words(text: str, words: list[str]) -> None:
    assert [word.text for word in Words(text, None).list] == words


@given(TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_words_hold_every_letter_once_and_in_order(text: str, pair: str) -> None:
    words = Words(text, pair)
    for part, whole in enumerate((text, pair)):
        own = [word for word in words.list if word.part == part]
        inside = [at for word in own for at in range(word.start, word.end)]
        assert inside == sorted(set(inside))
        assert all(whole[word.start : word.end] == word.text for word in own)
        assert set(inside) >= {at for at, character in enumerate(whole) if character.isalnum() or character in "'-.,!"}
    for at, word in enumerate(words.list):
        left = words.without(at)[word.part]
        assert left is not None
        assert len(left) == len((text, pair)[word.part]) - len(word.text)


def test_a_weight_is_dealt_to_the_words_that_a_stretch_touches() -> None:
    weights = Weights(Words("one, two", "three"))
    weights.add((0, 0, 4), 1.0)  # "one,"
    weights.add((1, 0, 2), 0.25)
    weights.add(None, 3.0)
    weights.add((0, 4, 5), 2.0)  # a space
    assert [(one.word, one.weight, one.read, one.part) for one in weights.result()] == [
        ("one", 0.5, True, 0), (",", 0.5, True, 0), ("two", 0.0, False, 0), ("three", 0.25, True, 1),
    ]  # fmt: skip
    assert weights.rest == 5.0


@pytest.mark.parametrize("analysis", [WORDS, PARTS, CHARACTERS], ids=lambda analysis: analysis.name)
@given(text=TEXTS)
@settings(max_examples=150, deadline=None)
def test_the_places_of_terms_are_as_many_as_scikit_learn_counts(analysis: Analysis, text: str) -> None:
    words = CountVectorizer(analyzer=analysis.analyzer, ngram_range=analysis.ngrams).build_analyzer()
    expected = Counter(words(text))
    if analysis.fragment is not None:
        parts = CountVectorizer(analyzer="char_wb", ngram_range=(analysis.fragment, analysis.fragment)).build_analyzer()
        expected += Counter("#" + part for part in parts(text))
    places = occurrences(analysis, text)
    assert {term: len(spans) for term, spans in places.items()} == dict(expected)
    assert all(0 <= start < end <= len(text) for spans in places.values() for start, end in spans)


def test_a_term_lies_where_it_stands() -> None:
    text = "Big  Red dog, red cat"
    places = occurrences(WORDS, text)
    assert [text[start:end] for start, end in places["red"]] == ["Red", "red"]
    assert [text[start:end] for start, end in places["big red"]] == ["Big  Red"]
    assert np.diff(places["dog red"]).item() == len("dog, red")
