"""How long a study takes, foreseen."""

from __future__ import annotations

import pytest

from striata.cli.check import seconds_a_token
from striata.cli.hours import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (40, "40 seconds"),
        (119, "120 seconds"),
        (120, "2 minutes"),
        (3599, "60 minutes"),
        (12_600, "3.5 hours"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_larger_encoder_takes_longer() -> None:
    assert seconds_a_token("roberta-large") > seconds_a_token("roberta-base") > 0
