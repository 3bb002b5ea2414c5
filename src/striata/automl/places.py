"""Where a fit trains its adapters: in this process, or in the places of a Ray cluster. All else it does here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from ..data import Encoded, Table
from ..errors import StudyError
from ..scale.cluster import ask, connected
from ..scale.dealing import Places, device_of, places_of
from ..scale.training import deal_study, train_planned_on_cluster
from ..steps import train_stacks
from ..study import Prepared, Work
from ..training.events import Listener, doing
from . import speed
from .clock import Clock
from .layouts import choose_layouts
from .timing import Costs, Training, may_train, share_rest


class Place(Protocol):
    """Where adapters are trained.

    Attributes:
        device: "cpu", "cuda" or "auto".
    """

    @property
    def device(self) -> str: ...

    def stacks(self, prepared: Prepared) -> int | None:
        """Into how many stacks a study's members are dealt; None for one, which only one process may train."""

    def share_rest(self, costs: Costs, clock: Clock, work: Work, listen: Listener) -> Training | None:
        """What is trained in the time that is left.

        Args:
            costs: of the work on this machine.
            clock: says how much that is.
            work: whose texts are read.
            listen: told what is done.
        """

    def train(self, work: Work, listen: Listener, clock: Clock, latest: float) -> None:
        """Trains what remains of a study; later than some seconds of the clock, members end with the best they have."""


class Here:
    """This process.

    Args:
        device: "cpu", "cuda" or "auto".
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._row: float | None = None  # seconds of a text in a training step, once they are measured

    def stacks(self, prepared: Prepared) -> int | None:
        """See :class:`Place`."""
        return None

    def share_rest(self, costs: Costs, clock: Clock, work: Work, listen: Listener) -> Training | None:
        """See :class:`Place`; by the time of a training step, which is measured where there may be time for enough of them."""
        if self._row is None and may_train(costs, clock.left) and (job := _job(work, self.device)) is not None:
            doing(listen, "measuring the speed of training")
            self._row = speed.measure_step(*job)
        return share_rest(replace(costs, measured_row=self._row), clock.left)

    def train(self, work: Work, listen: Listener, clock: Clock, latest: float) -> None:
        """See :class:`Place`."""
        train_stacks(work, listen=listen, device=self.device, overdue=lambda: clock.spent > latest)


class Cluster:
    """A cluster that the process is connected to.

    Args:
        places: of it.
        device: "cpu", "cuda" or "auto".
    """

    def __init__(self, places: Places, device: str) -> None:
        self._places, self.device = places, device
        self._slowest: tuple[float, float] | None = None  # loading the encoder to measure takes some time, so only once

    def stacks(self, prepared: Prepared) -> int | None:
        """See :class:`Place`."""
        return deal_study(prepared, self._places.machines, None, self._places.cores, self.device).stacks

    def share_rest(self, costs: Costs, clock: Clock, work: Work, listen: Listener) -> Training | None:
        """See :class:`Place`; by the slowest place: seconds a token forward, and of a text in a training step."""
        study, places = work.prepared.study, self._places
        if self._slowest is None:
            job = _job(work, device_of(self.device, places.gpus))
            if job is None:
                return share_rest(costs, clock.left)
            doing(listen, "measuring the speed of the encoder in the cluster")
            texts = work.prepared.splits.train.take(range(min(speed.PROBE, costs.rows)))
            what = (_speeds, places.cores, texts, study.data.max_length, *job)
            tokens, rows = zip(*ask(places.machines, *what, cores=places.cores, gpus=places.gpus), strict=True)
            self._slowest = max(tokens), max(rows)
        token, row = self._slowest
        remote = replace(costs, seconds_a_token=token, measured_row=row)
        return share_rest(costs, clock.left, places=places.count, remote=remote)

    def train(self, work: Work, listen: Listener, clock: Clock, latest: float) -> None:
        """See :class:`Place`."""
        cores, until = self._places.cores, time.time() + latest - clock.spent
        machines = self._places.machines
        train_planned_on_cluster(work, machines, cores=cores, listen=listen, device=self.device, until=until)


_Job = tuple[str, Encoded, str, int, str]  # what :func:`striata.automl.speed.measure_step` takes


def _job(work: Work, device: str) -> _Job | None:
    """A typical training step of a study; None where it has no encoder, or a budget without room for adapters."""
    study, labels = work.prepared.study, max(2, len(work.prepared.splits.labels))
    layouts = choose_layouts(1, base=study.base, labels=labels, budget=study.budget) if study.has_encoder else ()
    return (study.base, speed.typical(work.prepared.encoded["train"]), layouts[0][1], labels, device) if layouts else None


def _speeds(cores: int, some: Table, max_length: int, base: str, *job: Any) -> tuple[float, float]:
    import torch

    torch.set_num_threads(cores)
    return speed.measure_speed(base, some, max_length, job[-1]), speed.measure_step(base, *job)


@contextlib.contextmanager
def place_of(device: str, ray: str | None, cores: int | None, listen: Listener) -> Iterator[Place]:
    """Yields where adapters are trained; a process that a cluster is needed for is connected to it while the block runs.

    Args:
        device: "cpu", "cuda" or "auto".
        ray: address of a cluster (:func:`striata.scale.connected`), or None.
        cores: of each place in it (:func:`striata.scale.dealing.places_of`), or None.
        listen: told what is done.

    Raises:
        StudyError: cores without an address, or less than one.
        ExtraError: Ray is not installed.
        ClusterError: no cluster answers, or a machine of it lacks something.
    """
    if cores is not None and ray is None:
        raise StudyError("says how a cluster is used; name the cluster, too, or leave it out", argument="cores")
    if cores is not None and cores < 1:
        raise StudyError(f"is {cores}; expected at least 1", argument="cores")
    if ray is None:
        yield Here(device)
        return
    doing(listen, "looking at the cluster")
    with connected(ray, "a cluster") as machines:
        yield Cluster(places_of(machines, cores=cores, gpu=device != "cpu"), device)
