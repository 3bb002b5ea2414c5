"""The validation check of adapted runs: one that is not better than the same member without adaptation is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..choices import RANKINGS
from .run import Run

_NAMED = 3  # refused runs in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An adapted run beside the same member without adaptation, its twin, which is no worse on the validation rows.

    Args:
        run: the refused one's name.
        twin: of the same plan, recipe and seed, which stands in its place.
        by: the figure of their recipe that decides, of :data:`striata.choices.RANKINGS`.
        value: of the refused run on the validation rows.
        twin_value: likewise of its twin.
    """

    run: str
    twin: str
    by: str
    value: float
    twin_value: float

    def __str__(self) -> str:
        choice = RANKINGS[self.by]
        return f"{self.run} ({choice.title} {choice.shown(self.value)}, {self.twin} {choice.shown(self.twin_value)})"


def refusals(runs: Iterable[Run]) -> dict[str, Refusal]:
    """What the check refuses, by the name of the run, in the order of the runs.

    The figure that decides is `best_by` of the recipe; equals go to the twin. A run whose twin is not finished stands, and so
    does any run of a study with `adapt: {check: false}`.

    Args:
        runs: of one study, the twins among them.
    """
    return {run.name: refusal for run, twin in _checked(runs) if twin is not None and (refusal := _judge(run, twin)) is not None}


def accepted(runs: Iterable[Run]) -> list[Run]:
    """The runs of one study that the check leaves to choose from, in their order."""
    listed = list(runs)
    refused = refusals(listed)
    return [run for run in listed if run.name not in refused]


def check_lines(runs: Iterable[Run]) -> list[str]:
    """What the check found among the runs of one study, for people; nothing where all is well."""
    listed = list(runs)
    checked, refused = _checked(listed), refusals(listed)
    lines = [] if not refused else [refusal_sentence(list(refused.values()))]
    alone = [run.name for run, twin in checked if twin is None]
    if alone:
        lines.append(
            f"the validation check has nothing to compare {_listed(alone)} with: the same without adaptation has no finished run"
        )
    return lines


def refusal_sentence(refused: Sequence[Refusal]) -> str:
    """One sentence on refused runs, at least one, with the figures of each and of its twin."""
    subject, place = ("it is", "its") if len(refused) == 1 else ("they are", "their")
    return (
        f"the validation check refuses {_listed([str(one) for one in refused])}: {subject} no better on the validation rows than "
        f"the same without adaptation, which stands in {place} place"
    )


def _checked(runs: Iterable[Run]) -> list[tuple[Run, Run | None]]:
    """The adapted runs of a study that is checked, with their twins, where these are finished."""
    trained = [run for run in runs if run.kind == "adapter" and run.facts.distilled is None]
    adapted = [run for run in trained if run.facts.adapted is not None]
    if not adapted or not (adapted[0].facts.study.get("adapt") or {}).get("check", True):
        return []
    plain = {(run.identity, run.seed): run for run in trained if run.facts.adapted is None}
    bare = [(run, run.facts.model_copy(update={"adapted": None}).identity) for run in adapted]
    return [(run, plain.get((identity, run.seed))) for run, identity in bare]


def _judge(run: Run, twin: Run) -> Refusal | None:
    by = run.facts.by
    value, other = run.metrics[by], twin.metrics[by]
    if RANKINGS[by].merit(value) > RANKINGS[by].merit(other):
        return None
    return Refusal(run=run.name, twin=twin.name, by=by, value=value, twin_value=other)


def _listed(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - _NAMED:,} more" if len(parts) > _NAMED else ""
    return ", ".join(parts[:_NAMED]) + more
