"""One label of several that have an order: stars, grades, degrees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from ..errors import DataError
from ..figures.scores import Scores, mean_distance, quadratic_kappa
from .single_label import SingleLabel

Floats = npt.NDArray[np.floating]
Places = npt.NDArray[np.int64]
_SHOWN = 6  # labels in a message
_NUMBER = re.compile(r"\s*(-?[0-9]{1,18}(?:\.[0-9]{1,18})?)(?![0-9.])")  # at the beginning: 4, 4.5, 4 stars


class Ordinal(SingleLabel):
    """One label of several in an order, lowest first: targets, probabilities and outputs are those of a single label, so that
    heads, adapters, exports and ensembles are, too.

    The decision is the median of the probabilities: the label whose expected distance to the true one, in steps of the order, is
    smallest. The loss asks of every border between labels whether the true one lies above it
    (:func:`striata.training.losses.cumulative`), as cumulative link models do (McCullagh 1980, Regression Models for Ordinal
    Data, J. R. Stat. Soc. B 42).
    """

    name = "ordinal"
    loss = "cumulative"
    ordered = True
    calibrated = True
    rankings = ("accuracy", "macro_f1", "loss", "mae", "kappa")

    def order(self, values: Iterable[str], declared: Sequence[str] | None, source: str) -> tuple[str, ...]:
        """All labels, lowest first: by the number that each is or begins with, else as the source declares.

        Raises:
            DataError: there is only one, or neither numbers nor the source say which is lower.
        """
        present = sorted(set(values))
        numbers = [float(match[1]) for label in present if (match := _NUMBER.match(label))]
        if len(set(numbers)) == len(present):
            declared = [label for _, label in sorted(zip(numbers, present, strict=True))]
        elif declared is None:
            shown = ", ".join(present[:_SHOWN]) + (", ..." if len(present) > _SHOWN else "")
            raise DataError(
                f"{source} has the labels {shown}, and nothing says which is lower; write numbers, or list all labels, lowest "
                "first, as `data.order` in the study file, or give an ordered categorical column"
            )
        return super().order(present, declared, source)

    def decide(self, outputs: Floats) -> Places:
        """Places of the medians: the lowest label that at least half of the probability lies up to.

        Args:
            outputs: logits or log-probabilities, (..., labels).
        """
        below: Places = (np.cumsum(softmax(np.asarray(outputs, np.float64), axis=-1), axis=-1)[..., :-1] < 0.5).sum(-1)
        return below

    def scores(self, logits: Floats, targets: Places) -> Scores:
        """Those of a single label, the mean distance in steps of the order, and Cohen's kappa with quadratic weights."""
        predicted = self.decide(logits)
        return Scores(
            super().scores(logits, targets),
            mae=mean_distance(predicted, targets),
            kappa=quadratic_kappa(predicted, targets),
        )

    def score(self, logits: Floats, targets: Places, by: str) -> float:
        """One of the scores, larger for better logits; raises as for a single label."""
        if by == "mae":
            return -mean_distance(self.decide(logits), targets)
        if by == "kappa":
            return quadratic_kappa(self.decide(logits), targets)
        return super().score(logits, targets, by)

    def whole(self, inside: npt.NDArray[np.bool_], decided: Places) -> npt.NDArray[np.bool_]:
        """Label sets with the decided label, and with every label between two of theirs: stretches of the order."""
        inside = inside.copy()
        inside[np.arange(len(inside)), decided] = True
        stretches: npt.NDArray[np.bool_] = np.maximum.accumulate(inside, 1) & np.maximum.accumulate(inside[:, ::-1], 1)[:, ::-1]
        return stretches


ORDINAL = Ordinal()
