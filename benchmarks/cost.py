"""How cost grows: with the members of a study, and with the tokens of a text."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np

from striata.data import Encoded

from .ours import Study
from .rows import Effort
from .work import BATCH, PEER_LAYOUT, SEED_LAYOUTS, Work

MEMBERS = (1, 2, 3, 5, 9)
LENGTHS = (16, 32, 64, 128, 256, 512)
Curve = list[dict[str, float]]


def of_length(texts: Encoded, length: int, rows: int) -> Encoded:
    """Texts of exactly `length` tokens, cut from the stream of all tokens."""
    ids = np.resize(texts.ids, rows * length)
    return Encoded(ids=ids, starts=np.arange(rows + 1) * length, types=None, truncated=np.zeros(rows, bool))


def _curve(studies: dict[int, Study], effort: Effort) -> Curve:
    """Measures all studies one after another, again and again, so that noise hits all alike."""
    seconds: dict[int, list[float]] = {at: [] for at in studies}
    tokens = dict.fromkeys(studies, 0)
    for measurement in range(effort.alternations + 1):
        for at, study in studies.items():
            spent = study.steps(1) * study.members
            if measurement:  # the first is warm-up
                seconds[at].append(spent)
                tokens[at] += study.tokens
    return [
        {
            "at": at,
            "seconds": statistics.median(seconds[at]),
            "lowest": min(seconds[at]),
            "highest": max(seconds[at]),
            "tokens": tokens[at] / effort.alternations,
        }
        for at in studies
    ]


def by_members(work: Work, effort: Effort) -> Curve:
    """Seconds a step of the first 1, 2, 3, 5 and 9 of the nine layouts."""
    return _curve({count: Study(work, SEED_LAYOUTS[:count], "bf16") for count in MEMBERS}, effort)


def by_length(work: Work, effort: Effort) -> Curve:
    """Seconds a step of one member on texts that are all of one length."""
    rows = min(64 * BATCH, len(work.texts))
    lengths = [length for length in LENGTHS if length <= work.longest]
    return _curve({n: Study(work, [PEER_LAYOUT], "bf16", of_length(work.texts, n, rows)) for n in lengths}, effort)


def plot(curves: dict[str, Any], folder: Path) -> list[Path]:
    """Draws the curves that were measured, each beside the straight line through its first point and the origin.

    Args:
        curves: as the JSON holds them.
        folder: the SVG files go here.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "striata"
    from matplotlib import pyplot

    titles = {
        "members": ("members in the study", "Cost of a step by members"),
        "length": ("tokens of each of the 16 texts", "Cost of a step by length, one member"),
    }
    written = []
    for name, (axis, title) in titles.items():
        if name not in curves:
            continue
        points = curves[name]
        at, seconds = [p["at"] for p in points], [p["seconds"] for p in points]
        spread = [[p["seconds"] - p["lowest"] for p in points], [p["highest"] - p["seconds"] for p in points]]
        figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
        axes.errorbar(at, seconds, yerr=spread, marker="o", capsize=3, label="striata, bf16")
        axes.plot([0, at[-1]], [0, seconds[0] / at[0] * at[-1]], "--", color="grey", label="in proportion to the first point")
        axes.set(xlabel=axis, ylabel="seconds a step", title=title, xlim=(0, None), ylim=(0, None))
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        target = folder / f"cost-{name}.svg"
        figure.savefig(target, metadata={"Date": None})
        pyplot.close(figure)
        written.append(target)
    return written


CURVES = {"cost-members": by_members, "cost-length": by_length}
