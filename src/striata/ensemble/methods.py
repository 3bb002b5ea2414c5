"""One model of several runs, by any of the methods."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from ..choices import METHODS
from ..errors import EnsembleError
from .folder import Ensemble, write_ensemble
from .rule import LOSS, Rule

if TYPE_CHECKING:
    from .soup import Soup


def combine_runs(
    *paths: str | Path,
    out: str | Path | None = None,
    data: object = None,
    size: int = 4,
    by: str | None = None,
    method: str = "top",
    combine: str = "logits",
    budget: int | None = None,
    rank: int | None = None,
    loss: float = LOSS,
    cheap: str | None = None,
    base: str | Path | None = None,
    device: str = "auto",
) -> Ensemble | Soup:
    """Makes one model of runs of a study, or of several, and writes its folder.

    Args:
        paths: folders of the studies; a method that merges weights takes one.
        out: the model's folder; None for `ensemble` or `soup` in the folder of the one study.
        data: for a method that merges: the rows that the study was trained on, where they were given in memory.
        size: how many runs; for method "greedy" the most.
        by: validation figure that decides, of :data:`striata.choices.RANKINGS`; None for the task's first.
        method: of :data:`striata.choices.METHODS`.
        combine: of :data:`striata.choices.COMBINATIONS`, for a method that averages outputs.
        budget: most trainable parameters of all members together, or of the merged model.
        rank: for a method that merges: of the merged adapters; None for the largest of the runs' at each site.
        loss: for a cascade: share of rows; it loses fewer against its late stage alone.
        cheap: for a cascade: the run that answers first; None for the best of those that need no encoder.
        base: for a method that merges: where the study's encoder lies now; None for where it was.
        device: for a method that merges, since what it makes is measured: "cpu", "cuda" or "auto".

    Raises:
        EnsembleError: a setting is unknown or not the method's, there are too few runs, or they cannot be combined.
        StriataError: a study's folder, data or encoder is not what it was.
    """
    if not METHODS.check(method, EnsembleError).merges:
        merging = ", ".join(name for name, choice in METHODS.items() if choice.merges)
        if rank is not None:
            raise EnsembleError(f"{rank} is of merged weights; leave it out, or use method {merging}", argument="rank")
        if base is not None:
            raise EnsembleError(
                f"{base} is not needed to combine outputs; leave it out, or use method {merging}", argument="base"
            )
        return write_ensemble(
            *paths, out=out, size=size, by=by, method=method, combine=combine, budget=budget, loss=loss, cheap=cheap
        )
    Rule(method=method, size=size, by=by, combine=combine, budget=budget, loss=loss, cheap=cheap)  # says what is wrong
    if len(paths) > 1 or out is not None:
        raise EnsembleError(f"method {method} is of one study and writes into its folder; give one folder, and no other to write")
    merge = resolve_name(METHODS[method].maker)
    merged: Soup = merge(paths[0], data=data, size=size, by=by, budget=budget, rank=rank, base=base, device=device)
    return merged
