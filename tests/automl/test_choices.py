"""What is decided from rows, labels, lengths and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from striata.automl.choices import (
    BATCH,
    LEAST_STEPS,
    RACING_STEPS,
    RATES,
    UNTIL,
    choose_length,
    hold_out,
    plan_training,
)
from striata.automl.clock import Clock
from striata.automl.fitting import Request, study_text
from striata.automl.layouts import choose_layouts
from striata.automl.overview import Overview
from striata.choices import BASELINES
from striata.data.columns import SourceColumns
from striata.layout import make_plan
from striata.settings import load_study
from striata.settings.file import RaceSettings
from striata.study.race import Race

from ..engine.models import make_encoder


@given(rows=st.integers(60, 10_000_000), labels=st.integers(2, 20), minutes=st.floats(0.1, 1000), test=st.booleans())
def test_rows_held_out_leave_most_rows_to_train_on(rows: int, labels: int, minutes: float, test: bool) -> None:
    held = hold_out(rows, labels, test_given=test, minutes=minutes)
    assert held.validation >= labels
    assert held.validation + held.test <= rows / 2
    assert not (test and held.test)


def test_a_length_holds_nearly_all_texts_and_keeps_to_the_encoder_and_the_time() -> None:
    lengths = np.arange(1, 101)
    assert choose_length(lengths, limit=512, minutes=20) == 96
    assert choose_length(lengths, limit=64, minutes=20) == 64
    assert choose_length(lengths * 10, limit=512, minutes=20) == 256
    assert choose_length(lengths * 10, limit=512, minutes=1) == 128
    assert choose_length(np.full(9, 3), limit=512, minutes=1) == 16


@given(rows=st.integers(20, 1_000_000), seconds=st.floats(0, 1e5), speed=st.floats(1e-4, 1))
def test_training_fits_into_its_time(rows: int, seconds: float, speed: float) -> None:
    training = plan_training(rows, seconds=seconds, seconds_a_row=speed)
    if training is None:
        assert seconds < speed * BATCH * (LEAST_STEPS + 1)
    else:
        assert steps_of(training.members, training.steps, len(training.rates)) * BATCH * speed <= seconds * 1.01
        assert training.steps >= LEAST_STEPS
        assert training.dropout == (training.steps * BATCH > rows)


def steps_of(members: int, steps: int, rates: int) -> float:
    """All steps of a race and of the members it leaves, counted rung by rung."""
    if rates == 1:
        return members * steps
    settings = RaceSettings(learning_rates=tuple(range(1, rates + 1)), survivors=members, until=UNTIL)
    racing, before, total = members * rates, 0, 0
    for rung in Race(settings, [str(at) for at in range(racing)]).rungs(steps):
        total += racing * (rung - before)
        racing, before = max(members, -(-racing // 2)), rung
    return total + racing * (steps - before)


def test_more_time_first_makes_more_steps_and_then_more_members() -> None:
    plans = [plan_training(50_000, seconds=seconds, seconds_a_row=0.01) for seconds in (50, 90, 200, 1000)]
    assert [(plan.members, plan.steps) for plan in plans if plan is not None] == [(1, 312), (1, 562), (2, 540), (4, 1351)]
    assert [len(plan.rates) for plan in plans if plan is not None] == [1, 1, len(RATES), len(RATES)]
    assert all(plan.steps >= RACING_STEPS for plan in plans[2:] if plan is not None)


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


def test_little_time_embeds_few_rows_and_the_study_says_so() -> None:
    overview = Overview(
        source="x.csv", columns=SourceColumns(text="text", text_pair=None, label="label"), others=(), rows=50_000,
        labels=("a", "b"), rarest=9, base="roberta-base", lengths=np.full(100, 50), limit=256,
    )  # fmt: skip
    texts = [study_text(Request(source="x.csv", output="out", minutes=m), overview, seconds_a_token=2e-4) for m in (1, 100)]
    few, all_of_them = (load_study(yaml.safe_load(text)).baselines for text in texts)
    assert few.kinds == tuple(BASELINES)
    assert few.embedded_rows == int(60 / 3 / (50 * 2e-4))
    assert all_of_them.embedded_rows is None
