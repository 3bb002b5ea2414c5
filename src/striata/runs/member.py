"""One (layout, recipe, seed) that is or was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..layout import Plan
from ..settings import AdaptationSettings, Recipe


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
        control: of :data:`striata.choices.CONTROLS` when it is such a control of another layout, else None.
        control_of: titles of the layouts whose control it is, by the kind of control. A layout of its own can be one too: when
            another layout's control comes out as the same plan.
        adapt: how its adapters are adapted to texts without labels before they learn labels; None where they are not.
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
    adapt: AdaptationSettings | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, plan and recipe with adaptation, as :attr:`striata.runs.Run.identity` has them of the run this member becomes."""
        recipe = self.recipe.model_dump(mode="json") | ({} if self.adapt is None else {"adapt": self.adapt.identity()})
        return "adapter", self.plan.hash, json.dumps(recipe, sort_keys=True)
