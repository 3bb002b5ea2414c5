"""How members are trained: optimizer, schedule, batch, steps, stopping, precision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_serializer, model_validator

from ..choices import LOSSES, OPTIMIZERS, PRECISIONS, RANKINGS, SCHEDULES, Choices, alternatives
from .fields import Amount, Count, Expected, OneOf, Positive, Share, Short, as_text

CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def choice_by_name(choice: Any) -> Any:
    """The name of a choice as a group of keys; anything else as it is."""
    return {"name": choice} if isinstance(choice, str) else choice


class _Tuned(BaseModel):
    """An entry of a closed list with its own settings; what is not written is the entry's default. Its `name` says which."""

    model_config = CONFIG

    table: ClassVar[Choices[Any]]
    name: str

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, value: Any) -> Any:
        """Refuses settings of other entries, and fills in the defaults."""
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            return value
        value = {**value, "name": value["name"].lower()}
        if value["name"] not in cls.table:
            return value
        own = cls.table[value["name"]].settings
        foreign = [key for key in value if key in cls.model_fields and key not in ("name", *own) and value[key] is not None]
        if foreign:
            has = f"its own are {alternatives(own, 'and')}" if own else "it has none of its own"
            raise ValueError(f"no '{foreign[0]}', which is no setting of {value['name']}; {has}")
        defaults = {key: default for key, default in own.items() if key in cls.model_fields and value.get(key) is None}
        return {**value, **defaults}

    @model_serializer(mode="plain")
    def _dump(self) -> dict[str, Any]:
        return {"name": self.name, **{key: value for key, value in self.settings().items() if key in type(self).model_fields}}

    def settings(self) -> dict[str, Any]:
        """Its own settings, and those of its table's entry that no study sets."""
        own = self.table[self.name].settings
        return {key: getattr(self, key) if key in type(self).model_fields else default for key, default in own.items()}


class Optimizer(_Tuned):
    """An optimizer with its own settings; what is not written is the optimizer's default.

    Args:
        name: of :data:`striata.choices.OPTIMIZERS`.
        betas: shares of two running means that stay at a step; by default the optimizer's own.
        eps: added to the root of the running mean of squares; by default the optimizer's own.
        momentum: share of the last step that is added to the next; by default the optimizer's own.
    """

    table = OPTIMIZERS

    name: Annotated[str, OneOf(OPTIMIZERS)]
    betas: Annotated[tuple[Share, Share], Expected("two numbers from 0 to below 1")] | None = None
    eps: Positive | None = None
    momentum: Share | None = None


class Loss(_Tuned):
    """A loss with its own settings; what is not written is the loss's default.

    Args:
        name: of :data:`striata.choices.LOSSES`.
        gamma: how much less rows count that are learned, 0 for none; by default the loss's own.
        tau: how much of the labels' frequencies the logits are freed of, 0 for nothing; by default the loss's own.
        delta: error, in standard deviations of the training rows' numbers, above which it counts in proportion; by default the
            loss's own.
    """

    table = LOSSES

    name: Annotated[str, OneOf(LOSSES)]
    gamma: Amount | None = None
    tau: Amount | None = None
    delta: Positive | None = None


def recipe_by_name(recipe: Any) -> Any:
    """`auto` as a group of keys; anything else as it is."""
    return {"auto": True} if recipe == "auto" else recipe


class Recipe(BaseModel):
    """Settings of one member's training; the defaults suit a base-size encoder with its native head.

    Args:
        auto: whether what is not written is decided from the encoder's size and the number of rows, and learning rates race; see
            :func:`striata.study.automatic.decide_recipe`.
        optimizer: of :data:`striata.choices.OPTIMIZERS`; a group of keys where it has settings of its own.
        learning_rate: the highest, reached after warmup.
        weight_decay: weight decay of matrices; biases and norms have none.
        schedule: how the learning rate falls after warmup, of :data:`striata.choices.SCHEDULES`.
        warmup: steps over which the learning rate rises from 0: below 1 a fraction of all, else their number.
        batch_size: rows of one optimizer step.
        max_steps: most optimizer steps.
        epochs: most passes over the training rows; the lower of both limits holds.
        evaluate_every: steps between evaluations.
        validation_rows: rows used during training, a fixed part with labels in proportion, or "all"; the kept checkpoint is
            always measured on all rows.
        best_by: validation figure that decides which checkpoint is kept (of equal ones that with the smaller loss) and what is a
            gain, of :data:`striata.choices.RANKINGS`; of a study of numbers that says nothing it is rmse.
        patience: evaluations without a gain after which the member stops; None never stops early.
        min_delta: what `best_by` has to improve by to be a gain: to rise, or of a loss to fall, by more than this. It is measured
            from the last gain, so that small ones add up. Of a study of numbers, whose figures have a unit, it is 0 unless it is
            written.
        clip: greatest norm of a member's gradient; None for no limit.
        loss: what is minimised, of :data:`striata.choices.LOSSES`; a group of keys where it has settings of its own; None for the
            task's own.
        label_smoothing: share of each target that is spread over all labels.
        class_weights: weights of the loss by label (a word such as "no" in quotes), "balanced" (inverse to frequency), or None.
        encoder_dropout: share that the frozen encoder drops of its hidden states and attention while adapters are trained; None
            for what its configuration says. With 0 a step is cheaper, and better while no row is seen twice.
        precision: what the frozen encoder multiplies in, of :data:`striata.choices.PRECISIONS`; adapters and heads are always
            in fp32.
    """

    model_config = CONFIG

    auto: bool = False
    optimizer: Annotated[Optimizer, Short(choice_by_name, "its name")] = Optimizer(name="lion")
    learning_rate: Positive = 1e-4
    weight_decay: Amount = 0.02
    schedule: Annotated[str, OneOf(SCHEDULES)] = "cosine"
    warmup: Amount = 0.06
    batch_size: Count = 16
    max_steps: Count = 2500
    epochs: Positive | None = None
    evaluate_every: Count = 100
    validation_rows: Count | Literal["all"] = "all"
    best_by: Annotated[str, OneOf(RANKINGS)] = "accuracy"
    patience: Count | None = 10
    min_delta: Amount = 0.001
    clip: Positive | None = 1.0
    loss: Annotated[Loss | None, Short(choice_by_name, "its name")] = None
    label_smoothing: Share = 0.0
    class_weights: Annotated[dict[str, Positive], Expected("a weight above 0 for each label")] | Literal["balanced"] | None = None
    encoder_dropout: Share | None = None
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

    def merit(self, figures: Mapping[str, float]) -> float:
        """How good validation figures are by the one that decides; more is better."""
        return RANKINGS[self.best_by].merit(figures[self.best_by])

    def warmup_steps(self, rows: int) -> int:
        """Steps over which the learning rate rises from 0."""
        return math.ceil(self.warmup * self.steps(rows)) if self.warmup < 1 else round(self.warmup)
