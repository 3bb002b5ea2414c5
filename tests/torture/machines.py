"""A study on a Ray cluster of two raylets, which go through what machines go through.

    python -m tests.torture.machines deaths      # a worker, the driver and a raylet are killed, two drivers end the study
    python -m tests.torture.machines troubles    # a full store, a worker that stands still, Ctrl-C, a raylet that comes back

Each takes minutes, as everything starts anew several times. It prints what it does and how long Ray took to start, and ends with
an error where a run is lost, trained twice or another than that of one machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import yaml

from striata.disk.files import sha256_file
from striata.runs import StudyFolder
from striata.steps import plan_study, train_stacks

from ..study.small import study_of

ROOT = Path(__file__).parents[2]
SECOND = ("--address=127.0.0.1:26379", "--dashboard-agent-listen-port=0")  # machine of the cluster
RAY = Path(sys.executable).with_name("ray")
_PATIENCE = 900.0
_STORE = 80_000_000  # bytes of the object store, the least that Ray takes; more is held in it meanwhile
# Holds more in the cluster's store than there is room for, until it is told to end.
HOARD = """
import sys
import numpy, ray
ray.init("auto", log_to_driver=False)
held = [ray.put(numpy.full(20_000_000, n, numpy.uint8)) for n in range(8)]
print("full", flush=True)
sys.stdin.read()
assert all((ray.get(reference)[::4096] == n).all() for n, reference in enumerate(held))
print("whole", flush=True)
"""
_BEGIN = time.monotonic()


def tell(words: str) -> None:
    """Prints what happens, with the seconds since the beginning."""
    print(f"{time.monotonic() - _BEGIN:6.0f} s  {words}", flush=True)


def until(what: str, happens: Callable[[], object]) -> None:
    """Waits for something, but not for ever."""
    end = time.monotonic() + _PATIENCE
    while not happens():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.2)
    tell(what)


def processes(named: str, parents: Sequence[int] = ()) -> list[int]:
    """Numbers of the processes whose command line has a name in it, and whose parent is one of some, if any are said."""
    numbers = []
    for place in Path("/proc").iterdir():
        try:
            command = (place / "cmdline").read_text().replace("\0", " ") if place.name.isdigit() else ""
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1]) if command else 0
        except OSError:
            continue
        if named in command and int(place.name) != os.getpid() and (not parents or parent in parents):
            numbers.append(int(place.name))
    return sorted(numbers)


def kill(number: int, what: str) -> None:
    """Ends a process of ours by its number, at once."""
    os.kill(number, signal.SIGKILL)
    tell(f"killed {what} ({number})")


def checksums(folder: Path) -> dict[str, str]:
    """Of what decides a run, by run and file."""
    kinds = ("adapter_model.safetensors", "validation.parquet", "history.parquet", "receipt.json")
    return {f"{run.name}/{kind}": sha256_file(run.path / kind) for run in StudyFolder.open(folder).runs() for kind in kinds}


def start(*arguments: str, environment: dict[str, str]) -> None:
    """Starts a raylet, and the cluster with the first."""
    command = [str(RAY), "start", "--num-cpus=1", "--disable-usage-stats", "--node-ip-address=127.0.0.1", *arguments]
    begin = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    tell(f"ray start {arguments[0]} took {time.monotonic() - begin:.0f} s")


def driver(study: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """`striata train` on the cluster, as it is typed."""
    command = [sys.executable, "-m", "striata", "train", str(study), "--ray", "auto", "--stacks", "2", "--cores", "1"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=open(study.with_suffix(".log"), "ab"))


def main(scene: Callable[[Path, dict[str, str], list[int]], None]) -> None:
    """A cluster and a study for one of the scenes, and the study's runs beside those of one process."""
    folder = Path(tempfile.mkdtemp(prefix="striata-machines-"))
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    environment["RAY_AUTH_MODE"] = "disabled"  # nobody but this machine reaches it
    environment["RAY_worker_niceness"] = "0"  # so that workers get as much of a busy machine as their driver
    recipe = {"max_steps": 300, "evaluate_every": 20}
    study = study_of(folder, recipe=recipe, output=str(folder / "cluster"))
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    torch.set_num_threads(1)
    alone = plan_study({**study, "output": str(folder / "alone")}, stacks=2)
    for name in alone.stacks:
        train_stacks(alone, [name])
    tell("trained by one process")
    cluster = lambda: {*processes(":26379"), *processes("gcs_server_port=26379")}  # noqa: E731
    earlier = cluster()
    try:
        store = f"--object-store-memory={_STORE}"
        start("--head", "--port=26379", "--include-dashboard=false", store, environment=environment)
        start(*SECOND, store, environment=environment)
        raylets = [number for number in processes("raylet/raylet") if number in cluster() - earlier]
        assert len(raylets) == 2, raylets
        scene(folder, environment, raylets)
    finally:
        for number in cluster() - earlier:
            with contextlib.suppress(ProcessLookupError):  # some end with those before them
                os.kill(number, signal.SIGKILL)
    assert checksums(folder / "cluster") == checksums(folder / "alone"), "the runs are not those of one process"
    assert not (folder / "cluster" / "stacks").exists()
    tell(f"{len(StudyFolder.open(folder / 'cluster').runs())} runs, each once, bit for bit those of one process")


