"""Labels' shares among the rows to predict: read, or estimated, and put into a model's logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..calibration.label_shares import log_ratios, shares_by_confusion, shares_by_em, shares_of
from ..disk.yaml_text import read_yaml
from ..errors import DataError, did_you_mean
from ..tasks import SINGLE_LABEL, Task

ESTIMATE = "estimate"
ASSUMPTION = "assumes that texts of one label are like the validation rows of that label: p(text | label) is unchanged"
Priors = Mapping[str, float] | str
_Floats = npt.NDArray[np.float32]
_Known = tuple[_Floats, npt.NDArray[np.int64]]  # logits and targets of the validation rows
_FAR = 0.1  # distance of two estimates of one share from which on neither is to be believed


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelShares:
    """The labels' shares among rows without labels, each (labels,).

    Args:
        labels: their names.
        known: among the validation rows.
        shares: estimated, with the largest likelihood (Saerens et al. 2002).
        second: estimated from the confusion matrix of the validation rows (Lipton et al. 2018, arXiv:1802.03916).
        rows: how many there are.
    """

    labels: tuple[str, ...]
    known: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]
    second: npt.NDArray[np.float64]
    rows: int

    @property
    def priors(self) -> dict[str, float]:
        """The estimated shares by label."""
        return dict(zip(self.labels, self.shares.tolist(), strict=True))

    @property
    def apart(self) -> float:
        """The largest difference between the two estimates."""
        return float(np.abs(self.shares - self.second).max())

    def lines(self) -> list[str]:
        """For people: the shares that moved most, and what that rests on."""
        order = np.argsort(-np.abs(self.shares - self.known), kind="stable")[:6]
        moved = ", ".join(f"{self.labels[at]} {self.shares[at]:.1%} (validation rows {self.known[at]:.1%})" for at in order)
        lines = [f"shares of the labels among {self.rows:,} rows, estimated from these rows: {moved}; {ASSUMPTION}"]
        if self.apart > _FAR:
            lines.append(f"a second estimate, by the confusion matrix, differs by up to {self.apart:.1%}: believe neither")
        return lines

    def to_json(self) -> dict[str, object]:
        """All figures by label, and what they assume."""
        named = {"known": self.known, "shares": self.shares, "second": self.second}
        shares = {name: dict(zip(self.labels, values.tolist(), strict=True)) for name, values in named.items()}
        return {"rows": self.rows, **shares, "assumption": ASSUMPTION, "transductive": True}


def check_correctable(task: Task, *, calibrated: bool = True) -> None:
    """Refuses what cannot be corrected by shares of labels.

    Raises:
        DataError: a row has not exactly one of several labels, or probabilities are to be uncalibrated.
    """
    if task.name != SINGLE_LABEL.name:
        raise DataError(f"correct one label of several, and this model's task is {task.name}; leave them out", argument="priors")
    if not calibrated:
        raise DataError("correct calibrated probabilities; leave them out, or let probabilities be calibrated", argument="priors")


def read_shares(source: Mapping[str, float] | Path, labels: Sequence[str]) -> dict[str, float]:
    """Shares by label, adding up to 1.

    Args:
        source: numbers from 0 on by label, or a YAML or JSON file of these; only their ratios matter, so that counts will do.
        labels: names, each of which needs a number.

    Raises:
        DataError: a label is unknown or missing, or a value is no number from 0 on.
    """
    where = "priors" if isinstance(source, Mapping) else f"priors {source}"
    shares = source if isinstance(source, Mapping) else read_yaml(source, where, DataError)
    if not isinstance(shares, Mapping):
        raise DataError(f"{where}: expected a number for each label, as in `{labels[0]}: 0.2`")
    named = {str(label): share for label, share in shares.items()}
    for label, share in named.items():
        if label not in labels:
            raise DataError(f"{where}: unknown label '{label}'{did_you_mean(label, labels)}; expected {', '.join(labels)}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < float("inf"):
            raise DataError(f"{where}: label '{label}' has {share!r}; expected a number from 0 on")
    missing = [label for label in labels if label not in named]
    if missing:
        raise DataError(f"{where}: no share for label '{missing[0]}'; give one for each of {', '.join(labels)}")
    total = sum(named.values())
    if total <= 0:
        raise DataError(f"{where}: all shares are 0; expected one above 0 for some label")
    return {label: float(named[label]) / total for label in labels}


def estimate_shares(logits: _Floats, labels: Sequence[str], known: _Known, temperature: float) -> LabelShares:
    """Estimates the labels' shares among rows without labels.

    Args:
        logits: of these rows, (rows, labels); at least one row.
        labels: names.
        known: logits and targets of the validation rows.
        temperature: of the model.
    """
    before = shares_of(known[1], len(labels))
    probabilities = SINGLE_LABEL.probabilities(logits.astype(np.float64) / temperature)
    answers = SINGLE_LABEL.decide(known[0])
    return LabelShares(
        labels=tuple(labels),
        known=before,
        shares=shares_by_em(probabilities, before),
        second=shares_by_confusion(answers, known[1], SINGLE_LABEL.decide(logits), len(labels)),
        rows=len(logits),
    )


def added_logits(priors: Mapping[str, float], labels: Sequence[str], known: _Known, temperature: float) -> _Floats:
    """What is added to logits, (labels,), so that they are those of rows in which the labels have these shares."""
    shares = read_shares(priors, labels)
    ratios = log_ratios(shares_of(known[1], len(labels)), np.array([shares[label] for label in labels]))
    added: _Floats = (temperature * ratios).astype(np.float32)
    return added


def shifted_logits(logits: _Floats, priors: Priors, labels: Sequence[str], known: _Known, temperature: float) -> _Floats:
    """Logits of rows in which the labels have other shares than among the validation rows.

    Args:
        logits: (rows, labels).
        priors: shares by label, or "estimate".
        labels: names.
        known: logits and targets of the validation rows.
        temperature: of the model.

    Raises:
        DataError: the shares are none.
    """
    if isinstance(priors, str):
        if priors != ESTIMATE:
            raise DataError(f"'{priors}': expected shares by label, or 'estimate'", argument="priors")
        if not len(logits):
            return logits
        priors = estimate_shares(logits, labels, known, temperature).priors
    return logits + added_logits(priors, labels, known, temperature)
