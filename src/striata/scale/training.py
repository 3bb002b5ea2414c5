"""A study trained by the machines of a Ray cluster: every stack is a task, on a folder that all of them see."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..choices import BASELINES
from ..disk.locks import is_held
from ..errors import StriataError, StudyError
from ..extras import require
from ..runs import StudyFolder
from ..runs.study_folder import SETTINGS
from ..search import Space
from ..settings import Study
from ..steps import prepare_study, train_stacks
from ..study import Prepared, Work, fit_baselines, plan_members, plan_work
from ..study.stack_folder import BusyError, StackFolder, stack_folders
from ..training.events import Listener, doing, nobody, note
from .cluster import Machine, check_shared, connected
from .dealing import Deal, deal, device_of, memory_of
from .messages import Gathering, open_mailbox, posting
from .tasks import complete

_TRAINED, _BUSY = "trained", "busy"
_WAIT = 2.0  # seconds between two looks at a stack that another process trains


def train_on_cluster(
    study: Study,
    address: str,
    *,
    data: object = None,
    stacks: int | None = None,
    cores: int | None = None,
    listen: Listener = nobody,
    track: Sequence[str] = (),
    device: str = "auto",
) -> Work:
    """The first two steps of a study (:mod:`striata.steps`) on a Ray cluster; the same call goes on where it was cut off.

    Of a search every stack is a rolling one, which proposes from what all have come to (:mod:`striata.search.rolling`).

    The driver, which is this process, reads the data, plans, and fits the baselines. The stacks are tasks: a worker that dies, or
    the machine under it, costs its steps since the last checkpoint. Whoever else trains the study is waited for.

    Args:
        study: checked settings; its `output` is a folder that all machines see, and so is its encoder.
        address: of the cluster; see :func:`striata.scale.connected`.
        data: rows in the place of `data.train`; see :func:`striata.train`.
        stacks: into how many stacks members are dealt; None for one a GPU, or one a machine without GPUs, and more where
            the memory is too small.
        cores: of a stack; None for all of a machine, or a GPU's share of them.
        listen: told what all stacks tell.
        track: experiment trackers.
        device: "cpu", "cuda" or "auto", of the stacks.

    Returns:
        What is left to be done by :func:`striata.steps.collect` and :func:`striata.steps.choose`.

    Raises:
        ClusterError: no cluster answers, a machine of it lacks something, or workers die without progress.
        StriataError: anything in the study, its data, its encoder or its folder is wrong.
        KeyboardInterrupt: after Ctrl-C, with everything saved.
    """
    for name, value in (("stacks", stacks), ("cores", cores)):
        if value is not None and value < 1:
            raise StudyError(f"is {value}; expected at least 1", argument=name)
    if study.race is not None and (stacks or 1) > 1:
        raise StudyError("are several, and a race is judged among all of its members, in one; leave it out", argument="stacks")
    require("a cluster", "ray")
    doing(listen, "looking at the cluster")
    with connected(address, "a cluster") as machines:
        doing(listen, "reading the data")
        prepared = prepare_study(study, data, listen=listen)
        dealt = deal_study(prepared, machines, stacks, cores, device)
        work = plan_work(prepared, stacks=dealt.stacks, listen=listen)
        if study.search is not None and len(work.stacks) > 1:
            from ..search.record import share_record

            share_record(work.folder)  # before its stacks begin, which would be in each other's way
        _Training(dealt, listen, tuple(track), device).until_finished(work, machines)
    return work


def train_planned_on_cluster(
    work: Work, machines: Sequence[Machine], *, cores: int | None, listen: Listener, device: str, until: float
) -> None:
    """The second step of a study (:func:`striata.steps.train_stacks`) on a cluster, which ends at a time.

    Args:
        work: from :func:`striata.steps.plan_study`.
        machines: of the cluster, which the process is connected to.
        cores: of a stack; see :func:`striata.scale.dealing.places_of`.
        listen: told what all stacks tell.
        device: "cpu", "cuda" or "auto", of the stacks.
        until: seconds since 1970, by each machine's own clock; later, members end.

    Raises:
        ClusterError: a machine does not see the folder, its memory is too small, or workers die without progress.
        StriataError: as :func:`striata.steps.train_stacks`.
        KeyboardInterrupt: after Ctrl-C, with everything saved.
    """
    dealt = deal_study(work.prepared, machines, None, cores, device)
    _Training(dealt, listen, (), device, until).until_finished(work, machines)


def deal_study(prepared: Prepared, machines: Sequence[Machine], stacks: int | None, cores: int | None, device: str) -> Deal:
    """Into how many stacks a study is dealt, and what each of them gets.

    Args:
        prepared: the study and its data.
        machines: of the cluster.
        stacks: into how many; None for as many as there are places, or more where the memory is too small.
        cores: of a stack; see :func:`striata.scale.dealing.places_of`.
        device: "cpu", "cuda" or "auto", of the stacks.

    Raises:
        ClusterError: there is no place for a stack, or its memory is too small.
    """
    study, labels, gpu = prepared.study, len(prepared.splits.labels), device != "cpu"
    if study.search is not None:
        trials, together = study.search.trials, study.search.generation
        memory = memory_of([Space.of(study, labels).largest()], prepared)
        return deal(trials, memory, machines, stacks=stacks, together=min(trials, together), cores=cores, gpu=gpu)
    members = plan_members(study, labels)
    if not members:
        return Deal(stacks=1, at_once=1, cores=1, gpus=0, memory=0)
    dealt = 1 if study.race is not None else stacks  # who leaves a race is decided among all of its members
    return deal(len(members), memory_of(members, prepared), machines, stacks=dealt, cores=cores, gpu=gpu)


class _Training:
    """Stacks handed to a cluster, round after round, until no member of the study is left."""

    def __init__(self, dealt: Deal, listen: Listener, track: tuple[str, ...], device: str, until: float | None = None) -> None:
        self._dealt, self._listen, self._track, self._device, self._until = dealt, listen, track, device, until
        self._told, self._through = False, set[str]()

    def until_finished(self, work: Work, machines: Sequence[Machine]) -> None:
        """Trains what remains, and waits for what others train."""
        from ..study.stacks import leaving_nothing_new

        check_shared(machines, work.folder.path / SETTINGS)
        if work.stacks:
            note(self._listen, f"{len(machines)} machine{'s' if len(machines) > 1 else ''}: {self._dealt.sentence}")
        with leaving_nothing_new(work, work.stacks):
            while self._round(work):
                self._wait(work)
                planned = plan_work(work.prepared, stacks=self._dealt.stacks, listen=nobody, known=True)
                work = replace(planned, stacks=tuple(name for name in planned.stacks if name not in self._through))

    def _round(self, work: Work) -> bool:
        """Trains the stacks that nobody else does; returns whether there was one that somebody does."""
        import ray

        others = any(is_held(stack.lock) for stack in stack_folders(work.folder) if stack.name not in work.stacks)
        others |= _baselines(work, self._listen, self._device, self._until)
        if not work.stacks:
            return others
        mailbox, gathering = open_mailbox(), Gathering(self._listen, several=len(work.stacks) > 1)
        shared = ray.put(portable(work))
        task = ray.remote(train_one)
        share = {"num_cpus": self._dealt.cores, "num_gpus": self._dealt.gpus, "memory": self._dealt.memory, "max_retries": 0}
        device = device_of(self._device, self._dealt.gpus)
        settings = (mailbox, self._dealt.cores, device, self._track, str(Path.cwd()), self._until)

        def begin(name: str) -> Any:
            return task.options(name=f"striata {name}", **share).remote(shared, name, *settings)

        def died(name: str, reason: str) -> None:
            gathering.ended(name)
            note(self._listen, f"the worker of {name} died, and the stack goes on from its last checkpoint ({reason})")

        results = complete(
            work.stacks,
            begin,
            at_once=2 * self._dealt.at_once,
            progress=partial(_progress, work.folder),
            died=died,
            tick=partial(gathering.fetch, mailbox),
        )
        with contextlib.closing(results):
            for name, result in results:
                others |= result == _BUSY
                self._through |= {name} if result == _TRAINED else set()
                gathering.ended(name)
        gathering.fetch(mailbox)
        return others

    def _wait(self, work: Work) -> None:
        if not self._told:
            note(self._listen, f"another process trains in {work.folder.path}; waiting for it")
            self._told = True
        time.sleep(_WAIT)


def _progress(folder: StudyFolder, name: str) -> object:
    """Changes with every checkpoint of a stack."""
    try:
        facts = StackFolder(folder.stacks / name).checkpoint.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _late(until: float | None) -> Callable[[], bool] | None:
    """Says whether the time is over; None without a limit."""
    return None if until is None else lambda: time.time() > until


def _baselines(work: Work, listen: Listener, device: str, until: float | None) -> bool:
    """Fits the baselines; returns whether somebody else does."""
    if not set(work.prepared.study.baselines.kinds) & set(BASELINES):
        return False
    try:
        fit_baselines(work, listen=listen, device="auto" if device == "cuda" else device, overdue=_late(until))
    except BusyError:
        return True
    return False


def portable(work: Work) -> Work:
    """What a task needs of it: token ids and targets, but no training texts; a folder that is the same from everywhere."""
    splits = work.prepared.splits
    bare = replace(splits.train, texts=[""] * len(splits.train), pairs=None, labels=None)
    prepared = replace(work.prepared, splits=replace(splits, train=bare, test=None))
    return replace(work, prepared=prepared, folder=StudyFolder(work.folder.path.absolute()), new=False)


def train_one(
    work: Work, name: str, mailbox: Any, cores: int, device: str, track: tuple[str, ...], place: str, until: float | None = None
) -> str | StriataError:
    """A task: trains one stack from its checkpoint on, if it has one.

    Args:
        work: with the stack in it.
        name: of the stack.
        mailbox: for what is told.
        cores: threads to compute with.
        device: "cpu", "cuda" or "auto".
        track: experiment trackers.
        place: the driver's current folder, from which relative paths count.
        until: seconds since 1970, after which members end with the best they have; None for no limit.
    """
    import torch

    torch.set_num_threads(cores)
    listen = posting(mailbox, name)
    try:
        with contextlib.chdir(place) if Path(place).is_dir() else contextlib.nullcontext():
            train_stacks(work, [name], listen=listen, track=track, device=device, overdue=_late(until))
    except BusyError:
        return _BUSY
    except StriataError as error:
        return error.within(f"{name} on {socket.gethostname()}")
    finally:
        listen.flush()
    return _TRAINED
