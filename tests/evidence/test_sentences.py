"""Figures in words."""

from __future__ import annotations

import pytest

from striata.evidence.sentences import speed


@pytest.mark.parametrize(
    ("texts_per_second", "words"),
    [(None, "-"), (0.4, "0"), (61.4, "61"), (1234.0, "1,200"), (99_400.0, "99,000"), (18e6, "over 100,000")],
)
def test_a_speed_has_two_digits_and_no_more_than_the_clock_can_tell(texts_per_second: float | None, words: str) -> None:
    assert speed(texts_per_second) == words
