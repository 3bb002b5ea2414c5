"""Classification heads, described step by step."""

from __future__ import annotations

from dataclasses import dataclass

from ..choices import HEADS
from ..errors import PlanError
from ..families import HeadStep
from ..families.head_steps import dropout, linear
from .shapes import Shape

# What a native head may have between its layers: transformers' name, and the function as `module:name`.
ACTIVATIONS = {"tanh": "torch:tanh", "gelu": "torch.nn.functional:gelu", "relu": "torch.nn.functional:relu"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is trained on top of the encoder.

    Args:
        kind: of :data:`striata.choices.HEADS`.
        pooling: "first", "mean", or "pooler" (the encoder's own, frozen).
        steps: from the pooled text to the logits.
    """

    kind: str
    pooling: str
    steps: tuple[HeadStep, ...]

    @property
    def parameters(self) -> int:
        """How many parameters the head trains."""
        return sum(step.parameters for step in self.steps)


def head_of(shape: Shape, kind: str, labels: int) -> Head:
    """The head of an encoder.

    Args:
        shape: of the encoder.
        kind: of :data:`striata.choices.HEADS`.
        labels: number of labels; 1 for a number.

    Raises:
        PlanError: the kind is unknown, or the native head has an activation that is not supported.
    """
    own = HEADS.check(kind, PlanError).pooling
    if labels < 1:
        raise PlanError(f"{labels} labels; a classifier needs at least 2, and a number 1 output")
    family, config = shape.family, shape.config
    if own is not None:
        one = (dropout(family.classifier_dropout(config)), linear("classifier", shape.hidden, labels))
        return Head(kind=kind, pooling=own, steps=one)
    native = family.native_head(config, shape.hidden, labels)
    for step in native.steps:
        if step.op == "activation" and step.name not in ACTIVATIONS:
            raise PlanError(
                f"the native head of {shape.base} has activation '{step.name}', which is not supported; "
                "use head 'linear' or 'mean'"
            )
    return Head(kind=kind, pooling=native.pooling, steps=native.steps)
