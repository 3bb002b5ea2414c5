"""What a study file may say of adapting to texts without labels."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, model_validator

from ..choices import OBJECTIVES
from .fields import Count, OneOf, Place, Positive
from .recipe import CONFIG


class AdaptationSettings(BaseModel):
    """Adapters that first learn from texts without labels, under the same budget, and then the labels (task-adaptive
    pretraining; Gururangan et al. 2020, arXiv:2004.10964). What is learned with beside them is not kept and not counted.

    Args:
        unlabelled: file, folder or Hub name of texts beside those of the training rows, whose labels are not looked at; None for
            the training rows' alone. Members that are adapted to others are transductive.
        objective: what is learned, of :data:`striata.choices.OBJECTIVES`.
        steps: optimizer steps, which come before those of the recipe.
        learning_rate: AdamW's highest, from which it falls on a line; None for what suits objective and encoder.
        batch_size: texts of one step.
        check: whether each adapted member is trained without adaptation too, and its run refused unless it is the better one on
            the validation rows, by `best_by` of the recipe. Twice as many members are trained for it.
    """

    model_config = CONFIG
    unlabelled: Place | None = None
    objective: Annotated[str, OneOf(OBJECTIVES)] = "auto"
    steps: Count = 200
    learning_rate: Positive | None = None
    batch_size: Count = 32
    check: bool = True

    @model_validator(mode="after")
    def _several(self) -> AdaptationSettings:
        if self.objective == "contrastive" and self.batch_size < 2:
            raise ValueError("a batch_size of at least 2 with objective contrastive, which tells texts of one step apart")
        return self

    def identity(self) -> dict[str, Any]:
        """How members are adapted: all but the place of the texts and what is done with the runs."""
        return self.model_dump(mode="json", exclude={"unlabelled", "check"})
