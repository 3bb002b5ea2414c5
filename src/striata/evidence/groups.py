"""The runs of a study, by the layout and recipe they are seeds of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import StudyError
from ..runs.run import Run
from .references import Named


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Named):
    """The runs of one layout and recipe.

    Args:
        runs: by seed.
    """

    runs: Mapping[int, Run]

    def at(self, seeds: Iterable[int]) -> list[str]:
        """Names of the runs of some seeds, in their order."""
        return [self.runs[seed].name for seed in seeds]

    @property
    def first(self) -> Run:
        """The run of the lowest seed."""
        return self.runs[min(self.runs)]


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Runs by layout and recipe, in the order of the names.

    Raises:
        StudyError: two runs are one layout, recipe and seed under one name.
    """
    groups: dict[tuple[str, tuple[str, str, str]], dict[int, Run]] = defaultdict(dict)
    for run in runs:
        groups[run.title, run.identity][run.seed] = run
    titles = [title for title, _ in groups]
    for title in titles:
        if titles.count(title) > 1:
            raise StudyError(
                f"the runs of {title} have different plans or recipes, so they are no seeds of one layout; "
                "keep the runs of one of them, or give each layout a name of its own"
            )
    return [
        Group(
            title=title,
            layout=by_seed[min(by_seed)].facts.layout,
            aliases=tuple(dict.fromkeys(alias for run in by_seed.values() for alias in run.aliases)),
            control=by_seed[min(by_seed)].facts.control,
            control_of=_control_of(list(by_seed.values())),
            runs=by_seed,
        )
        for (title, _), by_seed in groups.items()
    ]


def run_alone(run: Run) -> Group:
    """A run as if it were a layout with one seed."""
    return Group(title=run.name, layout=run.name, aliases=(), control=None, control_of={}, runs={run.seed: run})


def _control_of(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    kinds = dict.fromkeys(kind for run in runs for kind in run.facts.control_of)
    return {kind: tuple(dict.fromkeys(t for run in runs for t in run.facts.control_of.get(kind, ()))) for kind in kinds}
