"""One (layout, recipe, seed) that is or was trained."""

from __future__ import annotations

from dataclasses import dataclass

from ..layout import Plan
from ..settings import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One (layout, recipe, seed) to be trained.

    Args:
        name: of its run.
        layout: what the study calls the layout.
        seed: of its weights, data order and dropout masks.
        recipe: how it is trained.
        plan: what is trained.
        aliases: other layouts of the study that are the same plan, trained by the same recipe.
    """

    name: str
    layout: str
    seed: int
    recipe: Recipe
    plan: Plan
    aliases: tuple[str, ...] = ()
