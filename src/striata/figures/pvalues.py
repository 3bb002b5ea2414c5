"""Chances of what was seen, were there nothing to see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test (McNemar 1947, in its binomial form).

    Args:
        only_first: rows that only the first gets right.
        only_second: rows that only the second gets right.
    """
    from scipy.stats import binom

    discordant = only_first + only_second
    return min(1.0, 2 * float(binom.cdf(min(only_first, only_second), discordant, 0.5))) if discordant else 1.0


NUISANCE = 0.001  # chance that the share of gained rows lies outside of where the p-value of a loss looks for the worst one
_TRIED = 40  # shares of gained rows between these limits
_UNLIKELY = 1e-9


@lru_cache(maxsize=4096)
def loss_pvalue(lost: int, gained: int, rows: int, margin: float) -> float:
    """Exact one-sided p-value of "the share of lost rows is at least `margin` above that of gained rows".

    Small where a loss of `margin` is excluded. Lost and gained are the discordant rows of a pair. All outcomes that the score
    statistic (Tango 1998) calls no less extreme count, their chance being the largest for any share of gained rows in an interval
    that misses the true one with probability :data:`NUISANCE`, which is added (Berger and Boos 1994).

    Args:
        lost: rows that only the first of the pair gets right.
        gained: rows that only the second gets right.
        rows: all rows.
        margin: between 0 and 1.
    """
    from scipy.special import gammaln, xlogy
    from scipy.stats import beta, binom

    least = float(beta.ppf(NUISANCE / 2, gained, rows - gained + 1)) if gained else 0.0
    most = float(beta.isf(NUISANCE / 2, gained + 1, rows - gained)) if gained < rows else 1.0
    most = min(most, (1 - margin) / 2)
    least = min(least, most)

    def counts(low: float, high: float) -> npt.NDArray[np.float64]:
        """Numbers of rows that shares from low to high can give."""
        return np.arange(binom.ppf(_UNLIKELY, rows, low), binom.isf(_UNLIKELY, rows, high) + 1)

    b, c = (grid.ravel() for grid in np.meshgrid(counts(least + margin, most + margin), counts(least, most)))
    extreme = (b + c <= rows) & (_score(b, c, rows, margin) <= _score(lost, gained, rows, margin) + 1e-9)
    b, c = b[extreme], c[extreme]
    ways = gammaln(rows + 1) - gammaln(b + 1) - gammaln(c + 1) - gammaln(rows - b - c + 1)
    chances = (
        np.exp(ways + xlogy(b, q + margin) + xlogy(c, q) + xlogy(rows - b - c, 1 - 2 * q - margin)).sum()
        for q in least + (most - least) * np.linspace(0, 1, _TRIED) ** 2
    )
    return min(1.0, float(max(chances)) + NUISANCE)


def _score(lost: npt.ArrayLike, gained: npt.ArrayLike, rows: int, margin: float) -> npt.NDArray[np.float64]:
    """Tango's statistic: the difference less the margin, in standard deviations of the likeliest shares with that difference."""
    b, c = np.asarray(lost, np.float64), np.asarray(gained, np.float64)
    linear = (2 * rows - b + c) * margin - b - c
    share = (np.sqrt(linear**2 + 8 * rows * c * margin * (1 - margin)) - linear) / (4 * rows)
    statistic: npt.NDArray[np.float64] = (b - c - rows * margin) / np.sqrt(rows * (2 * share + margin * (1 - margin)))
    return statistic


def same_share(hits: int, rows: int, other_hits: int, other_rows: int) -> float:
    """Exact two-sided p-value of "one share of both kinds of rows" (Fisher 1935).

    Args:
        hits: among `rows`.
        rows: of the one kind.
        other_hits: among `other_rows`.
        other_rows: of the other kind.
    """
    from scipy.stats import fisher_exact

    table = np.array([[hits, rows - hits], [other_hits, other_rows - other_hits]])
    return float(fisher_exact(table).pvalue)


def fewest_rows(margin: float, level: float) -> int:
    """Rows on which :func:`loss_pvalue` is at most `level` when none is lost and none gained."""
    return int(np.ceil(np.log(level - NUISANCE) / np.log1p(-margin)))


def smallest_margin(rows: int, level: float) -> float:
    """The margin that so many rows exclude when none is lost and none gained; see :func:`fewest_rows`."""
    return float(1 - (level - NUISANCE) ** (1 / rows))


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, step down (Holm 1979): with all of them at most `level`, the chance of any false alarm
    is at most `level`, whatever their dependence."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    corrected, largest = [1.0] * len(values), 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[at]))
        corrected[at] = largest
    return corrected
