"""Large inputs, each within bounds of memory and time; not part of `make test`.

Memory is the peak of a forked child, in which torch and the rest are loaded already; time is the processor's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import striata
from striata.ensemble import write_ensemble
from striata.model.whole_file import predict_file

from .console import Printed, printed
from .console import striata as command
from .operations import KILLED, forked
from .world import COMMANDS, World, study, work_in

_MEGABYTE = 2**20
_FLAT = 64 * _MEGABYTE  # what ten times as many rows may need more
_WORDS = [f"w{number}" for number in range(80)]


@dataclass(frozen=True, slots=True)
class Load:
    """A large input.

    Args:
        name: of it.
        call: does it in a folder with the small world's encoder, of which so many are wanted.
        size: how many.
        megabytes: that it may need.
        seconds: that it may take.
    """

    name: str
    call: Callable[[int], object]
    size: int
    megabytes: int
    seconds: int


def _write(path: str, rows: int, labels: int, *, words: int = 4, least: int = 0) -> None:
    """Rows of a few words; the first ones have one label after the other, so many times each."""
    rng = np.random.default_rng(0)
    texts = rng.integers(0, len(_WORDS), (rows, words))
    targets = rng.integers(0, labels, rows)
    targets[: labels * least] = np.tile(np.arange(labels), least)[:rows]
    with open(path, "w", encoding="utf-8") as file:
        file.write("text,label\n")
        for row, (text, label) in enumerate(zip(texts, targets, strict=True)):
            file.write(f"{' '.join(_WORDS[word] for word in text)} r{row},l{label}\n")


def _quick(**changes: Any) -> dict[str, Any]:
    """A study that learns next to nothing of the rows in many.csv."""
    settings = study(recipe={"max_steps": 2, "evaluate_every": 2}, **changes)
    return settings | {"data": {"train": "many.csv", "validation": changes.get("validation", 40), "max_length": 16}}


def _many_labels(labels: int) -> None:
    _write("many.csv", 2 * labels, labels, least=2)
    settings = _quick(layouts=["0-2 r2 query"], baselines=["lexical"], ensemble={"size": 2})
    settings["data"]["validation"] = labels
    trained = striata.train(settings, device="cpu")
    assert not trained.failed, trained.failed
    assert len(striata.load(trained.folder / "ensemble", device="cpu").labels) == labels


def _many_members(members: int) -> None:
    _write("many.csv", 120, 3, least=4)
    trained = striata.train(_quick(layouts=["0-2 r1 query"], seeds=members, ensemble={"size": members}), device="cpu")
    assert len(trained.runs) == members
    assert len(striata.load(trained.folder / "ensemble", device="cpu").predict_proba(["w1 w2", "w3"])) == 2


def _long_text(letters: int) -> None:
    _write("many.csv", 120, 3, least=4)
    long = " ".join(_WORDS * (letters // 230))
    assert len(long) > 0.9 * letters
    with open("many.csv", "a", encoding="utf-8") as file:
        file.write(f"{long},l0\n" * 3)
    trained = striata.train(_quick(layouts=["0-2 r2 query"], baselines=["lexical"], ensemble={"size": 2}), device="cpu")
    predict_file(striata.load(trained.folder / "ensemble", device="cpu"), "many.csv", "predicted.csv")
    assert len(Path("predicted.csv").read_text().splitlines()) == 124


def _check(rows: int) -> None:
    _write("many.csv", rows, 4)
    Path("study.yaml").write_text(yaml.safe_dump(_quick(layouts=["0-2 r2 query"])))
    command("check", "study.yaml")()


LOADS = (
    Load("300 labels", _many_labels, 300, 900, 60),
    Load("5,000 labels", _many_labels, 5_000, 2_000, 300),
    Load("200 members", _many_members, 200, 1_500, 300),
    Load("1 MB text", _long_text, 1_000_000, 1_500, 60),
    Load("1,000,000 rows", _check, 1_000_000, 3_000, 300),
)
PREDICTIONS = "200,000 predictions"


def loads(world: World, *, percent: int = 100, names: Sequence[str], tell: Callable[[str], object] = print) -> Iterator[str]:
    """Large inputs: an empty text for what stays within its bounds, a sentence for what does not.

    Args:
        world: in which they are tried.
        percent: of the sizes.
        names: of those to try.
        tell: told what each needs.
    """
    for load in (load for load in LOADS if load.name in names):
        place = world.folder / "large"
        shutil.copytree(world.after(""), place)
        size = max(1, load.size * percent // 100)
        done = printed(lambda load=load, size=size: load.call(size), place, seconds=load.seconds, patience=7_200)  # type: ignore[misc]
        shutil.rmtree(place)
        tell(f"{load.name}, size {size:,}: {_figures(done)}")
        yield _beyond(load, done)
    if PREDICTIONS in names:
        yield from _predictions(world, 2_000 * percent, tell)


def _figures(done: Printed) -> str:
    return f"{done.peak / _MEGABYTE:,.0f} MB, {done.seconds:,.1f} s"


def _beyond(load: Load, done: Printed) -> str:
    if done.code:
        return f"{load.name} {done}"
    within = done.peak <= load.megabytes * _MEGABYTE
    return "" if within else f"{load.name}: {_figures(done)}; expected at most {load.megabytes} MB"


def _predictions(world: World, rows: int, tell: Callable[[str], object]) -> Iterator[str]:
    """Rows predicted by an ensemble: memory does not grow with them, and a kill half way costs nothing."""
    place = world.fresh(COMMANDS["ensemble"])

    def predict() -> None:
        predict_file(striata.load("out/ensemble", device="cpu"), "many.csv", "predicted.csv", probabilities=True)

    made = printed(lambda: write_ensemble("out", size=2), place)
    assert made.code == 0, made
    peaks, expected = [], b""
    for part in (rows // 10, rows):
        forked(work_in(place, lambda part=part: _write("many.csv", part, 3)), place)  # type: ignore[misc]
        done = printed(predict, place, seconds=3_600, patience=7_200)
        assert done.code == 0, done
        tell(f"{part:,} rows predicted: {_figures(done)}")
        peaks.append(done.peak)
        expected = (place / "predicted.csv").read_bytes()
    grown = peaks[1] - peaks[0]
    yield "" if grown <= _FLAT else f"ten times the rows need {grown / _MEGABYTE:,.0f} MB more"
    (place / "predicted.csv").unlink()
    portions = -(-rows // 4096)
    ended = forked(work_in(place, predict), place, at=10 + portions)  # a portion is two operations
    left = len(list(place.glob(".predicted.csv.partial/*.logits")))
    tell(f"killed behind {left} of {portions} portions")
    done = printed(predict, place, seconds=3_600, patience=7_200)
    same = done.code == 0 and (place / "predicted.csv").read_bytes() == expected
    assert ended.code == KILLED, ended
    yield "" if same and left else f"after a kill behind {left} portions: another file, or {done}"
