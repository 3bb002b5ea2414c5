"""Intervals that hold a text's number at a wanted rate: split conformal prediction by absolute residuals (Papadopoulos, Proedrou,
Vovk and Gammerman 2002; Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, arXiv:1604.04173).

All intervals of a coverage are equally wide: how far the answers were off on as large a share of the validation rows. The rate is
a promise for rows that are exchangeable with these, on average over such rows, as that of label sets is
(:mod:`striata.calibration.conformal`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from .conformal import Floats, rank_of


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalFigures:
    """Intervals on rows with numbers.

    Args:
        nominal: coverage that was asked for.
        coverage: share of rows whose interval holds their number.
        width: of every interval, in the numbers' unit.
    """

    nominal: Annotated[float, Field(alias="wanted")]  # its name in files
    coverage: float
    width: float

    def to_json(self) -> dict[str, float]:
        """All fields; the coverage that was asked for is `wanted`."""
        return {"wanted": self.nominal, "coverage": self.coverage, "width": self.width}


def half_width(errors: Floats, coverage: float) -> float:
    """How far from the answer an interval reaches, to either side.

    Args:
        errors: answers less true numbers of the validation rows, (rows,).
        coverage: wanted share of intervals that hold the true number, in (0, 1).

    Raises:
        DataError: the coverage is not between 0 and 1, or there are too few rows to promise it.
    """
    rank = rank_of(len(errors), coverage, "intervals")
    return float(np.sort(np.abs(np.asarray(errors, np.float64)))[rank - 1])


def intervals_around(answers: Floats, half: float) -> npt.NDArray[np.float64]:
    """Low and high ends, (rows, 2), around answers, (rows,)."""
    middle = np.asarray(answers, np.float64)
    return np.stack([middle - half, middle + half], axis=-1)


def interval_figures(errors: Floats, half: float, nominal: float) -> IntervalFigures:
    """Measures intervals on rows with numbers.

    Args:
        errors: answers less true numbers, (rows,).
        half: from :func:`half_width`.
        nominal: coverage that was asked for.
    """
    return IntervalFigures(nominal=nominal, coverage=float((np.abs(errors) <= half).mean()), width=2 * half)
