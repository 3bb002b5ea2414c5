"""`python -m tests.torture.run`: the whole of it, and a table of what was tried and what survived.

Options: `--count N` for N cases of each kind drawn at random (0 for what a part takes by itself; of `load` the size in percent),
`--seed S`, `--only NAME` for one of the commands that are interrupted (again for another), and names of parts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .damage import damages
from .interruptions import HARMS, interruptions
from .load import loads
from .mutations import mutations
from .together import together
from .world import COMMANDS, World

Part = Callable[[Path, int, int, Sequence[str]], Iterator[str]]


def _interrupted(harm: str) -> Part:
    return lambda folder, count, seed, only: interruptions(
        World(folder), commands=only or tuple(COMMANDS), harms=[harm], count=count or None, seed=seed
    )


PARTS: dict[str, Part] = {
    **{harm: _interrupted(harm) for harm in HARMS},
    "damage": lambda folder, count, seed, _: damages(World(folder), count=count or None, seed=seed),
    "together": lambda folder, count, seed, _: together(World(folder), count=count or 3, seed=seed),
    "load": lambda folder, count, seed, only: loads(World(folder), percent=count or 100),
    "mutations": lambda folder, count, seed, _: mutations(folder, count=count or 1000, seed=seed),
}


def main() -> int:
    """Runs the parts; each yields an empty line for what survived, and a sentence for what did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], choices=COMMANDS)
    arguments = parser.parse_args()
    lines = ["| part | tried | survived |", "|---|---:|---:|"]
    failures = 0
    for name in arguments.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            tried = survived = 0
            for wrong in PARTS[name](Path(folder), arguments.count, arguments.seed, arguments.only):
                tried, survived = tried + 1, survived + (not wrong)
                print(wrong or ".", end="\n" if wrong else "", flush=True)
        failures += tried - survived
        lines.append(f"| {name} | {tried:,} | {survived:,} |")
    print("", *lines, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
