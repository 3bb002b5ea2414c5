"""What a study will be able to tell, before it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np

from ..errors import StudyError
from ..figures.spread import spread
from ..runs import Member
from ..runs.joined import join
from ..runs.study_folder import StudyFolder
from .groups import group_runs
from .power import POWER, Design, Noise, resolvable
from .references import Named, references
from .sentences import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """The difference a study can resolve.

    Args:
        rows: of validation.
        seeds: of each layout.
        comparisons: against references, corrected for.
        reference: what each layout is compared with, in words.
        resolvable: the smallest difference in accuracy told apart with a power of 80 % at the strictest of Holm's levels; None
            when no difference is.
        more_seeds: likewise with one seed more.
        four_times: likewise with four times the rows.
        assumptions: what this rests on, in words.
    """

    rows: int
    seeds: int
    comparisons: int
    reference: str
    resolvable: float | None
    more_seeds: float | None
    four_times: float | None
    assumptions: str

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        if not self.comparisons:
            return ["resolves: nothing, for there is one layout only; add layouts, or `controls: [uniform, reversed]`"]
        by = ", ".join((counted(self.rows, "row"), counted(self.seeds, "seed"), counted(self.comparisons, "comparison")))
        more = f"with one seed more {_share(self.more_seeds)}, with four times the rows {_share(self.four_times)}"
        lines = [f"resolves: differences in accuracy of {_share(self.resolvable)} and more ({by}); {more}", self.assumptions]
        if self.seeds == 1:
            lines.append("with one seed this holds for the runs, not for the layouts: another seed may say otherwise; use three")
        return lines


def foresee(members: Sequence[Member], rows: int, *, level: float = 0.05, noise: Noise | None = None) -> Foresight:
    """The difference that a study's comparison with its references will resolve.

    Args:
        members: of the study.
        rows: of validation.
        level: chance of any false alarm.
        noise: what blurs the differences; None assumes what is usual.
    """
    named = {}
    for member in members:
        named[member.title] = Named(
            title=member.title,
            layout=member.layout,
            aliases=member.aliases,
            control=member.control,
            control_of=member.control_of,
        )
    known = list(named.values())
    pairs, rule = references(known, known[0], None, "the study")
    seeds = len({member.seed for member in members})
    blur = noise or Noise.assumed()

    def least(rows: int, seeds: int) -> float | None:
        design = Design(rows=rows, seeds=seeds, layouts=len(known), comparisons=len(pairs), level=level)
        return resolvable(design, blur) if pairs else None

    return Foresight(
        rows=rows,
        seeds=seeds,
        comparisons=len(pairs),
        reference=rule,
        resolvable=least(rows, seeds),
        more_seeds=least(rows, seeds + 1),
        four_times=least(4 * rows, seeds),
        assumptions=(
            f"assumes that two runs differ in being right on {blur.by_row + blur.rest:.1%} of the rows, on "
            f"{_of(blur.by_row, blur.by_row + blur.rest):.0%} of these whatever the seed; that a layout's true accuracy "
            f"scatters by {100 * blur.by_seed**0.5:.2f} points from seed to seed; "
            f"a power of {POWER:.0%} at a level of {level:g} after Holm"
        ),
    )


def measured_noise(folder: StudyFolder) -> Noise:
    """What blurred the differences of a finished study, on average over its pairs of layouts; to plan one like it.

    Args:
        folder: of the study.

    Raises:
        StudyError: no two layouts have two seeds in common, or runs cannot be compared.
        RunError: a run is damaged, or runs cannot be joined on their validation rows.
    """
    runs = folder.runs()
    pool = join({run.name: run for run in runs}) if runs else None
    spreads, scatter = [], []
    for one, other in combinations(group_runs(runs), 2):
        common = sorted(set(one.runs) & set(other.runs))
        if pool is None or len(common) < 2:
            continue
        ours, theirs = (pool.right(layout.at(common)).astype(np.int8) for layout in (one, other))
        spreads.append(spread(ours - theirs))
        scatter += [float(ours.mean(1).var(ddof=1)), float(theirs.mean(1).var(ddof=1))]
    if not spreads:
        raise StudyError(f"{folder.path} has no two layouts with two seeds in common, so that its noise cannot be measured")
    rest, rows = float(np.mean([part.rest for part in spreads])), spreads[0].rows
    return Noise(
        by_seed=max(0.0, float(np.mean(scatter)) - rest / rows / 2),
        by_row=float(np.mean([part.row_variance for part in spreads])),
        rest=rest,
    )


def _of(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _share(difference: float | None) -> str:
    return "none" if difference is None else f"{100 * difference:.2f} points"
