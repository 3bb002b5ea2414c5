"""How members are trained: optimizer, schedule, batch, steps, stopping, precision."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..choices import OPTIMIZERS, PRECISIONS, SCHEDULES
from .fields import OneOf

Positive = Annotated[int, Field(ge=1)]


def as_text(value: Any) -> Any:
    """A label's or a column's name as text: YAML reads `1` as a number and `no` as False.

    Args:
        value: what stands in the study file.

    Returns:
        An integer's digits; anything else that is no boolean, as it is.

    Raises:
        ValueError: a boolean, of which nobody knows whether it was written `no`, `off` or `false`.
    """
    if isinstance(value, bool):
        words = "yes, on and true" if value else "no, off and false"
        raise ValueError(f"text, not {value}: YAML reads {words} as {value} without quotes; write the word in quotes")
    return str(value) if isinstance(value, int) else value


class Recipe(BaseModel):
    """Settings of one member's training; the defaults suit a base-size encoder with its native head.

    Args:
        optimizer: of :data:`striata.choices.OPTIMIZERS`.
        learning_rate: after warmup.
        weight_decay: of matrices; biases and norms are not decayed.
        momentum: of SGD.
        schedule: of :data:`striata.choices.SCHEDULES`.
        warmup: a fraction of the steps below 1, or a number of steps.
        batch_size: rows of a step.
        max_steps: most optimizer steps.
        epochs: most passes over the training rows; the lower of both limits holds.
        evaluate_every: steps between evaluations.
        validation_rows: rows used during training, a fixed part with labels in proportion, or "all"; the kept checkpoint is
            always measured on all rows.
        patience: evaluations without a gain after which the member stops; None never stops early.
        min_delta: a rise in accuracy above this is a gain; it is measured from the last gain, so that small rises add up.
        clip: greatest norm of the member's gradient; None for no limit.
        label_smoothing: in [0, 1).
        class_weights: weights of the loss by label, "balanced" (inverse to frequency), or None.
        precision: of the frozen encoder, of :data:`striata.choices.PRECISIONS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "lion"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    schedule: Annotated[str, OneOf(SCHEDULES)] = "cosine"
    warmup: Annotated[float, Field(ge=0)] = 0.06
    batch_size: Positive = 16
    max_steps: Positive = 2500
    epochs: Annotated[float, Field(gt=0)] | None = None
    evaluate_every: Positive = 100
    validation_rows: Positive | Literal["all"] = "all"
    patience: Positive | None = 10
    min_delta: Annotated[float, Field(ge=0)] = 0.001
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: dict[str, Annotated[float, Field(gt=0)]] | Literal["balanced"] | None = None
    precision: Annotated[str, OneOf(PRECISIONS)] = "auto"

    @field_validator("class_weights", mode="before")
    @classmethod
    def _by_label(cls, weights: Any) -> Any:
        if not isinstance(weights, dict):
            return weights
        by_label: dict[str, Any] = {}
        for key, weight in weights.items():
            label = as_text(key)
            if not isinstance(label, str):
                raise ValueError(f"labels as text, not {label}; write it in quotes")
            if label in by_label:
                raise ValueError(f"one weight for each label, not two for '{label}'")
            by_label[label] = weight
        return by_label

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> Recipe:
        if self.warmup >= self.max_steps:
            raise ValueError(f"fewer warmup steps than max_steps ({self.max_steps}), not {self.warmup:g}")
        return self

    def steps(self, rows: int) -> int:
        """Most optimizer steps with this many training rows."""
        if self.epochs is None:
            return self.max_steps
        return min(self.max_steps, math.ceil(self.epochs * math.ceil(rows / self.batch_size)))

    def warmup_steps(self, rows: int) -> int:
        """Steps over which the learning rate rises from 0."""
        return math.ceil(self.warmup * self.steps(rows)) if self.warmup < 1 else round(self.warmup)
