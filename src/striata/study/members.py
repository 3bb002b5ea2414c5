"""From a study to its members: every layout with every seed, planned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import LayoutError, PlanError, StudyError
from ..layout import Plan, make_plan
from ..training import Recipe
from .file import LayoutSettings, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One (layout, recipe, seed) to be trained.

    Args:
        name: of its run.
        layout: what the study calls the layout.
        seed: of its weights, data order and dropout masks.
        recipe: how it is trained.
        plan: what is trained.
    """

    name: str
    layout: str
    seed: int
    recipe: Recipe
    plan: Plan


def members(study: Study, labels: int) -> tuple[Member, ...]:
    """The members of a study, in the order of its layouts and seeds.

    Args:
        study: checked settings.
        labels: number of labels.

    Raises:
        StudyError: two members have one name, or a setting that all must share differs.
        LayoutError, PlanError, BudgetError, EncoderError: a layout cannot be planned.
    """
    found: list[Member] = []
    for entry in study.layouts:
        spec = entry if isinstance(entry, str) else entry.layout
        try:
            plan = make_plan(spec, base=study.base, labels=labels, head=study.head, budget=study.budget)
        except (LayoutError, PlanError) as error:
            raise type(error)(f"layout '{spec}': {error}") from None
        recipe = study.recipe_of(entry)
        if recipe.precision != study.recipe.precision:
            raise StudyError(f"layout '{spec}': precision is of the shared encoder; set it in the study's own recipe")
        title = _title(entry, plan)
        found += [
            Member(name=f"{title}-seed{seed}", layout=plan.layout, seed=seed, recipe=recipe, plan=plan) for seed in study.seeds
        ]
    names = [member.name for member in found]
    for name in names:
        if names.count(name) > 1:
            raise StudyError(f"two members are named {name}; remove a layout or a seed, or write `{{layout: ..., name: ...}}`")
    return tuple(found)


def _title(entry: str | LayoutSettings, plan: Plan) -> str:
    if isinstance(entry, LayoutSettings) and entry.name is not None:
        return entry.name
    if "|" in plan.layout or " " in plan.layout:  # a text form, too long for a folder's name
        return f"layout-{plan.hash[:8]}"
    return plan.layout.replace(":", "-").replace("/", "-")


def twins(found: Sequence[Member]) -> list[list[str]]:
    """Groups of layouts that are one and the same plan, trained by one recipe."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for member in found:
        names = groups[member.plan.hash, member.recipe.model_dump_json()]
        if member.layout not in names:
            names.append(member.layout)
    return [names for names in groups.values() if len(names) > 1]
