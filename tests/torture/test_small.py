"""A small part of the torture; the whole is `python -m tests.torture.run`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from .damage import damages
from .interruptions import HARMS, interruptions
from .scenes import FINISHED
from .together import together
from .world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize(
    ("commands", "harms", "count"),
    [
        (["train"], ["killed"], 2),
        (["predict"], ["killed"], 1),
        (["ensemble"], list(HARMS), 1),
        (["fit of words"], ["EIO"], 1),
        (["soup"], ["ENOSPC"], 1),
    ],
    ids=["train", "predict", "ensemble", "fit", "soup"],
)
def test_an_interrupted_command_is_made_good_by_the_same_command(
    world: World, commands: Sequence[str], harms: Sequence[str], count: int
) -> None:
    tries = list(interruptions(world, commands=commands, harms=harms, count=count, seed=3, tell=quiet))
    assert len(tries) == len(commands) * len(harms) * count
    assert [wrong for wrong in tries if wrong] == []


def test_what_is_damaged_is_noticed_by_whatever_reads_it(world: World) -> None:
    tries = list(damages(world, count=8, seed=3, scenes=[FINISHED], tell=quiet))
    assert len(tries) == 8
    assert [wrong for wrong in tries if wrong] == []


def test_two_processes_in_one_folder_do_not_harm_each_other(world: World) -> None:
    tries = list(together(world, count=1, seed=3, commands=["predict"], writers=["ensemble"], readers=["predict"], tell=quiet))
    assert len(tries) == 3
    assert [wrong for wrong in tries if wrong] == []
