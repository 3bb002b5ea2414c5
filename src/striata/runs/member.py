"""One (layout, recipe, seed) that is or was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..layout import Plan
from ..settings import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One (layout, recipe, seed) to be trained.

    Args:
        name: of its run.
        title: what the runs of its layout and recipe are called without their seeds.
        layout: what the study calls the layout.
        seed: of its weights, data order and dropout masks.
        recipe: how it is trained.
        plan: what is trained.
        aliases: other layouts of the study that are the same plan, trained by the same recipe.
        control: "uniform" or "reversed" when its layout is such a control of another one, else None.
        control_of: titles of the layouts whose control it is, by the kind of control. A layout of its own can be one too: when
            another layout's control comes out as the same plan.
    """

    name: str
    title: str
    layout: str
    seed: int
    recipe: Recipe
    plan: Plan
    aliases: tuple[str, ...] = ()
    control: str | None = None
    control_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, plan and recipe, as :attr:`striata.runs.Run.identity` has them of the run this member becomes."""
        return "adapter", self.plan.hash, json.dumps(self.recipe.model_dump(mode="json"), sort_keys=True)
