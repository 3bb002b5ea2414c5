"""What the built-in layouts are said to be for is so."""

from __future__ import annotations

from itertools import pairwise

from striata.layout import builtin_layouts, make_plan
from striata.layout.named import builtin_catalogue


def parameters(name: str) -> int:
    return make_plan(name, base="roberta-base", labels=4).lora


def test_usual_ones_come_first_and_each_says_what_it_is_for() -> None:
    catalogue = builtin_catalogue()
    assert [name for name, entry in catalogue.items() if entry.usual] == [f"s{n}" for n in range(10)]
    assert list(catalogue) == list(builtin_layouts())
    purposes = [entry.purpose for entry in catalogue.values()]
    assert len(set(purposes)) == len(purposes)


def test_parameters_are_as_said() -> None:
    sizes = {f"s{n}": parameters(f"s{n}") for n in range(10)}
    assert min(sizes, key=sizes.__getitem__) == "s0"
    assert min((f"s{n}" for n in range(1, 10)), key=sizes.__getitem__) == "s1"
    assert max(sizes, key=sizes.__getitem__) == "s4"
    assert sizes["s2"] == sizes["s3"]


def test_ranks_and_dropout_of_the_nine_grow_with_depth() -> None:
    for number in range(1, 10):
        sections = builtin_layouts()[f"s{number}"].sections
        for shallow, deep in pairwise(sections):
            assert shallow.rank < deep.rank
            assert shallow.dropout < deep.dropout
    assert max(builtin_layouts()[f"s{n}"].sections[-1].dropout for n in range(10)) == builtin_layouts()["s5"].sections[-1].dropout


def test_those_that_were_run_have_the_last_section_everywhere() -> None:
    for number in range(1, 10):
        last = builtin_layouts()[f"s{number}"].sections[-1]
        (only,) = builtin_layouts()[f"as-run-s{number}"].sections
        assert (only.first, only.last) == (0, 11)
        assert (only.rank, only.alpha, only.dropout, only.targets) == (last.rank, last.alpha, last.dropout, last.targets)
