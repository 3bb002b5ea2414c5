"""A Ray cluster: reached, looked at, and left as it was."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import ClusterError
from ..extras import require

LOCAL = "local"
_REACH = 5.0  # seconds until a port answers
_PATIENCE = 180.0  # seconds until a machine answers, whose first worker has to start


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine of a cluster that tasks run on.

    Args:
        name: its address.
        identity: what Ray calls it.
        cores: that tasks may have.
        gpus: likewise.
        memory: likewise, in bytes.
        gpu_memory: bytes of its smallest GPU; None without one, or where it is not known.
    """

    name: str
    identity: str
    cores: int
    gpus: int
    memory: int
    gpu_memory: int | None = None


@contextlib.contextmanager
def connected(address: str, purpose: str) -> Iterator[tuple[Machine, ...]]:
    """Yields the machines of a cluster, which the process is connected to while the block runs.

    Args:
        address: "local" for a cluster of this machine that ends with the block, "auto" for the one that runs here, or
            HOST:PORT. A process that is connected already stays so, whatever the address.
        purpose: what needs it, as the subject of a sentence.

    Raises:
        ExtraError: Ray is not installed.
        ClusterError: no cluster answers, or a machine of it has no striata, or another version.
    """
    require(purpose, "ray")
    import ray

    begun = not ray.is_initialized()
    if begun:
        _connect(address)
    try:
        yield _checked(_machines())
    finally:
        if begun:
            ray.shutdown()


def _connect(address: str) -> None:
    import ray

    _check_address(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # no warning; tasks are told their device
    own = {"num_cpus": available_cores(), "include_dashboard": False} if address == LOCAL else {}
    if address == LOCAL:
        os.environ.setdefault("RAY_worker_niceness", "0")  # else its workers give way to whatever runs beside the driver
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # ConnectionError, RuntimeError, ValueError and others, by what is wrong there
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ClusterError(
            f"no Ray cluster can be used at '{address}' ({reason}); this machine has to be one of the cluster's, which "
            "`ray start` makes it; or use 'local'"
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)  # Ray puts its own in the place of what saves the work
    _hush()


def _hush() -> None:
    """Ray prints on stdout, where results go, when a worker has died; those who run tasks say it in their own words.

    Ray has no setting for it, and the function is not part of its interface: where a version has none, it may print.
    """
    with contextlib.suppress(ImportError):
        worker: Any = importlib.import_module("ray._private.worker")
        if hasattr(worker, "print_to_stdstream"):
            worker.print_to_stdstream = lambda *_, **__: None


def _check_address(address: str) -> None:
    """Refuses what is no address, and one where nothing listens, in seconds; Ray itself would try for half a minute."""
    if address in (LOCAL, "auto"):
        return
    host, colon, port = address.rpartition(":")
    if not colon or "/" in address or not port.isdecimal():
        raise ClusterError(
            f"'{address}' is no address of a Ray cluster; expected local, auto or HOST:PORT, such as 10.0.0.1:6379"
        )
    try:
        socket.create_connection((host, int(port)), _REACH).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error}); check the address, which `ray status` shows on its head, or use "
            "'local'"
        ) from None


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _machines() -> tuple[Machine, ...]:
    import ray

    machines = []
    for node in ray.nodes():
        resources = node["Resources"]
        cores, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        if node["Alive"] and (cores or gpus):
            name, identity = str(node["NodeManagerAddress"]), str(node["NodeID"])
            memory = int(resources.get("memory", 0))
            machines.append(Machine(name=name, identity=identity, cores=cores, gpus=gpus, memory=memory))
    if not machines:
        raise ClusterError("the Ray cluster has no machine with a core or a GPU; start one with `ray start`")
    return tuple(machines)


def ask(
    machines: Sequence[Machine], question: Callable[..., Any], *arguments: object, cores: int = 0, gpus: int = 0
) -> list[Any]:
    """What a function answers on each machine.

    Args:
        machines: of the cluster.
        question: sent as it is where it was defined inside another function, so that the machine needs no striata for it.
        arguments: of the function.
        cores: that it has for itself meanwhile.
        gpus: likewise.

    Raises:
        ClusterError: a machine does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(question)
    places = [NodeAffinitySchedulingStrategy(machine.identity, soft=False) for machine in machines]
    references = [task.options(num_cpus=cores, num_gpus=gpus, scheduling_strategy=place).remote(*arguments) for place in places]
    _, late = ray.wait(references, num_returns=len(references), timeout=_PATIENCE)
    answers = []
    for machine, reference in zip(machines, references, strict=True):
        try:
            if reference in late:
                raise TimeoutError(f"no answer in {_PATIENCE:g} s")
            answers.append(ray.get(reference))
        except Exception as error:  # the machine is gone, or whatever Python raises there
            reason = " ".join(str(error).split())[-200:] or type(error).__name__
            raise ClusterError(
                f"machine {machine.name} of the cluster does not answer ({reason}); look at it with `ray status`"
            ) from None
    return answers


def _facts() -> Callable[[], tuple[str | None, int | None]]:
    def facts() -> tuple[str | None, int | None]:
        """Version of striata, and bytes of the smallest GPU."""
        import importlib.metadata
        import subprocess

        try:
            installed = importlib.metadata.version("striata")
        except importlib.metadata.PackageNotFoundError:
            installed = None
        command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        try:
            sizes = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.split()
            return installed, min(int(size) for size in sizes) * 2**20
        except (OSError, ValueError, subprocess.SubprocessError):
            return installed, None

    return facts


def _checked(machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """The machines, each of which has this striata, with the memory of their GPUs."""
    own = version("striata")
    checked = []
    for machine, (installed, memory) in zip(machines, ask(machines, _facts()), strict=True):
        if installed != own:
            has = "no striata" if installed is None else f"striata {installed}"
            raise ClusterError(f"machine {machine.name} of the cluster has {has}; install version {own} on every machine")
        checked.append(replace(machine, gpu_memory=memory if machine.gpus else None))
    return tuple(checked)


def _digest() -> Callable[[str, int], str | None]:
    def digest(file: str, tries: int) -> str | None:
        """SHA-256 of a file; None where it is not seen, though looked for again: network folders lag behind."""
        import hashlib
        import time
        from pathlib import Path

        for _ in range(tries):
            try:
                return hashlib.sha256(Path(file).read_bytes()).hexdigest()
            except OSError:
                time.sleep(0.5)
        return None

    return digest


def check_shared(machines: Sequence[Machine], file: Path, *, tries: int = 20) -> None:
    """Refuses a folder that is not the same on all machines.

    Args:
        machines: of the cluster.
        file: in the folder.
        tries: looks, half a second apart.

    Raises:
        ClusterError: names the machine.
    """
    file = file.absolute()
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    for machine, digest in zip(machines, ask(machines, _digest(), str(file), tries), strict=True):
        if digest != expected:
            raise ClusterError(
                f"machine {machine.name} of the cluster does not see folder {file.parent}, or another one of that name; choose a "
                "folder that all machines share, such as one on NFS",
                path=str(file.parent),
            )
