"""What a distilled run reaches beside its ensemble and the best single run, and at which cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ..ensemble import Ensemble
from ..evidence.sentences import points
from ..evidence.worth import gain, rows_together
from ..figures.intervals import Interval
from ..runs import Run
from ..runs.joined import Logits, Places, join
from .teacher import encoder_passes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A distilled run on the validation rows.

    Args:
        accuracy: of the distilled run.
        best: name of the best single run with adapters.
        best_accuracy: of that run, which was chosen as the best on these same rows.
        ensemble_accuracy: of the ensemble, each row by members that were chosen without it.
        difference: accuracy of the distilled run minus that of the best single run, with its interval.
        lead: likewise, of the ensemble minus the best single run.
        rows: of validation.
        passes: how often an encoder reads a text for the ensemble to answer it; for the distilled run it is once.
    """

    accuracy: float
    best: str
    best_accuracy: float
    ensemble_accuracy: float
    difference: Interval
    lead: Interval
    rows: int
    passes: int

    @property
    def share(self) -> float | None:
        """Of the ensemble's gain over the best single run, what the distilled run has; None where that is no gain."""
        return self.difference.value / self.lead.value if self.lead.value > 0 else None

    def to_json(self) -> dict[str, object]:
        """All fields, and the share."""
        return asdict(self) | {"share": self.share}

    @property
    def comparison(self) -> str:
        """The distilled run beside the best single run, in words."""
        return (
            f"validation accuracy {self.accuracy:.4f}, the best single run {self.best} {self.best_accuracy:.4f}: "
            f"{_change(self.difference)} on {self.rows:,} rows"
        )

    @property
    def retained(self) -> str:
        """The ensemble beside the best single run, and what of its gain is there still."""
        ensemble = f"the ensemble, chosen without the rows it is measured on, {self.ensemble_accuracy:.4f}: {_change(self.lead)}"
        if self.share is None:
            return f"{ensemble}, which is no gain over that run"
        return f"{ensemble}, of which the distilled run keeps {max(0.0, self.share):.0%}"

    @property
    def cost(self) -> str:
        """Passes of the encoder."""
        passes = f"a text takes 1 pass of the encoder, the ensemble {self.passes}"
        return f"{passes}: {1 / self.passes:.0%} of the cost" if self.passes > 1 else f"{passes}: nothing is saved"


def _change(change: Interval) -> str:
    return f"{points(change.value)} points ({points(change.low)} to {points(change.high)})"


def judge(logits: Logits, ids: Places, best: Run, ensemble: Ensemble) -> Verdict:
    """Compares a distilled run with the best single run and with the ensemble, row by row.

    Args:
        logits: of the distilled run, (rows, labels).
        ids: numbers of these validation rows, (rows,).
        best: the best single run.
        ensemble: the teacher.
    """
    pool = join({best.name: best})
    order = np.argsort(ids, kind="stable")
    right = pool.task.right(logits[order], pool.targets)
    before, together = pool.right([best.name])[0], rows_together(ensemble, pool)
    return Verdict(
        accuracy=float(right.mean()),
        best=best.name,
        best_accuracy=float(before.mean()),
        ensemble_accuracy=float(together.mean()),
        difference=gain(before, right),
        lead=gain(before, together),
        rows=len(right),
        passes=encoder_passes(list(ensemble.runs.values())),
    )
