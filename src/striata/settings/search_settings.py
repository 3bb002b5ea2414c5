"""What a study file may say of a search."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from .fields import Count, Different, Ends, Expected, Name, Positive, Seed, Share
from .recipe import CONFIG

_Counts = Expected("two whole numbers above 0, the lower one first")
_Targets = Annotated[tuple[Name, ...], Field(min_length=1), Different, Expected("a list of different targets")]


class PruneSettings(BaseModel):
    """When weak trials end before their time: successive halving.

    Args:
        reduction: at each rung the best 1 in so many goes on.
        after: evaluations before the first rung; each later rung comes after `reduction` times as many.
    """

    model_config = CONFIG
    reduction: Annotated[int, Field(ge=2), Expected("a whole number above 1")] = 3
    after: Count = 1


class SearchSettings(BaseModel):
    """Which layouts are searched, and how.

    Args:
        trials: how many are trained in all, the pruned ones included; can be raised later.
        generation: how many train at one time.
        seed: by which layouts are proposed.
        sections: least and most sections of a layout; the borders between them are searched.
        ranks: a section's rank is one of these.
        targets: a layout's targets are one of these lists, the same in all sections.
        dropout: least and most dropout of a section.
        alpha: one for all sections, or "rank" for a section's own rank.
        learning_rate: least and most, on a logarithmic scale; None keeps the recipe's.
        prune: when weak trials end; None lets all run to their end.
    """

    model_config = CONFIG
    trials: Count = 40
    generation: Count = 8
    seed: Seed = 0
    sections: Annotated[tuple[Count, Count], Ends, _Counts] = (1, 4)
    ranks: Annotated[tuple[Count, ...], Field(min_length=1), Different, Expected("a list of different ranks")] = (2, 4, 8, 16)
    targets: Annotated[tuple[_Targets, ...], Field(min_length=1), Different, Expected("a list of different lists of targets")] = (
        ("query",),
        ("query", "value"),
    )
    dropout: Annotated[tuple[Share, Share], Ends, Expected("two numbers from 0 to below 1, the lower one first")] = (0.0, 0.15)
    alpha: Positive | Literal["rank"] = 4.0
    learning_rate: Annotated[tuple[Positive, Positive], Ends, Expected("two numbers above 0, the lower one first")] | None = (
        1e-4, 1e-2,
    )  # fmt: skip
    prune: PruneSettings | None = PruneSettings()