def checkpoints(folder: Path) -> dict[Path, int]:
    """The stacks that have one, and when it was written."""
    written = {}
    for path in (folder / "cluster" / "stacks").glob("*/checkpoint.safetensors"):
        with contextlib.suppress(OSError):
            written[path.parent] = path.stat().st_mtime_ns
    return written


def deaths(folder: Path, environment: dict[str, str], raylets: list[int]) -> None:
    """A worker, the driver and a raylet are killed, and two drivers end the study."""
    workers = lambda: processes("ray::striata stack-", raylets)  # noqa: E731
    first = driver(folder / "study.yaml", environment)
    until("a stack has a checkpoint", lambda: checkpoints(folder) and workers())
    before = workers()
    kill(before[0], "a worker")
    until("another took its place", lambda: set(workers()) - set(before))
    kill(first.pid, "the driver")
    first.wait()
    until("the cluster ended its workers", lambda: not workers())
    left = len(StudyFolder.open(folder / "cluster").runs())
    drivers = [driver(folder / "study.yaml", environment) for _ in range(2)]
    tell(f"two drivers go on, with {left} runs there")
    until("stacks are trained again", workers)
    kill(raylets[-1], "the second raylet")
    codes = [process.wait(_PATIENCE) for process in drivers]
    tell(f"the drivers ended with {codes}")
    assert codes == [0, 0], (folder / "study.log").read_text()[-3000:]
    print(
        json.dumps(
            sorted({line for line in (folder / "study.log").read_text().splitlines() if "died" in line or "another" in line})
        )
    )


def troubles(folder: Path, environment: dict[str, str], raylets: list[int]) -> None:
    """The store fills, a worker stands still, the driver gets Ctrl-C, a raylet leaves and comes back."""
    workers = lambda: processes("ray::striata stack-", raylets)  # noqa: E731
    command = [sys.executable, "-c", HOARD]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as hoard:
        assert hoard.stdin is not None
        assert hoard.stdout is not None
        assert hoard.stdout.readline() == b"full\n"
        tell("the object store has twice what it has room for")
        first = driver(folder / "study.yaml", environment)
        until("both stacks have checkpoints", lambda: len(checkpoints(folder)) == 2 and len(workers()) == 2)
        slow = workers()[0]
        os.kill(slow, signal.SIGSTOP)
        tell(f"a worker stands still ({slow})")
        before = checkpoints(folder)
        until("the other stack goes on", lambda: any(checkpoints(folder).get(stack) != at for stack, at in before.items()))
        os.kill(slow, signal.SIGCONT)
        assert first.poll() is None
        begin = time.monotonic()
        first.send_signal(signal.SIGINT)
        code = first.wait(_PATIENCE)
        tell(f"Ctrl-C: the driver ended with {code} after {time.monotonic() - begin:.0f} s")
        until("the cluster ended its workers", lambda: not workers())
        hoard.stdin.close()  # its own machine may be the one that leaves
        assert hoard.stdout.readline() == b"whole\n"
    second = driver(folder / "study.yaml", environment)
    until("stacks are trained again", lambda: len(workers()) == 2)
    kill(raylets[-1], "the second raylet")
    start(*SECOND, f"--object-store-memory={_STORE}", environment=environment)
    come = [number for number in processes("raylet/raylet") if number not in raylets]
    if second.poll() is None:
        tell("the second raylet came back")
    until("it trains, or all is trained", lambda: processes("ray::striata stack-", come) or second.poll() is not None)
    code = second.wait(_PATIENCE)
    assert code == 0, (folder / "study.log").read_text()[-3000:]
    print(json.dumps(sorted({line for line in (folder / "study.log").read_text().splitlines() if "died" in line})))


if __name__ == "__main__":
    main({"deaths": deaths, "troubles": troubles}[sys.argv[1] if len(sys.argv) > 1 else "deaths"])
