"""How much of the code the tests hold: mutmut breaks it in one place at a time, and this runs a sample of the breaks.

`make mutation` does so for all rooms of :data:`TESTS`; by hand, in the repository's root::

    python -m tests.mutation.run [--seed 0] [--each 15] [ROOM ...]

mutmut finds which tests call which function by running them once, and runs those for each mutant in a process forked from one
that has everything imported. All mutants of all rooms would take hours; a sample of each module by a seed says as much.
A mutant of nothing but prose (a message) counts for nothing and is left out; mutmut makes none of what stands outside a function.
Tests that start processes of their own do not see the mutants there.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WORK = Path("build") / "mutation"
# Whose tests hold a room, the quick ones only: mutmut runs them all once for each room.
TESTS = {
    "figures": ("figures", "tasks", "evidence", "calibration"),
    "tasks": ("tasks",),
    "calibration": ("calibration",),
    "evidence": ("evidence", "figures"),
    "ensemble": ("ensemble",),
    "training": ("training", "settings"),
    "engine": ("engine", "training"),
}
SLOW = ("evidence/test_simulations.py",)  # would run for every mutant
CONFIGURATION = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = ["src/striata/{room}/*"]
also_copy = ["tests", "docs", "studies", "README.md", "CHANGELOG.md", "pyproject.toml"]
pytest_add_cli_args_test_selection = [{tests}]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", {ignored}]
"""
KILLED, SURVIVED, UNREACHED = "killed", "survived", "unreached"
_SURVIVING = {0: SURVIVED, 33: UNREACHED}  # mutmut's exit codes; any other is a failed test, a crash or a time limit


@dataclass(frozen=True, slots=True)
class Mutant:
    """One break.

    Args:
        name: as mutmut calls it.
        module: dotted.
        difference: the lines that differ.
    """

    name: str
    module: str
    difference: str


class _WithoutProse(ast.NodeTransformer):
    """Empties strings that hold a space: messages, but no keys."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) and " " in node.value.strip("X") else node


def _meaning(function: ast.AST, name: str) -> str:
    return ast.dump(_WithoutProse().visit(ast.parse(ast.unparse(function).replace(name, "f"))))


def _functions(source: str) -> dict[str, ast.AST]:
    tree = ast.parse(source)
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def mutants_in(module: str, source: str) -> Iterator[Mutant]:
    """All mutants in a module that mutmut wrote, those of prose left out.

    Args:
        module: dotted name of the original.
        source: with functions `NAME__mutmut_orig` and `NAME__mutmut_1`, `NAME__mutmut_2`, ...
    """
    functions = _functions(source)
    for name, function in functions.items():
        stem, mark, number = name.rpartition("__mutmut_")
        if not mark or number == "orig":
            continue
        original = functions[f"{stem}__mutmut_orig"]
        if _meaning(function, name) == _meaning(original, f"{stem}__mutmut_orig"):
            continue
        before, after = (ast.unparse(node).splitlines()[1:] for node in (original, function))
        lines = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:3] not in ("---", "+++", "@@ ")]
        yield Mutant(f"{module}.{name}", module, "\n".join(lines))


def sample(mutants: Sequence[Mutant], each: int, seed: int) -> list[Mutant]:
    """At most `each` mutants of every module; a module's do not depend on the other modules."""
    chosen: list[Mutant] = []
    for module in sorted({mutant.module for mutant in mutants}):
        inside = sorted((mutant for mutant in mutants if mutant.module == module), key=lambda mutant: mutant.name)
        chosen += random.Random(f"{seed}:{module}").sample(inside, min(each, len(inside)))
    return chosen


def _prepare(room: str) -> Path:
    """A copy of what the tests need, set up for one room; mutmut writes into its folder `mutants`."""
    folder = WORK / room
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("src", "tests", "docs", "studies"):
        shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copy(name, folder / name)
    tests = ", ".join(f'"tests/{name}"' for name in TESTS[room])
    ignored = ", ".join(f'"--ignore=tests/{name}"' for name in SLOW)
    settings = Path("pyproject.toml").read_text(encoding="utf-8") + CONFIGURATION.format(room=room, tests=tests, ignored=ignored)
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
    return folder / "mutants"


def _mutmut(folder: Path, *names: str) -> None:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    with (folder.parent / "log.txt").open("a", encoding="utf-8") as log:
        subprocess.run(command, cwd=folder.parent, env=environment, stdout=log, stderr=log, check=False)


def _written(folder: Path) -> list[Mutant]:
    source = folder / "src"
    mutants: list[Mutant] = []
    for meta in sorted(source.rglob("*.py.meta")):
        file = meta.with_suffix("")
        mutants += mutants_in(".".join(file.relative_to(source).with_suffix("").parts), file.read_text(encoding="utf-8"))
    return mutants


def _verdicts(folder: Path) -> dict[str, str]:
    verdicts: dict[str, str] = {}
    for meta in (folder / "src").rglob("*.py.meta"):
        for name, code in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            if code is not None:
                verdicts[name] = _SURVIVING.get(code, KILLED)
    return verdicts


def run(room: str, each: int, seed: int) -> dict[Mutant, str]:
    """What became of a sample of a room's mutants: "killed", "survived", or "unreached" where no test calls the function."""
    folder = _prepare(room)
    _mutmut(folder, "no mutant has this name: write all and find out which tests call them, then stop")
    calls = json.loads((folder / "mutmut-stats.json").read_text(encoding="utf-8"))["tests_by_mangled_function_name"]
    chosen = sample(_written(folder), each, seed)
    reached = [mutant.name for mutant in chosen if calls.get(mutant.name.rpartition("__mutmut_")[0])]
    _mutmut(folder, *reached)
    verdicts = _verdicts(folder)
    missing = [name for name in reached if name not in verdicts]
    if missing:
        raise SystemExit(f"mutmut did not run {len(missing)} of {len(reached)} mutants; see {folder.parent / 'log.txt'}")
    outcome = {mutant: verdicts[mutant.name] if mutant.name in reached else UNREACHED for mutant in chosen}
    return {
        mutant: verdict if verdict == KILLED else _by_all(folder, room, mutant, verdict) for mutant, verdict in outcome.items()
    }


def _by_all(folder: Path, room: str, mutant: Mutant, verdict: str) -> str:
    """A second trial, by all tests of the room: mutmut does not see which of them call a function through a shared fixture."""
    tests = [f"tests/{name}" for name in TESTS[room]]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *(f"--ignore=tests/{name}" for name in SLOW)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": "src", "MUTANT_UNDER_TEST": mutant.name}
    done = subprocess.run([*command, *tests], cwd=folder, env=environment, capture_output=True, check=False)
    return KILLED if done.returncode == 1 else verdict


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs a sample of mutants of each module.")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"{', '.join(TESTS)}; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=15, help="most mutants of a module")
    arguments = parser.parse_args()
    for room in arguments.rooms:
        if room not in TESTS:
            parser.error(f"no room '{room}'; expected one of {', '.join(TESTS)}")
    print(f"seed {arguments.seed}, at most {arguments.each} mutants of each module", flush=True)
    for room in arguments.rooms or TESTS:
        verdicts = run(room, arguments.each, arguments.seed)
        for mutant, verdict in verdicts.items():
            if verdict != KILLED:
                print(f"\n{verdict}: {mutant.name}\n{mutant.difference}")
        counts = list(verdicts.values())
        unreached = counts.count(UNREACHED)
        print(
            f"\n{room}: {counts.count(KILLED)} of {len(counts)} killed, {unreached} in functions that no test calls", flush=True
        )


if __name__ == "__main__":
    main()
