"""A comparison in plain words."""

from __future__ import annotations

import math

from ..choices import RANKINGS


def counted(number: int, thing: str) -> str:
    """`3 seeds`, `1 seed`, `5,000 rows`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def points(difference: float) -> str:
    """A difference of shares in signed percentage points."""
    return f"{100 * difference:+.2f}"


def shown_difference(difference: float, figure: str = "accuracy") -> str:
    """A signed difference of a figure: of shares of right rows in percentage points."""
    return points(difference) if figure == "accuracy" else f"{difference:+.4g}"


def unit_of(figure: str) -> str:
    """What such a difference is one of: `points`, or the figure's title."""
    return "points" if figure == "accuracy" else RANKINGS[figure].title


def rounded(number: int) -> str:
    """A number with two digits that count."""
    digits = max(0, math.floor(math.log10(number)) - 1) if number else 0
    return f"{round(number, -digits):,}"


def speed(texts_per_second: float | None) -> str:
    """Texts a second with two digits that count; `-` where it was not measured, and no more than the clock can tell."""
    if texts_per_second is None:
        return "-"
    return "over 100,000" if texts_per_second > 100_000 else rounded(round(texts_per_second))


def duration(seconds: float) -> str:
    """Seconds as `under 0.01 s`, `45 s`, `12 min` or `3.5 h`."""
    if seconds < 0.01:
        return "under 0.01 s"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def chance(p: float) -> str:
    """A p-value as `= 0.031` or `< 0.0001`."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"


def sentence(
    names: tuple[str, str],
    verdict: str,
    estimate: tuple[float, float, float],
    p: tuple[float, float],
    *,
    rows: int,
    seeds: int,
    comparisons: int,
    needed: tuple[int | None, int | None] | None,
    figure: str = "accuracy",
) -> str:
    """What was found, by how much evidence, and what would be needed.

    Args:
        names: of what is compared.
        verdict: "better", "worse" or "not told apart".
        estimate: difference and the ends of its interval.
        p: as it is, and corrected.
        rows: of validation.
        seeds: of each layout; 0 where two runs are compared, not two layouts.
        comparisons: that were corrected for.
        needed: rows and seeds that would tell the two apart, either None where no number would; None to say nothing of it.
        figure: that is compared, of :data:`striata.choices.RANKINGS`.
    """
    link = {"better": "is better than", "worse": "is worse than"}.get(verdict, "is not told apart from")
    by = counted(rows, "row") + (f" and {counted(seeds, 'seed')}" if seeds else "")
    corrected = f", {p[1]:.2g} corrected for {comparisons} comparisons" if comparisons > 1 else ""
    difference, low, high = (shown_difference(value, figure) for value in estimate)
    text = f"{names[0]} {link} {names[1]} by {by}: {difference} {unit_of(figure)} ({low} to {high}), p {chance(p[0])}{corrected}"
    return (
        text if needed is None or link != "is not told apart from" else f"{text}; {_needed(estimate[0], needed, seeds, figure)}"
    )


def adaptation_sentence(
    verdict: str, estimate: tuple[float, float, float], p: float, *, rows: int, seeds: int, layouts: int, figure: str = "accuracy"
) -> str:
    """What adapting to texts without labels was worth.

    Args:
        verdict: "better", "worse" or "not told apart".
        estimate: difference to the same layouts without, and the ends of its interval.
        p: of no difference.
        rows: of validation.
        seeds: of each layout.
        layouts: how many were adapted, of whose differences this is the mean.
        figure: that is compared, of :data:`striata.choices.RANKINGS`.
    """
    difference, low, high = (shown_difference(value, figure) for value in estimate)
    verb = {"better": "gained", "worse": "lost"}.get(verdict, "is not told apart from none:")
    shown = difference if verdict == "not told apart" else difference.lstrip("+-")
    mean = f" in the mean of {layouts} layouts" if layouts > 1 else ""
    by = f"{counted(rows, 'row')} and {counted(seeds, 'seed')}"
    return (
        f"adaptation to texts without labels {verb} {shown} {unit_of(figure)}{mean} (difference {low} to {high}), by {by}, "
        f"p {chance(p)}"
    )


def _needed(difference: float, needed: tuple[int | None, int | None], seeds: int, figure: str) -> str:
    rows, more = needed
    if difference == 0:
        equal = "are right equally often" if figure == "accuracy" else "are equally far off"
        return f"both {equal}, so there is nothing to tell"
    ways = ([] if rows is None else [f"{rounded(rows)} rows"]) + ([] if more is None else [f"{more:,} seeds"])
    text = f"about {' or '.join(ways)} would be needed" if ways else "no number of rows or of seeds alone would tell so little"
    if seeds == 1:
        text += " to tell these two runs apart; one seed says nothing about how much seeds scatter"
    return text
