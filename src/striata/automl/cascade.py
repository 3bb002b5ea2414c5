"""The cascade of a fit: the same answers at a smaller cost, where validation rows show that next to nothing is lost."""

from __future__ import annotations

from ..ensemble import Ensemble, Rule, choose, write_ensemble
from ..errors import EnsembleError
from ..runs.joined import join
from ..steps import Trained

LOSSES = (0.001, 0.005)  # share of all texts; the second where too few rows could show the first
_LEAST = 0.1  # of the texts, answered early: below it a cascade saves too little to be worth a folder


def write_cascade(trained: Trained) -> Ensemble | None:
    """Writes `cascade/` beside the ensemble of a study: the best run without an encoder answers what it is sure of.

    Args:
        trained: a study's outcome, with an ensemble.

    Returns:
        The cascade; None where no run can answer first, or it would answer few texts alone.
    """
    assert trained.ensemble is not None
    pool, size = join(trained.runs), len(trained.ensemble.members)
    for loss in LOSSES:
        try:
            chosen = choose(pool, Rule(method="cascade", size=size, loss=loss)).cascade
        except EnsembleError:  # all runs need an encoder, or none does
            return None
        assert chosen is not None
        if chosen.threshold is not None and chosen.share >= _LEAST:
            return write_ensemble(trained.folder, out=trained.folder / "cascade", method="cascade", size=size, loss=loss)
    return None
