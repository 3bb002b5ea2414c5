"""The text form of layouts, and how they are laid over a depth."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striata.choices import TARGETS
from striata.errors import LayoutError
from striata.layout import Layout, Section
from striata.layout.sections import from_layers

numbers = st.floats(min_value=1e-6, max_value=1e6, allow_nan=False)
integer_ranges = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda ends: (min(ends), max(ends)))
fractions = st.fractions(min_value=0, max_value=1, max_denominator=48)
fraction_ranges = st.tuples(fractions, fractions).filter(lambda e: e[0] != e[1]).map(lambda e: (min(e), max(e)))


@st.composite
def sections(draw: st.DrawFn) -> Section:
    first, last = draw(st.one_of(integer_ranges, fraction_ranges))
    return Section(
        first,
        last,
        rank=draw(st.integers(0, 512)),
        alpha=draw(st.one_of(st.integers(1, 64).map(float), numbers)),
        dropout=draw(st.floats(0, 0.999)),
        targets=tuple(draw(st.lists(st.sampled_from(list(TARGETS)), min_size=1, unique=True))),
    )


@given(st.lists(sections(), min_size=1, max_size=5))
def test_the_text_form_round_trips(found: list[Section]) -> None:
    layout = Layout(tuple(found))
    assert Layout.parse(layout.text) == layout
    assert Layout.parse(layout.text).text == layout.text


@given(st.text(max_size=60))
def test_any_text_is_a_layout_or_a_layout_error(text: str) -> None:
    try:
        layout = Layout.parse(text)
    except LayoutError as error:
        assert "\n" not in str(error)
    else:
        assert Layout.parse(layout.text) == layout


@given(st.integers(1, 30), st.data())
def test_layers_and_sections_say_the_same(depth: int, data: st.DataObject) -> None:
    kinds = [Section(0, 0, rank, 4.0, 0.0, ("query",)) for rank in (1, 2, 3)]
    claim = st.dictionaries(st.sampled_from(list(TARGETS)), st.sampled_from(kinds), max_size=3)
    layers = data.draw(st.lists(claim, min_size=depth, max_size=depth).filter(any))
    again = from_layers(layers).by_layer(depth)
    assert [{t: s.rank for t, s in claims.items()} for claims in again] == [
        {t: s.rank for t, s in claims.items()} for claims in layers
    ]


def test_alpha_defaults_to_the_rank_and_dropout_to_zero() -> None:
    (section,) = Layout.parse("3 r8 query value").sections
    assert section == Section(3, 3, 8, 8.0, 0.0, ("query", "value"))


def test_a_fraction_covers_the_layers_whose_middle_it_holds() -> None:
    layout = Layout.parse("0/1-1/3 r2 query | 1/3-1/1 r4 query")
    assert layout.sections[0].last == Fraction(1, 3)
    assert [claims["query"].rank for claims in layout.by_layer(6)] == [2, 2, 4, 4, 4, 4]
    assert [claims["query"].rank for claims in layout.by_layer(4)] == [2, 4, 4, 4]


def test_stretching_twelve_layers_to_six_and_twenty_four() -> None:
    layout = Layout.parse("0-1 r2 query | 2-3 r4 query | 4-7 r8 query | 8-11 r16 query", depth=12)
    ranks = [claims["query"].rank for claims in layout.by_layer(12)]
    assert [claims["query"].rank for claims in layout.by_layer(24)] == [rank for rank in ranks for _ in (0, 1)]
    assert [claims["query"].rank for claims in layout.by_layer(6)] == [2, 4, 8, 8, 16, 16]
    with pytest.raises(LayoutError, match="covers no layer of an encoder with 3 layers"):
        layout.by_layer(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty section"),
        ("0-5 r4 query |", "an empty section"),
        ("query r4", "'query' is no range of layers"),
        ("0-5 query", "has no whole rank"),
        ("0-5 r4.5 query", "has no whole rank"),
        ("0-5 r4", "has no target"),
        ("0-5 r4 r5 query", "gives 'r' twice"),
        ("0-5 r4 querry", r"unknown target 'querry' \(did you mean 'query'\?\)"),
        ("0-5 r4 query query", "names a target twice"),
        ("5-0 r4 query", "the first layer first"),
        ("0-5 r4 d1 query", "dropout 1 is outside"),
        ("0-5 r4 a0 query", "an alpha above 0"),
        ("1/2 r4 query", "a range of fractions has two ends"),
        ("1/0-1/2 r4 query", "denominator is 0"),
        ("1/2-3/2 r4 query", "fractions of the depth from 0 to 1"),
        (f"0-{'9' * 5_000} r4 query", "is no range of layers"),
        (f"0-1/{'9' * 5_000} r4 query", "is no range of layers"),
        (f"0-5 r{'9' * 5_000} query", "has no whole rank"),
        ("\u0661-\u0662 r4 query", "is no range of layers"),
    ],
)
def test_a_wrong_text_is_named(text: str, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        Layout.parse(text)


def test_overlapping_sections_and_layers_that_are_not_there() -> None:
    with pytest.raises(LayoutError, match=r"'0-5 r4 a4 query' and '5-11 r8 a8 query' overlap: both claim query of layer 5"):
        Layout.parse("0-5 r4 query | 5-11 r8 query").by_layer(12)
    with pytest.raises(LayoutError, match=r"names layer 12, but the encoder has 12 layers \(0 to 11\)"):
        Layout.parse("0-12 r4 query").by_layer(12)
    with pytest.raises(LayoutError, match="names layer 12, but the layout's depth is 12"):
        Layout.parse("0-12 r4 query", depth=12)
