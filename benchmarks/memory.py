"""Peak memory of one side, in a process of its own: `python -m benchmarks.memory SIDE BASE TEXTS ROWS STEPS THREADS`."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import torch

from . import work as shared


def peak() -> int:
    """Most bytes this process ever held in memory.

    Linux adds what a parent held before `exec` to `ru_maxrss`, so the process's own mark is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def measured(side: str, *, base: Path, texts: Path, rows: int, steps: int, threads: int) -> int:
    """Bytes that a side needs, measured in a process of its own.

    Args:
        side: "ours" (nine layouts in one study) or "peer" (one run).
        base: folder with weights and tokenizer.
        texts: CSV with the columns text and label.
        rows: how many of its rows are used.
        steps: how many to train.
        threads: of the process.
    """
    command = [sys.executable, "-m", __spec__.name, side, str(base), str(texts), *map(str, (rows, steps, threads))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def main(side: str, base: str, texts: str, rows: str, steps: str, threads: str) -> None:
    """Trains one side and prints the most bytes it held."""
    torch.set_num_threads(int(threads))
    work = shared.load(Path(base), Path(texts), rows=int(rows))
    if side == "ours":
        from .ours import Study

        Study(work, shared.SEED_LAYOUTS, "bf16").steps(int(steps))
    else:
        from .peer import train_here

        train_here(work, "bf16", steps=int(steps), blocks=1, between=lambda _: None)
    print(peak())


if __name__ == "__main__":
    main(*sys.argv[1:])
