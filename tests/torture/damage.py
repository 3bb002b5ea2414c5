"""Every kind of file that striata writes, damaged; what reads it gives what it gave before, or says in a line what is wrong.

Not damage, because nothing reads it again: `report.html` and model cards (README.md), which are for people, and lock files,
which are empty. Nor is the deletion of a measurement that stands by itself (`test.json`, `audit.json`, `checks/`), which is how
one gets rid of it: nothing says that it was there. A file of embeddings that are not needed again stays as it is: whoever reads
it later sees by its name that it is damaged, and computes them anew. A flipped bit in the space between a JSON document's values
changes none of them.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from .console import Printed, limit_after, printed
from .scenes import SCENES, Reading, Scene
from .world import World, content

NOT_DAMAGE = {"report.html", "README.md", ".lock", "train.lock"}
OPTIONAL = ("out/test.json", "out/audit.json", "out/checks/")
_STRANGERS = ("notes.txt", "head.safetensors", "calibration.json", "run.json", "vocabulary.json", "adapter_model.bin", ".hidden")


def _flip(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _erase(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes(min(4096, len(data) - at)) + data[at + 4096 :]


CHANGES: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    "a flipped bit": _flip,
    "truncated": lambda data, chance: data[: chance.randrange(len(data))],
    "zeros": _erase,  # as after a power cut
}
DAMAGES = (*CHANGES, "deleted", "a file added")


@dataclass(frozen=True, slots=True)
class _Case:
    scene: Scene
    file: str
    damage: str
    seed: str

    def apply(self, place: Path) -> str:
        """Damages a copy of the scene; returns the name of the file that is not what it was."""
        chance = random.Random(self.seed)
        file = place / self.file
        data = file.read_bytes()
        if self.damage == "deleted":
            file.unlink()
            return self.file
        if self.damage == "a file added":
            name = chance.choice([*_STRANGERS, f"{file.stem}-copy{file.suffix}", f"0{file.name}"])
            added = file.with_name(name)
            if added.exists():
                added = file.with_name("another.json")
            added.write_bytes(data)
            return str(added.relative_to(place))
        file.write_bytes(CHANGES[self.damage](data, chance))
        return self.file


class _Stage:
    """A scene, and what its readings give when nothing is wrong."""

    def __init__(self, scene: Scene, world: World) -> None:
        self.scene, self.folder = scene, world.folder / f"whole-{scene.name}"
        self._place = world.folder / f"scene-{scene.name}"  # always the same, as what is written may name it
        scene.make(world, self._place)
        self._place.rename(self.folder)
        self._references: dict[str, tuple[Printed, dict[str, str]]] = {}

    def files(self) -> list[str]:
        """What striata has written."""
        names = [str(path.relative_to(self.folder)) for path in sorted(self.folder.rglob("*")) if path.is_file()]
        ours = (name for name in names if name.startswith(("out/", ".")))
        return [name for name in ours if Path(name).name not in NOT_DAMAGE and (self.folder / name).stat().st_size]

    def reference(self, reading: Reading) -> tuple[Printed, dict[str, str]]:
        """What a reading prints and makes."""
        if reading.name not in self._references:
            place = self._copy()
            done = printed(reading.call, place)
            assert done.code == 0, f"{self.scene.name}, {reading.name} {done}"
            self._references[reading.name] = done, _results(place, reading)
            shutil.rmtree(place)
        return self._references[reading.name]

    def trial(self, case: _Case, reading: Reading) -> str:
        """A reading of what is damaged: what is wrong with that, or nothing."""
        before, expected = self.reference(reading)
        place = self._copy()
        try:
            name = case.apply(place)
            damaged = (place / name).read_bytes() if (place / name).exists() else None
            after = printed(reading.call, place, seconds=limit_after(before))
            wrong = "" if after.refused else str(after)
            if not after.code:
                wrong = self._compare(before, after, expected, _results(place, reading))
                wrong = wrong or self._still_damaged(place, name, damaged, reading)
        finally:
            shutil.rmtree(place)
        return f"{self.scene.name}, {case.file}, {case.damage} ({case.seed}), {reading.name}: {wrong}" if wrong else ""

    def _compare(self, before: Printed, after: Printed, expected: dict[str, str], actual: dict[str, str]) -> str:
        """What is another result than before, and not said to be one."""
        if any("left out" in line for line in after.remarks - before.remarks):
            return ""
        if after.out != before.out and "took" not in after.out:
            return f"prints another result in silence: {_other_line(before.out, after.out)}"
        names = expected.keys() | actual.keys()
        other = sorted(name for name in names if expected.get(name) != actual.get(name) and Path(name).name not in NOT_DAMAGE)
        other = [name for name in other if name in expected or (self.folder / name).exists()]  # what was added is none of it
        return f"makes another result in silence: {', '.join(other[:6])}" if other else ""

    def _still_damaged(self, place: Path, name: str, damaged: bytes | None, reading: Reading) -> str:
        """Whether a command that writes a file has left it as it is."""
        ours = name.startswith(reading.results) and not name.startswith(reading.ignored or "/") if reading.results else False
        original, file = self.folder / name, place / name
        if not ours or damaged is None or not original.exists() or not file.exists() or file.read_bytes() != damaged:
            return ""
        return "" if _same_values(original.read_bytes(), damaged) else f"{name} is still damaged"

    def _copy(self) -> Path:
        shutil.copytree(self.folder, self._place)
        return self._place


def _results(place: Path, reading: Reading) -> dict[str, str]:
    files = [path for name in reading.results for path in [place / name, *sorted((place / name).rglob("*"))] if path.is_file()]
    names = {str(path.relative_to(place)): path for path in files}
    return {name: _digest(path) for name, path in names.items() if not name.startswith(reading.ignored or "/")}


def _digest(path: Path) -> str:
    """Of what it holds; a cascade that a report leaves out is said so in the page, which is no other result in silence."""
    if path.suffix != ".html":
        return sha256(path.read_bytes()).hexdigest() if path.suffix == ".md" else content(path)
    page = path.read_bytes()
    return "says what is left out" if b"cascade beside it is left out" in page else sha256(page).hexdigest()


def _same_values(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other


def _other_line(before: str, after: str) -> str:
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next((f"{one.strip()} | {other.strip()}" for one, other in pairs if one != other), "more or fewer lines")[:300]


def damages(
    world: World,
    *,
    count: int | None = None,
    seed: int = 0,
    scenes: Sequence[Scene] = SCENES,
    tell: Callable[[str], object] = print,
) -> Iterator[str]:
    """Damages, each read by one command: an empty text for what survives, a sentence for what does not.

    Args:
        world: in which the scenes are made.
        count: how many, drawn at random; None for every damage to every file.
        seed: of the draw and the damages.
        scenes: of :data:`SCENES`.
        tell: told what is tried.
    """
    chance = random.Random(seed)
    stages = {scene.name: _Stage(scene, world) for scene in scenes}
    cases = [
        _Case(stage.scene, file, damage, f"{seed} {file} {damage}")
        for stage in stages.values()
        for file in stage.files()
        for damage in DAMAGES
        if damage != "deleted" or not file.startswith(OPTIONAL)
    ]
    tell(f"{len(cases)} damages in {len(stages)} folders")
    if count is not None:
        cases = chance.sample(cases, min(count, len(cases)))
    for case in cases:
        yield stages[case.scene.name].trial(case, _reader(case, chance))


def _reader(case: _Case, chance: random.Random) -> Reading:
    """One of the commands, half the time one that reads the file's own folder where there is such a one."""
    own = [
        one
        for one in case.scene.readings
        if one.name.partition(" ")[2].startswith("out/") and case.file.startswith(one.name.split()[1])
    ]
    return chance.choice(own if own and chance.random() < 0.5 else list(case.scene.readings))
