"""What a study takes on several machines, foreseen: hours, machine-hours and money, with failures."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from .failures import Work, best_interval, expected_seconds, simulate

RESTART = 60.0  # seconds until a worker trains: Ray's own start, torch, the encoder, the checkpoint
BYTES_A_SECOND = 100e6  # to the shared folder, whatever the number of machines
_STATES = 4 * 4  # bytes of a trainable parameter in a checkpoint: weight, two moments, the best so far
_SIMULATED = 2000
_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A study, and what it runs on.

    Args:
        members: of the study.
        tokens: forward passes that all members take together, in tokens.
        evaluations: of a member, at each of which its stack is saved.
        trainable: parameters of a member.
        places: where a stack can train at one time: GPUs, or machines.
        machines: that are paid for.
        speed: tokens that pass forward through a place in a second.
        failures: of a machine in an hour.
        price: of a machine for an hour, in whatever currency.
    """

    members: int
    tokens: float
    evaluations: int
    trainable: int
    places: int
    machines: int
    speed: float
    failures: float = 0.0
    price: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What comes of it.

    Args:
        stacks: into which the members are dealt.
        members: of the largest stack.
        hours: until the last stack is through, in the mean.
        hours_without_failures: likewise, if none came.
        hours_at_worst: of 20 tries one takes longer.
        stack_hours: mean of one stack, in closed form.
        interval: seconds between two checkpoints.
        best_interval: what would cost least; infinite without failures.
        checkpoint: seconds that one takes.
        machine_hours: that are paid.
        money: for them.
    """

    stacks: int
    members: int
    hours: float
    hours_without_failures: float
    hours_at_worst: float
    stack_hours: float
    interval: float
    best_interval: float
    checkpoint: float
    machine_hours: float
    money: float

    def to_json(self) -> dict[str, float | int | None]:
        """As JSON values, None for what is infinite."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def foresee(job: Job, *, seed: int = 0) -> Foreseen:
    """Simulates a study; its stacks are as large as each other, or one member apart, and the largest counts.

    Args:
        job: the study, and what it runs on.
        seed: of the simulation.
    """
    stacks = min(job.members, job.places)
    members = -(-job.members // stacks)
    seconds = job.tokens / job.members * members / job.speed
    checkpoint = members * job.trainable * _STATES * stacks / BYTES_A_SECOND  # all write to one folder
    work = Work(
        seconds=seconds,
        interval=seconds / max(1, job.evaluations),
        checkpoint=checkpoint,
        restart=RESTART,
        failures=job.failures / _HOUR,  # of the machine, whichever of its places it is
    )
    drawn = simulate(work, _SIMULATED * stacks, np.random.default_rng(seed)) if _SIMULATED * stacks <= 10**7 else None
    last = np.full(1, expected_seconds(work)) if drawn is None else drawn.reshape(_SIMULATED, stacks).max(1)
    hours = float(last.mean()) / _HOUR
    return Foreseen(
        stacks=stacks,
        members=members,
        hours=hours,
        hours_without_failures=work.undisturbed / _HOUR,
        hours_at_worst=float(np.quantile(last, 0.95)) / _HOUR,
        stack_hours=expected_seconds(work) / _HOUR,
        interval=work.interval,
        best_interval=best_interval(work),
        checkpoint=checkpoint,
        machine_hours=hours * job.machines,
        money=hours * job.machines * job.price,
    )
