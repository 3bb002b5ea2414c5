"""Time with failures: the simulation against its closed form, and both against what can be said without either."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from striata.scale.cost import Job, foresee
from striata.scale.failures import Work, best_interval, expected_seconds, simulate

WORK = Work(seconds=10_000, interval=500, checkpoint=5, restart=60, failures=1 / 2000)


@pytest.mark.parametrize(
    "work",
    [
        WORK,
        replace(WORK, failures=1 / 200),  # many a failure between two checkpoints
        replace(WORK, restart=0, checkpoint=0),
        replace(WORK, interval=20_000),  # no checkpoint but the last
        replace(WORK, restart=1000, failures=1 / 500),  # most restarts fail
    ],
)
def test_simulated_time_is_the_expected_one(work: Work) -> None:
    times = simulate(work, 20_000, np.random.default_rng(0))
    error = times.std() / np.sqrt(len(times))
    assert abs(times.mean() - expected_seconds(work)) < 4 * error
    assert times.min() >= work.undisturbed


def test_the_simulation_step_by_step() -> None:
    """Against a walk through every segment, with the same law and another code."""
    work, rng = replace(WORK, seconds=2000, failures=1 / 700), np.random.default_rng(1)
    times = []
    for _ in range(4000):
        clock, done, fails = 0.0, 0, rng.exponential(1 / work.failures)
        begun = False
        while done < work.segments:
            length = work.segment if begun else work.restart
            if fails < length:
                clock, begun, fails = clock + fails, False, rng.exponential(1 / work.failures)
                continue
            clock, fails, done, begun = clock + length, fails - length, done + begun, True
        times.append(clock)
    simulated = simulate(work, 20_000, rng)
    error = np.hypot(np.std(times) / np.sqrt(len(times)), simulated.std() / np.sqrt(len(simulated)))
    assert abs(np.mean(times) - simulated.mean()) < 4 * error


def test_without_failures_there_is_nothing_to_expect() -> None:
    work = replace(WORK, failures=0)
    assert expected_seconds(work) == work.undisturbed == 60 + 20 * 505
    assert set(simulate(work, 3, np.random.default_rng(0))) == {work.undisturbed}
    assert best_interval(work) == np.inf


def test_what_never_ends_is_infinite() -> None:
    assert expected_seconds(replace(WORK, failures=10)) == np.inf
    assert set(simulate(replace(WORK, failures=1), 2, np.random.default_rng(0), failures=50)) == {np.inf}


def test_the_best_interval_is_the_best_of_many() -> None:
    """Young's formula is the first order; its interval costs no more than a hundredth above the best of a fine grid."""
    work = replace(WORK, seconds=200_000, failures=1 / 20_000)
    costs = {interval: expected_seconds(replace(work, interval=interval)) for interval in range(50, 5000, 10)}
    assert expected_seconds(replace(work, interval=best_interval(work))) < 1.01 * min(costs.values())
    assert min(costs, key=costs.__getitem__) == pytest.approx(best_interval(work), rel=0.2)


def test_hours_and_money_of_a_study() -> None:
    job = Job(members=8, tokens=8 * 36e6, evaluations=10, trainable=1000, places=4, machines=2, speed=10_000, price=3.0)
    foreseen = foresee(job)
    assert (foreseen.stacks, foreseen.members) == (4, 2)
    assert foreseen.hours == pytest.approx(2 + 60 / 3600, rel=1e-4)  # 72 million tokens a stack, and a start
    assert foreseen.hours_without_failures == foreseen.hours_at_worst == pytest.approx(foreseen.hours)
    assert foreseen.money == pytest.approx(foreseen.hours * 2 * 3)
    failing = foresee(replace(job, failures=0.1))
    assert foreseen.hours < failing.stack_hours < failing.hours < failing.hours_at_worst  # the last of four stacks counts
    assert foreseen.to_json()["best_interval"] is None
