"""What is decided from rows, labels, lengths and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striata.automl.choices import choose_lengths, hold_out
from striata.automl.clock import Clock
from striata.automl.layouts import choose_layouts
from striata.layout import make_plan

from ..engine.models import make_encoder


@given(rows=st.integers(60, 10_000_000), labels=st.integers(2, 30), minutes=st.floats(0.1, 1000), test=st.booleans())
def test_rows_held_out_leave_most_rows_to_train_on(rows: int, labels: int, minutes: float, test: bool) -> None:
    held = hold_out(rows, labels, test_given=test, minutes=minutes)
    assert held.validation >= labels
    assert held.validation + held.test <= rows / 2
    assert not (test and held.test)


@given(labels=st.integers(2, 5000), rows_a_label=st.floats(2, 1000), minutes=st.floats(0.1, 1000))
def test_every_part_has_room_for_all_labels(labels: int, rows_a_label: float, minutes: float) -> None:
    rows = int(labels * rows_a_label)
    held = hold_out(rows, labels, test_given=False, minutes=minutes)
    assert held.validation >= labels
    assert held.test == 0 or held.test >= labels
    assert rows - held.validation - held.test >= labels


def test_a_length_holds_nearly_all_texts_and_keeps_to_the_encoder_and_the_time() -> None:
    lengths = np.arange(1, 101)
    assert choose_lengths(lengths, limit=512, minutes=20) == (96, 64)
    assert choose_lengths(lengths, limit=64, minutes=20) == (64,)
    assert choose_lengths(lengths * 10, limit=512, minutes=20) == (256, 128, 64)
    assert choose_lengths(lengths * 10, limit=512, minutes=1) == (128, 64)
    assert choose_lengths(np.full(9, 3), limit=512, minutes=1) == (16,)


@pytest.mark.parametrize("budget", [None, 1_000_000, 60_000, 20_000, 3_000])
@pytest.mark.parametrize("family", ["roberta", "modernbert", "albert"])
def test_layouts_are_different_and_within_the_budget_on_every_family(tmp_path: Path, family: str, budget: int | None) -> None:
    base = str(make_encoder(tmp_path, family))
    layouts = choose_layouts(4, base=base, labels=4, budget=budget)
    plans = [make_plan(text, base=base, labels=4, head="mean") for _, text in layouts]
    assert plans
    assert len({plan.hash for plan in plans}) == len(plans)
    for plan in plans:
        assert budget is None or plan.trainable <= budget
        assert all(site.alpha == site.rank for site in plan.sites)


def test_a_budget_without_room_for_rank_one_has_no_layouts(tmp_path: Path) -> None:
    base = str(make_encoder(tmp_path, "roberta"))
    assert choose_layouts(4, base=base, labels=4, budget=140) == ()


@pytest.mark.parametrize("before", [0.0, 12.5])
def test_the_clock_counts_what_earlier_calls_took(before: float) -> None:
    now = iter([100.0, 103.0, 103.0, 200.0])
    clock = Clock(60, before=before, now=lambda: next(now))
    assert clock.spent == 3 + before
    assert clock.left == 57 - before
    assert clock.left == 0
