"""Sets of labels that hold the true one at a wanted rate: split conformal prediction by the least ambiguous sets (Sadinle, Lei
and Wasserman 2019, arXiv:1609.00451).

The rate is a promise for rows that are exchangeable with the validation rows (drawn from the same source, in any order), on
average over such rows: not for each label or kind of text by itself, and not for texts from elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..errors import DataError
from ..tasks import likeliest

Floats = npt.NDArray[np.floating]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFigures:
    """Label sets on labelled rows.

    Args:
        nominal: coverage that was asked for.
        coverage: share of rows whose set holds the true label, or all of several.
        mean_size: labels in a set, on average.
        single: share of rows whose set is one label.
    """

    nominal: Annotated[float, Field(alias="wanted")]  # its name in files
    coverage: float
    mean_size: float
    single: float

    def to_json(self) -> dict[str, object]:
        """All fields; the coverage that was asked for is `wanted`."""
        return {"wanted": self.nominal, "coverage": self.coverage, "mean_size": self.mean_size, "single": self.single}


def check_share(value: float, argument: str) -> None:
    """Refuses a share that nothing or everything has.

    Args:
        value: the share.
        argument: the name of the argument that it was given as.

    Raises:
        DataError: it is not between 0 and 1.
    """
    if not 0 < value < 1:
        raise DataError(f"{value:g} is not between 0 and 1; expected a share such as 0.95", argument=argument)


def fewest_rows(coverage: float) -> int:
    """The fewest validation rows with which a coverage can be promised by sets smaller than all labels."""
    rows = max(1, math.ceil(coverage / (1 - coverage)) - 1)
    while _rank(rows, coverage) > rows:
        rows += 1
    return rows


def _rank(rows: int, coverage: float) -> int:
    """Which of the ascending scores decides; the 1 is the row to be predicted, which is as likely in any place as the others."""
    return max(1, math.ceil((rows + 1) * coverage - 1e-9))


def rank_of(rows: int, coverage: float, what: str) -> int:
    """Which of the ascending scores of validation rows decides, from 1.

    Args:
        rows: how many there are.
        coverage: that is wanted.
        what: is to have it, for the message.

    Raises:
        DataError: the coverage is not between 0 and 1, or there are too few rows to promise it.
    """
    check_share(coverage, "coverage")
    rank = _rank(rows, coverage)
    if rank > rows:
        raise DataError(
            f"{what} with coverage {coverage:g} need at least {fewest_rows(coverage)} validation rows, and the model has {rows}; "
            f"ask for at most {rows / (rows + 1):.4g}, or train with more validation rows"
        )
    return rank


def set_threshold(probabilities: Floats, targets: Places, coverage: float) -> float:
    """The probability from which on labels belong to the set.

    Args:
        probabilities: of the validation rows, (rows, labels).
        targets: places of their true labels, (rows,); where rows have several, 0 or 1 for each, (rows, labels): a set then has
            to hold all of them.
        coverage: wanted share of sets that hold the true label, in (0, 1).

    Raises:
        DataError: the coverage is not between 0 and 1, or there are too few rows to promise it.
    """
    rows = len(targets)
    rank = rank_of(rows, coverage, "sets")
    if targets.ndim == 2:  # the least likely of the row's labels; a row without any is in every set
        of_truth = np.where(targets > 0, probabilities, 1.0).min(1).astype(np.float64)
    else:
        of_truth = probabilities[np.arange(rows), targets].astype(np.float64)
    return float(np.sort(of_truth)[rows - rank])


def label_sets(probabilities: Floats, threshold: float, *, several: bool = False) -> npt.NDArray[np.bool_]:
    """Which labels belong to each row's set, (rows, labels); the most likely always does, which can only add to the coverage.

    Args:
        probabilities: (rows, labels).
        threshold: from :func:`set_threshold`.
        several: whether a row has several labels or none, so that a set may be empty.
    """
    inside: npt.NDArray[np.bool_] = probabilities.astype(np.float64) >= threshold
    if not several:
        inside[np.arange(len(inside)), likeliest(probabilities)] = True
    return inside


def set_figures(inside: npt.NDArray[np.bool_], targets: Places, nominal: float) -> SetFigures:
    """Measures sets on labelled rows.

    Args:
        inside: from :func:`label_sets`.
        targets: places of the true labels, (rows,).
        nominal: coverage that was asked for.
    """
    sizes = inside.sum(1)
    covered = inside[np.arange(len(inside)), targets] if targets.ndim == 1 else (inside | (targets == 0)).all(1)
    return SetFigures(
        nominal=nominal,
        coverage=float(covered.mean()),
        mean_size=float(sizes.mean()),
        single=float((sizes == 1).mean()),
    )
