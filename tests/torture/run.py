"""`python -m tests.torture.run`: the whole of it, and a table of what was tried and what survived.

Options: `--count N` for N cases of each kind drawn at random (0 for what a part takes by itself; of `load` the size in percent),
`--seed S`, names of parts, and `--only NAME`, as often as wanted: one of the commands that are interrupted or done twice at once,
of the folders that are damaged, or of the loads.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .damage import damages
from .interruptions import HARMS, interruptions
from .load import LOADS, PREDICTIONS, loads
from .mutations import mutations
from .scenes import SCENES
from .together import TWO, together
from .world import COMMANDS, World

Part = Callable[[World, int, int, Sequence[str]], Iterator[str]]
NAMES = sorted({*COMMANDS, *(scene.name for scene in SCENES), *(load.name for load in LOADS), PREDICTIONS})


def _interrupted(harm: str) -> Part:
    return lambda world, count, seed, only: interruptions(
        world, commands=[name for name in COMMANDS if name in (only or COMMANDS)], harms=[harm], count=count or None, seed=seed
    )


def _damaged(world: World, count: int, seed: int, only: Sequence[str]) -> Iterator[str]:
    scenes = [scene for scene in SCENES if not only or scene.name in only]
    return damages(world, count=count or None, seed=seed, scenes=scenes)


def _together(world: World, count: int, seed: int, only: Sequence[str]) -> Iterator[str]:
    if not only:
        return together(world, count=count or 3, seed=seed)
    commands = [name for name in TWO if name in only]
    return together(world, count=count or 3, seed=seed, commands=commands, writers=(), readers=())


PARTS: dict[str, Part] = {
    **{harm: _interrupted(harm) for harm in HARMS},
    "damage": _damaged,
    "together": _together,
    "load": lambda world, count, seed, only: loads(world, percent=count or 100, names=only or NAMES),
    "mutations": lambda world, count, seed, _: mutations(world.folder, count=count or 1000, seed=seed),
}


def main() -> int:
    """Runs the parts; each yields an empty line for what survived, and a sentence for what did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], choices=NAMES, metavar="NAME")
    arguments = parser.parse_args()
    lines = ["| part | tried | survived |", "|---|---:|---:|"]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for name in arguments.parts or PARTS:
            tried = survived = 0
            for wrong in PARTS[name](world, arguments.count, arguments.seed, arguments.only):
                tried, survived = tried + 1, survived + (not wrong)
                print(wrong or ".", end="\n" if wrong else "", flush=True)
            failures += tried - survived
            lines.append(f"| {name} | {tried:,} | {survived:,} |")
    print("", *lines, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
