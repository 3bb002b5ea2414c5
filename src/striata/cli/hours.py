"""Hours and money of a study on several machines, for `striata check`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..runs import Member
    from ..scale.cost import Foreseen, Job

_UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
Machines = Annotated[
    int | None, typer.Option(min=1, help="Foresee hours and money on so many machines; see docs/scale.md.", show_default=False)
]
Gpus = Annotated[int, typer.Option(min=0, help="With --machines: GPUs of each; 0 for one stack on its cores.")]
Speed = Annotated[
    float | None,
    typer.Option(
        min=1.0,
        metavar="TOKENS",
        help="With --machines: tokens a second forward through the encoder on a GPU, or on a machine without; else this CPU's.",
    ),
]
Price = Annotated[float, typer.Option(min=0.0, help="With --machines: of one machine for an hour.")]
Failures = Annotated[float, typer.Option(min=0.0, metavar="RATE", help="With --machines: failures of one machine in an hour.")]
Rows = Annotated[
    int | None, typer.Option(min=1, help="With --machines: training rows, if not those of the data; texts as long as these.")
]


def job_of(
    members: Sequence[Member],
    costs: Mapping[str, int],
    *,
    evaluations: int,
    machines: int,
    gpus: int,
    speed: float,
    price: float,
    failures: float,
) -> Job:
    """A study on several machines.

    Args:
        members: of the study.
        costs: of all of them: `training_tokens` and `validation_tokens`.
        evaluations: of a member.
        machines: how many.
        gpus: of each.
        speed: tokens a second through a GPU, or a machine without.
        price: of a machine for an hour.
        failures: of a machine in an hour.
    """
    from ..scale.cost import Job

    return Job(
        members=len(members),
        tokens=3.0 * costs["training_tokens"] + costs["validation_tokens"],  # a step costs about three forward passes
        evaluations=evaluations,
        trainable=max(member.plan.trainable for member in members),
        places=machines * max(1, gpus),
        machines=machines,
        speed=speed,
        failures=failures,
        price=price,
    )


def show_hours(job: Job, foreseen: Foreseen) -> None:
    """Prints what a study takes on several machines."""
    from .output import note, say

    several = "s" if job.machines > 1 else ""
    say(
        f"{job.machines} machine{several}: {foreseen.stacks} stacks of up to {foreseen.members} members at a time, "
        f"{_hours(foreseen.hours)} ({_hours(foreseen.hours_without_failures)} without failures; 1 of 20 times more than "
        f"{_hours(foreseen.hours_at_worst)}), {foreseen.machine_hours:,.1f} machine-hours, {foreseen.money:,.2f} in money"
    )
    note(
        f"a stack is saved every {foreseen.interval:,.0f} s, which takes {foreseen.checkpoint:,.1f} s"
        + (f"; least is lost every {foreseen.best_interval:,.0f} s" if job.failures else "")
    )
    if foreseen.stacks < job.places:
        note(f"{job.places - foreseen.stacks} of {job.places} places stay empty: there are no more members than {job.members}")


def duration(seconds: float) -> str:
    """Seconds in words, to two digits: "40 seconds", "12 minutes", "3.5 hours"."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= 2 * size), _UNITS[-1])
    value = float(f"{max(seconds, 1) / size:.2g}")
    return f"{value:g} {unit.removesuffix('s') if value == 1 else unit}"


def _hours(hours: float) -> str:
    return "no end" if hours == float("inf") else duration(hours * 3600)
