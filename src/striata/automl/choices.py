"""Settings from what is known before training: rows, labels, lengths of the texts, speed and time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_VALIDATION, MOST_VALIDATION = 100, 5000
TEST_FROM = 4000  # rows from which on a part can be spared for the last word
REFIT_BELOW = 20_000  # rows below which baselines are fitted once more with the validation rows
BATCH = 16
EPOCHS = 6  # passes over the training rows after which more steps rarely help a small encoder
LEAST_STEPS = 30  # below this an adapter has learned next to nothing
ENOUGH_STEPS = 600  # from here on a second member is worth more than more steps
RACING_STEPS = 200  # of a member, from which on a race of learning rates tells
UNTIL = 0.125  # share of its steps after which a race is over
TRAINING = 3.0  # a token's training costs about so many times its forward pass


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

    A seventh of the rows validates, a fifth of very few, and no more than can be predicted in a small part of the time; a tenth
    is kept for the last word where there are at least 4,000 rows and the caller has no test rows.

    Args:
        rows: of the training file.
        labels: how many.
        test_given: whether there are test rows of the caller's own.
        minutes: time in all.
    """
    most = min(MOST_VALIDATION, max(LEAST_VALIDATION, round(600 * minutes)))
    least = max(labels, min(LEAST_VALIDATION, rows // 5))
    validation = min(max(round(rows / 7), least), most)
    test = 0 if test_given or rows < TEST_FROM else min(round(rows / 10), most)
    return HeldOut(validation=validation, test=test)


def choose_length(lengths: npt.NDArray[np.int64], *, limit: int, minutes: float) -> int:
    """Most tokens of a text: the 95th percentile of the lengths, rounded up to a multiple of 8, and no more than the time allows.

    Args:
        lengths: tokens of each text, special tokens included.
        limit: the most the encoder takes.
        minutes: time in all.
    """
    length = math.ceil(float(np.quantile(lengths, 0.95)) / 8) * 8
    return int(min(max(16, length), limit, 128 if minutes < 10 else 256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How much is trained.

    Args:
        members: trained side by side to their end.
        steps: of each.
        rates: learning rates as multiples of the usual one; more than one of them race.
        dropout: whether the frozen encoder drops as its configuration says; not while no row comes twice.
    """

    members: int
    steps: int
    rates: tuple[float, ...]
    dropout: bool


RATES = (1 / 3, 1.0, 3.0)


def plan_training(rows: int, *, seconds: float, seconds_a_row: float, most_members: int = 4) -> Training | None:
    """Members and steps that fit into a time.

    One member gets all the time until its steps are enough; then the time is shared by more members, which an ensemble can use.
    With steps enough for it, learning rates race first.

    Args:
        rows: training rows.
        seconds: for the steps of all members together.
        seconds_a_row: of one row in one step of one member.
        most_members: the most.

    Returns:
        None where the time does not suffice for steps that teach anything.
    """
    total = int(seconds / (seconds_a_row * BATCH))
    useful = max(LEAST_STEPS, math.ceil(EPOCHS * rows / BATCH))
    if total < LEAST_STEPS:
        return None
    enough = min(useful, ENOUGH_STEPS)
    members = max(1, min(most_members, total // enough))
    steps = min(useful, total // members)
    raced = min(useful, int(total / (members * _share_of_race(members))))
    if members > 1 and raced >= RACING_STEPS:
        return Training(members=members, steps=raced, rates=RATES, dropout=raced * BATCH > rows)
    return Training(members=members, steps=steps, rates=(1.0,), dropout=steps * BATCH > rows)


def _share_of_race(members: int) -> float:
    """Steps of a race and of what it leaves, for each member and each step of it; three quarters leave in two halvings."""
    candidates = members * len(RATES)
    halved = max(members, math.ceil(candidates / 2))
    return ((candidates + halved) * UNTIL / 2 + members * (1 - UNTIL)) / members


def adapter_rate(hidden: int) -> float:
    """AdamW's learning rate for adapters: 3e-3 suits encoders as small as MiniLM, larger ones take less.

    Args:
        hidden: the encoder's hidden size.
    """
    return 3e-3 if hidden <= 384 else 1e-3 if hidden <= 768 else 5e-4
