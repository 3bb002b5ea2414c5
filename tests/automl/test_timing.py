"""What fits into a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from striata.automl.fitting import Request, decide, study_text
from striata.automl.overview import Overview
from striata.automl.timing import (
    BATCH,
    EVALUATED_ROWS,
    EVALUATIONS,
    FEW_STEPS,
    USUAL_SPEED,
    Costs,
    Training,
    embed_more,
    finishing,
    may_train,
    plan_training,
    share_out,
    share_rest,
)
from striata.choices import BASELINES
from striata.data import Columns, Table
from striata.data.columns import SourceColumns
from striata.settings import load_study
from striata.settings.file import RaceSettings
from striata.study.automatic import RACING_STEPS, RATES, UNTIL
from striata.study.race import Race

DEARER = 2.8  # a step's row against a forward pass; the code's own figure


def costs_of(
    rows: int = 50_000, judged: int = 5_000, *, speed: float = 1e-4, refit: bool = False, characters: float = 230.0
) -> Costs:
    return Costs(
        rows=rows,
        validated=judged - judged // 2,
        tested=judged // 2,
        labels=4,
        tokens=50.0,
        characters=characters,
        seconds_a_token=speed,
        refit=refit,
    )


def steps_of(training: Training) -> float:
    """All steps of a race and of the members it leaves, counted step by step."""
    members, steps, rates = training.members, training.steps, len(training.rates)
    settings = RaceSettings(learning_rates=tuple(range(1, rates + 1)), survivors=members, until=UNTIL)
    race = Race(settings, [str(at) for at in range(members * rates)])
    racing, rungs = members * rates, race.rungs(steps)
    total = 0
    for step in range(1, steps + 1):
        total += racing
        if step in rungs:
            racing = max(members, -(-racing // 2))
    assert total == race.total(steps)
    return total


times = st.floats(0, 1e5)


@given(rows=st.integers(20, 1_000_000), judged=st.integers(10, 10_000), seconds=times, speed=st.floats(1e-6, 1e-2))
def test_all_that_is_planned_fits_into_the_time(rows: int, judged: int, seconds: float, speed: float) -> None:
    costs = costs_of(rows, judged, speed=speed)
    shares = share_out(costs, seconds)
    assert 1 <= shares.embedded <= rows
    training, passes, steps = shares.training, 1, 0.0
    if training is not None:
        assert training.steps >= FEW_STEPS
        assert training.dropout == (training.steps * BATCH > rows)
        assert len(training.rates) == 1 or training.steps >= RACING_STEPS
        steps, passes = steps_of(training), 1 + training.members
    evaluated = EVALUATIONS * EVALUATED_ROWS * (passes - 1)
    work = costs.around + costs.row * (shares.embedded + passes * judged + evaluated) + costs.trained_row * BATCH * steps
    assert work <= max(seconds, costs.around + (1 + judged) * costs.row) * 1.01


def test_words_cost_as_much_as_whole_texts_are_long_however_they_are_cut_for_the_encoder() -> None:
    short, long = (costs_of(characters=characters) for characters in (230.0, 2_300.0))
    assert long.row == short.row
    assert long.around > 5 * short.around
    assert share_out(long, 300).embedded < share_out(short, 300).embedded


def test_an_encoder_that_is_faster_than_usual_makes_words_no_faster() -> None:
    fast, usual = (costs_of(characters=100_000.0, speed=speed) for speed in (USUAL_SPEED / 10, USUAL_SPEED))
    assert fast.around > 0.9 * usual.around


def test_a_step_is_no_faster_by_as_much_as_a_forward_pass_is() -> None:
    usual, units, gpu = (costs_of(speed=speed) for speed in (USUAL_SPEED, 5e-5, 1e-6))
    assert usual.trained_row == pytest.approx(DEARER * usual.row)
    assert 16 * units.trained_row == pytest.approx(
        0.24, rel=0.05
    )  # an AG News step of 16 on two cores with AMX took 0.18 to 0.30 s
    assert gpu.trained_row == pytest.approx(5 * DEARER * gpu.row)


@given(row=st.floats(1e-4, 1.0), seconds=times)
def test_a_step_that_was_measured_is_what_is_planned_by(row: float, seconds: float) -> None:
    costs = replace(costs_of(), measured_row=row)
    assert costs.trained_row == pytest.approx(1.25 * row)
    training = share_rest(costs, seconds)
    if training is not None:
        assert 1.2 * steps_of(training) * BATCH * row <= seconds
        assert may_train(costs, seconds) or costs.trained_row < 2 * costs.row  # a step costs two passes at least


def test_more_time_embeds_first_then_trains_longer_then_trains_more_members() -> None:
    plans = [share_out(costs_of(), seconds) for seconds in (100, 300, 700, 2000, 6000)]
    embedded = [plan.embedded for plan in plans]
    assert plans[0].training is None
    assert embedded == sorted(embedded)
    assert 1 < embedded[0] < embedded[1] < embedded[-1] == 50_000
    trained = [plan.training for plan in plans if plan.training is not None]
    assert [plan.members for plan in trained] == sorted(plan.members for plan in trained)
    assert trained[-1].members == 4
    assert trained[-1].rates == RATES


def test_few_rows_are_seen_often_but_not_for_ever() -> None:
    training = plan_training(costs_of(200, 50), 10_000)
    assert training is not None
    assert (training.members, training.steps, training.dropout) == (4, 200, True)


def overview_of(rows: int, length: int) -> Overview:
    return Overview(
        source="x.csv", columns=SourceColumns(texts=("text",), text_pair=None, label="label"), stated=Columns(), reading="",
        rows=rows,
        sample=Table(source="x.csv", ids=np.arange(1), texts=["a"]),
        labels=("a", "b"), rarest=9, base="roberta-base", lengths=np.full(100, length), limit=256,
    )  # fmt: skip


@given(rows=st.integers(100, 1_000_000), embedded=st.integers(0, 100_000), seconds=times, speed=st.floats(1e-6, 1e-2))
def test_more_rows_are_embedded_where_the_time_suffices_for_many_more(
    rows: int, embedded: int, seconds: float, speed: float
) -> None:
    costs, embedded = costs_of(rows, speed=speed), min(rows, embedded)
    more = embed_more(costs, seconds, embedded)
    if more is None:
        without = embed_more(costs, 10 * seconds + 1e9, embedded)
        assert without == (None if 1.25 * embedded > rows else rows)  # time was missing, or nothing was worth it
    else:
        assert rows >= more >= max(100, 1.25 * embedded)
        assert (more - embedded) * 50 * speed <= seconds
        assert embedded or (more - embedded) * 50 * speed <= 0.6 * seconds  # adapters are to have their part


def test_texts_are_cut_shorter_where_that_alone_leaves_time_for_adapters_or_embeds_more_rows() -> None:
    overview, speed = overview_of(5_000, 200), 1.65e-4
    cut = {
        minutes: decide(Request(source="x.csv", output="out", minutes=minutes), overview, seconds_a_token=speed)
        for minutes in (1, 5, 9, 60)
    }
    assert [decision.max_length for decision in cut.values()] == [64, 64, 128, 200]
    trained = [decision.adapters is not None and decision.adapters.training is not None for decision in cut.values()]
    assert trained == [False, True, True, True]
    few = decide(Request(source="x.csv", output="out", minutes=1), overview_of(300, 200), seconds_a_token=speed)
    assert (few.max_length, few.embedded_rows) == (128, None)  # all rows are embedded as they are


def test_little_time_embeds_few_rows_and_the_study_says_so() -> None:
    overview = overview_of(50_000, 50)
    requests = [Request(source="x.csv", output="out", minutes=minutes) for minutes in (2, 100)]
    texts = [study_text(request, overview, decide(request, overview)) for request in requests]
    few, all_of_them = (load_study(yaml.safe_load(text)).baselines for text in texts)
    assert few.kinds == tuple(BASELINES)
    assert few.embedded_rows is not None
    assert few.embedded_rows * 50 * 1.65e-4 < 120
    assert all_of_them.embedded_rows is None


def test_what_is_not_the_encoders_is_no_faster_where_the_encoder_is() -> None:
    usual, units = (costs_of(characters=0.0, speed=speed) for speed in (USUAL_SPEED, USUAL_SPEED / 4))
    assert units.around == pytest.approx(0.7 * usual.around)
    assert units.embedded_row(1.0) - units.row == pytest.approx(0.7)


@pytest.mark.parametrize(("places", "members"), [(1, 1), (2, 2), (3, 3), (4, 4), (64, 4)])
def test_in_several_places_each_member_has_the_time_that_one_would_have_alone(places: int, members: int) -> None:
    costs, seconds = costs_of(speed=USUAL_SPEED), 500.0
    training = share_rest(costs, seconds, places=places)
    assert training is not None
    assert training.members == members
    alone = plan_training(costs, 0.94 * seconds - finishing(costs, 0 if places == 1 else members), most_members=1)
    assert alone is not None
    assert (training.steps, training.rates) == (alone.steps, (1.0,))


def test_places_that_are_faster_than_this_machine_train_more_and_never_race() -> None:
    costs = costs_of(speed=USUAL_SPEED)
    slow, fast = (share_rest(costs, 2000.0, places=2, remote=remote) for remote in (None, costs_of(speed=USUAL_SPEED / 10)))
    assert slow is not None
    assert fast is not None
    assert slow.steps < fast.steps
    assert (fast.members, fast.rates) == (4, (1.0,))
    assert share_rest(costs, 6000.0) != share_rest(costs, 6000.0, places=2)
