"""Perturbations: functions of text, row and seed; never empty; stronger means more."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striata.errors import DataError
from striata.robustness.perturbations import PERTURBATIONS, STRENGTHS, perturb

TEXT = (
    "Stocks rose on Monday. \"It's a deal,\" the bank's chief said in New York; nobody was surprised! Oil fell by 3 % to $42.10. "
    "Will prices follow? Analysts at Smith & Sons doubt it. The euro didn't move."
)
NAMES = st.sampled_from(sorted(PERTURBATIONS))
TEXTS = st.text(min_size=1).filter(str.strip)


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, name=NAMES, strength=st.sampled_from(STRENGTHS), row=st.integers(0, 10**9), seed=st.integers(0, 99))
def test_the_same_call_gives_the_same_text_which_is_never_empty(text: str, name: str, strength: int, row: int, seed: int) -> None:
    first = perturb(text, name, strength, row=row, seed=seed)
    perturb("something else", name, strength, row=row + 1, seed=seed)
    assert perturb(text, name, strength, row=row, seed=seed) == first
    assert first.strip()


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_rows_and_seeds_differ_and_strengths_grow(name: str) -> None:
    if name != "cut":
        assert len({perturb(TEXT, name, 1, row=row) for row in range(20)}) > 1
        assert len({perturb(TEXT, name, 1, row=0, seed=seed) for seed in range(20)}) > 1
    changes = [
        np.mean(
            [1 - SequenceMatcher(None, TEXT, perturb(TEXT, name, strength, row=row), autojunk=False).ratio() for row in range(40)]
        )
        for strength in STRENGTHS
    ]
    assert 0 < changes[0] < changes[1] < changes[2]


WORDS = st.lists(st.text("abcdefgXYZ", min_size=1, max_size=6), min_size=1, max_size=30)


@settings(max_examples=150, deadline=None)
@given(words=WORDS, row=st.integers(0, 1000))
def test_each_does_what_its_name_says(words: list[str], row: int) -> None:
    text = " ".join(words)
    for strength in STRENGTHS:
        for name in ("lower_case", "upper_case"):
            assert perturb(text, name, strength, row=row).casefold() == text.casefold()
        assert sorted(perturb(text, "swapped_words", strength, row=row).split()) == sorted(words)
        assert text.startswith(perturb(text, "cut", strength, row=row))
        assert perturb(text, "punctuation", strength, row=row) == text  # there is none
        assert perturb(text, "shuffled_sentences", strength, row=row) == text  # there is one
        assert re.sub("&lt;/?b&gt;", "", perturb(text, "html", strength, row=row)) == text
    kept = [perturb(text, "dropped_words", strength, row=row).split() for strength in STRENGTHS]
    for weak, strong in zip([words, *kept], kept, strict=False):
        left = iter(weak)
        assert len(strong) == 1 or all(word in left for word in strong)  # in order, and nested
    assert perturb(text, "upper_case", 3, row=row) == text.upper()
    assert len(perturb(text, "cut", 3, row=row).split()) == max(1, round(len(words) * 0.25))


def test_remains_of_html_and_punctuation_as_in_scraped_news() -> None:
    found = perturb('Japan\'s "deal" with Smith & Sons', "html", 3, row=0)
    assert "Japan #39;s" in found
    assert " quot;deal quot;" in found
    assert "Smith  amp; Sons" in found
    assert not re.search(r"[^\w\s]", perturb(TEXT, "punctuation", 3, row=0))
    assert perturb("...!", "punctuation", 3, row=0) == "...!"  # nothing would be left
    moved = perturb(TEXT, "shuffled_sentences", 3, row=0)
    assert sorted(re.split(r"(?<=[.!?])\s+", moved)) == sorted(re.split(r"(?<=[.!?])\s+", TEXT))
    assert moved != TEXT


def test_as_many_letters_are_mistyped_as_the_amount_says() -> None:
    letters = "k" * 1000
    for strength, amount in zip(STRENGTHS, PERTURBATIONS["typos"].amounts, strict=True):
        changed = sum(letter not in "k" for row in range(50) for letter in perturb(letters, "typos", strength, row=row))
        # In a row of one letter nothing but slips to a neighbouring key is seen: half of the errors, as a transposition of equal
        # letters becomes one.
        expected, spread = 50_000 * amount / 2, (50_000 * amount / 2) ** 0.5
        assert abs(changed - expected) < 5 * spread


def test_unknown_names_and_strengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"unknown perturbation 'typo' \(did you mean 'typos'\?\)"):
        perturb("a", "typo", 1, row=0)
    with pytest.raises(DataError, match="strength 4 of perturbation 'cut'; expected 1, 2 or 3"):
        perturb("a", "cut", 4, row=0)
