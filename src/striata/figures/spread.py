"""Where figures scatter: over seeds, over rows, and over what is left of both.

A figure of a layout is a table of seeds times rows, both drawn from what might have been: other seeds, other texts. The variance
of the table's mean has a part per seed (the figure of a whole run moves), a part per row (some texts are hard whatever the seed)
and a rest. The parts are estimated by the two-way analysis of variance without replication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

# Chances, were all layouts equally steady, to scatter so much more than the others. At the first a layout is judged by its own
# scatter; at the second it no longer counts for the others, rare enough that leaving the largest out does not flatter the rest.
_BY_ITSELF, _LEFT_OUT = 0.05, 0.001
_SMALLEST = 1e-100  # p-values below are 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A table of seeds times rows.

    Args:
        mean: over all of it.
        seeds: how many.
        rows: how many.
        seed_variance: of the seeds' means, each over these rows; 0 with one seed, where it cannot be known.
        row_variance: of rows, beyond what the rest explains; with one seed all of the variance over rows.
        rest: variance that neither explains; 0 with one seed.
    """

    mean: float
    seeds: int
    rows: int
    seed_variance: float
    row_variance: float
    rest: float


def spread(table: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> Spread:
    """The parts of the variance of a table (seeds, rows)."""
    seeds, rows = table.shape
    values = table.astype(np.float64)
    mean = float(values.mean())
    by_row = values.mean(0)
    over_rows = float(((by_row - mean) ** 2).sum() / max(rows - 1, 1))
    if seeds == 1:
        return Spread(mean=mean, seeds=1, rows=rows, seed_variance=0.0, row_variance=over_rows, rest=0.0)
    by_seed = values.mean(1)
    total = float(((values - mean) ** 2).sum())
    left = total - rows * float(((by_seed - mean) ** 2).sum()) - seeds * float(((by_row - mean) ** 2).sum())
    rest = max(left, 0.0) / ((seeds - 1) * max(rows - 1, 1))
    return Spread(
        mean=mean,
        seeds=seeds,
        rows=rows,
        seed_variance=float(by_seed.var(ddof=1)),
        row_variance=max(over_rows - rest / seeds, 0.0),
        rest=rest,
    )


@dataclass(frozen=True, slots=True)
class Variance:
    """One independent part of a mean's variance.

    Args:
        variance: its estimate.
        freedom: degrees of freedom of the estimate; infinite when it is as good as known.
    """

    variance: float
    freedom: float


def half_width(parts: Sequence[Variance], level: float) -> float:
    """Half the width of an interval around a mean whose error is the sum of independent parts.

    Each part gets the quantile of its own degrees of freedom and the squares add up. For normal errors the chance to miss is at
    most `level`: coverage is a concave function of the squared width, so adding up exact intervals in squares can only gain.

    Args:
        parts: of the variance.
        level: chance to miss, e.g. 0.05.
    """
    return float(np.sqrt(sum(_quantile(level, part.freedom) ** 2 * part.variance for part in parts)))


def _quantile(level: float, freedom: float) -> float:
    """Two-sided quantile of Student's t; of the normal distribution for infinite freedom."""
    return -float(special.ndtri(level / 2) if np.isinf(freedom) else special.stdtrit(freedom, level / 2))


def p_value(difference: float, parts: Sequence[Variance]) -> float:
    """The smallest level whose interval leaves 0 out."""
    from scipy.optimize import brentq  # here, because it takes long to load and intervals need none of it

    known = [part for part in parts if part.variance > 0]
    if difference == 0:
        return 1.0
    if not known:
        return 0.0
    if half_width(known, _SMALLEST) < abs(difference):
        return 0.0

    def beyond(log_level: float) -> float:
        return half_width(known, float(np.exp(log_level))) - abs(difference)

    return float(np.exp(brentq(beyond, np.log(_SMALLEST), np.log1p(-1e-15), xtol=1e-10)))


def seed_parts(by_layout: Sequence[Sequence[float]]) -> list[Variance]:
    """How much the seeds of each layout scatter, learned from all layouts together.

    Few seeds of one layout say little about their variance, but all layouts of a study say it together, as in an analysis of
    variance. A layout that scatters significantly more than the others keeps its own estimate.

    Args:
        by_layout: a figure of each seed, for each layout.

    Returns:
        For each layout the variance of one seed's figure; freedom 0 where no layout has two seeds. Parts of one pool are one and
        the same object.
    """
    own = [
        Variance(float(np.var(values, ddof=1)), len(values) - 1) if len(values) > 1 else Variance(0.0, 0) for values in by_layout
    ]
    odds = [_odds(part, _pool([*own[:at], *own[at + 1 :]])) for at, part in enumerate(own)]
    pool = _pool([part for part, chance in zip(own, odds, strict=True) if chance > _LEFT_OUT])
    return [pool if chance > _BY_ITSELF else part for part, chance in zip(own, odds, strict=True)]


def _pool(parts: Sequence[Variance]) -> Variance:
    freedom = sum(part.freedom for part in parts)
    return Variance(sum(part.variance * part.freedom for part in parts) / freedom, freedom) if freedom else Variance(0.0, 0)


def _odds(own: Variance, others: Variance) -> float:
    """The chance that a layout's seeds scatter so much more than the others'; it takes three layouts to say which one is odd."""
    if not own.variance or others.freedom < 2 * own.freedom:
        return 1.0
    return float(special.fdtrc(own.freedom, others.freedom, own.variance / others.variance)) if others.variance else 0.0
