"""Where a fit trains its adapters: in this process, or in the places of a Ray cluster. All else it does here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

from ..data import Table
from ..errors import StudyError
from ..scale.cluster import ask, connected
from ..scale.dealing import Places, device_of, places_of
from ..scale.training import deal_study, train_planned_on_cluster
from ..steps import train_stacks
from ..study import Prepared, Work
from ..training.events import Listener, doing
from .clock import Clock
from .speed import PROBE, measure_speed
from .timing import Costs, Training, share_rest


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

    def stacks(self, prepared: Prepared) -> int | None:
        """See :class:`Place`."""
        return None

    def share_rest(self, costs: Costs, clock: Clock, work: Work, listen: Listener) -> Training | None:
        """See :class:`Place`."""
        return share_rest(costs, clock.left)

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
        self._slowest: float | None = None  # seconds a token; loading the encoder for it takes some, so only once

    def stacks(self, prepared: Prepared) -> int | None:
        """See :class:`Place`."""
        return deal_study(prepared, self._places.machines, None, self._places.cores, self.device).stacks

    def share_rest(self, costs: Costs, clock: Clock, work: Work, listen: Listener) -> Training | None:
        """See :class:`Place`; by the speed of the slowest place."""
        study, places = work.prepared.study, self._places
        if not study.has_encoder:
            return None
        if self._slowest is None:
            doing(listen, "measuring the speed of the encoder in the cluster")
            texts = work.prepared.splits.train.take(range(min(PROBE, costs.rows)))
            what = (_speed, places.cores, study.base, texts, study.data.max_length, device_of(self.device, places.gpus))
            self._slowest = max(ask(places.machines, *what, cores=places.cores, gpus=places.gpus))
        return share_rest(costs, clock.left, places=places.count, seconds_a_token=self._slowest)

    def train(self, work: Work, listen: Listener, clock: Clock, latest: float) -> None:
        """See :class:`Place`."""
        cores, until = self._places.cores, time.time() + latest - clock.spent
        machines = self._places.machines
        train_planned_on_cluster(work, machines, cores=cores, listen=listen, device=self.device, until=until)


def _speed(cores: int, base: str, some: Table, max_length: int, device: str) -> float:
    import torch

    torch.set_num_threads(cores)
    return measure_speed(base, some, max_length, device)


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
