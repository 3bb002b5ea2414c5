"""Who a study's members are, and whose controls."""

from __future__ import annotations

from typing import Any

import pytest

from striata.runs import Member
from striata.settings import load_study
from striata.study import plan_members


def members(*layouts: object, **settings: Any) -> dict[str, Member]:
    """Members of a study of one seed, by title."""
    study = {"base": "roberta-base", "head": "linear", "data": {"train": "a.csv"}, "output": "x", "layouts": list(layouts)}
    return {member.title: member for member in plan_members(load_study(study | settings), 3)}


def test_controls_say_whose_they_are() -> None:
    found = members("s8", {"layout": "0-5 r4 query | 6-11 r8 query", "name": "mine"}, controls=["uniform", "reversed"])
    assert {title: (member.control, dict(member.control_of)) for title, member in found.items()} == {
        "s8": (None, {}),
        "s8-uniform": ("uniform", {"uniform": ("s8",)}),
        "s8-reversed": ("reversed", {"reversed": ("s8",)}),
        "mine": (None, {}),
        "mine-uniform": ("uniform", {"uniform": ("mine",)}),
        "mine-reversed": ("reversed", {"reversed": ("mine",)}),
    }
    assert found["mine-uniform"].name == "mine-uniform-seed0"


@pytest.mark.parametrize("name", ["mine-uniform", "mine-reversed"])
def test_a_name_makes_no_control(name: str) -> None:
    found = members({"layout": "s8", "name": "mine"}, {"layout": "s5", "name": name})
    assert (found[name].control, found[name].control_of) == (None, {})


def test_a_listed_control_belongs_to_the_layout_it_was_made_from_whatever_that_is_called() -> None:
    found = members({"layout": "s8", "name": "fast"}, {"layout": "s8:uniform", "name": "flat"}, "s5:reversed")
    assert (found["flat"].control, found["flat"].control_of) == ("uniform", {"uniform": ("fast",)})
    assert found["s5-reversed"].control_of == {"reversed": ("s5",)}  # s5 may have been trained before
    other = members("s8", {"layout": "s8", "name": "fast", "recipe": {"learning_rate": 0.01}}, "s8:uniform")
    assert other["s8-uniform"].control_of == {"uniform": ("s8",)}  # `fast` has another recipe


def test_what_is_trained_once_is_the_control_of_all() -> None:
    shared = members("s2", "s3", controls=["uniform"])["s2-uniform"]
    assert (shared.aliases, shared.control_of) == (("s3:uniform",), {"uniform": ("s2", "s3")})
    text = "0-11 r4 a4 query"
    flat = members({"layout": text, "name": "flat"}, "0-5 r2 a4 query | 6-11 r6 a4 query", controls=["uniform"])
    (sections,) = set(flat) - {"flat"}
    assert flat["flat"].control is None
    assert flat["flat"].control_of == {"uniform": (sections,)}
    both = members({"layout": "s8", "name": "one"}, {"layout": "s8", "name": "two"}, controls=["uniform"])
    assert both["one-uniform"].control_of == {"uniform": ("one", "two")}
