"""Settings from what is known before training: rows, labels, lengths of the texts, speed and time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_VALIDATION, MOST_VALIDATION, MOST_TEST = 100, 3000, 2000
TEST_FROM = 4000  # rows from which on a part can be spared for the last word
SHORTER = (128, 64)  # tokens, where the time does not suffice for adapters, or for embedding all rows, on more
LEAST_EMBEDDED = 100  # rows, below which frozen embeddings of some of the rows teach nothing
REFIT_BELOW = 20_000  # rows below which baselines are fitted once more with the validation rows


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """How many rows are held out of the training file.

    Args:
        validation: rows for selection and calibration.
        test: rows for the last word; 0 for none.
    """

    validation: int
    test: int


def hold_out(rows: int, labels: int, *, test_given: bool, minutes: float) -> HeldOut:
    """Rows for validation and test.

    A seventh of the rows validates, a fifth of very few, and no more than can be predicted in a small part of the time, but a row
    of every label; a tenth is kept for the last word where there are at least 4,000 rows and the caller has no test rows, unless
    that is too few for all labels.

    Args:
        rows: of the training file.
        labels: how many.
        test_given: whether there are test rows of the caller's own.
        minutes: time in all.
    """
    most = min(MOST_VALIDATION, max(LEAST_VALIDATION, round(600 * minutes)))
    least = min(LEAST_VALIDATION, rows // 5)
    validation = max(labels, min(max(round(rows / 7), least), most))
    test = 0 if test_given or rows < TEST_FROM else min(round(rows / 10), most, MOST_TEST)
    if test < labels or rows - test < validation + labels:
        test = 0
    return HeldOut(validation=validation, test=test)


def choose_lengths(lengths: npt.NDArray[np.int64], *, limit: int, minutes: float) -> tuple[int, ...]:
    """Most tokens of a text, the longest first: the 95th percentile of the lengths, rounded up to a multiple of 8 and no more
    than the time allows, then shorter ones, for the first tokens of a long text say most of it.

    Args:
        lengths: tokens of each text, special tokens included.
        limit: the most the encoder takes.
        minutes: time in all.
    """
    length = math.ceil(float(np.quantile(lengths, 0.95)) / 8) * 8
    longest = int(min(max(16, length), limit, 128 if minutes < 10 else 256))
    return (longest, *(shorter for shorter in SHORTER if shorter < longest))
