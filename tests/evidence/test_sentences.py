"""Figures in words."""

from __future__ import annotations

import pytest

from striata.evidence.sentences import sentence, speed


@pytest.mark.parametrize(
    ("texts_per_second", "words"),
    [(None, "-"), (0.4, "0"), (61.4, "61"), (1234.0, "1,200"), (99_400.0, "99,000"), (18e6, "over 100,000")],
)
def test_a_speed_has_two_digits_and_no_more_than_the_clock_can_tell(texts_per_second: float | None, words: str) -> None:
    assert speed(texts_per_second) == words


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("better", "a is better than b by 300 rows and 3 seeds: +1.00 points (+0.50 to +1.50), p "),
        ("worse", "a is worse than b by 300 rows and 3 seeds: +1.00 points (+0.50 to +1.50), p "),
        ("not told apart", "a is not told apart from b by 300 rows and 3 seeds: +1.00 points (+0.50 to +1.50), p "),
    ],
)
def test_a_verdict_in_words(verdict: str, words: str) -> None:
    text = sentence(("a", "b"), verdict, (0.01, 0.005, 0.015), (0.01, 0.02), rows=300, seeds=3, comparisons=2, needed=(900, None))
    assert text.startswith(words)
    assert "0.02 corrected for 2 comparisons" in text
    assert ("would be needed" in text) == (verdict == "not told apart")
