"""Classification heads, described step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..choices import HEADS
from ..errors import PlanError
from .shapes import Shape

_ACTIVATIONS = ("tanh", "gelu", "relu")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadStep:
    """One step of a head.

    Args:
        op: "linear", "layer_norm", "activation" or "dropout".
        module: for layers, the name of the module in the classification model.
        in_features: for layers, size of the input.
        out_features: for layers, size of the output.
        bias: whether a layer has a bias.
        p: for dropout, the share that is dropped.
        name: for activations, "tanh", "gelu" or "relu".
    """

    op: str
    module: str = ""
    in_features: int = 0
    out_features: int = 0
    bias: bool = True
    p: float = 0.0
    name: str = ""

    @property
    def parameters(self) -> int:
        """How many parameters the step trains."""
        if self.op == "linear":
            return self.out_features * (self.in_features + self.bias)
        return self.out_features * (1 + self.bias) if self.op == "layer_norm" else 0


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
        labels: number of labels.

    Raises:
        PlanError: the kind is unknown, or the native head has an activation that is not supported.
    """
    own = HEADS.check(kind, PlanError).pooling
    if labels < 2:
        raise PlanError(f"{labels} label{'s' * (labels != 1)}; a classifier needs at least 2")
    if own is not None:
        one = (_dropout(_classifier_dropout(shape)), _linear("classifier", shape.hidden, labels))
        return Head(kind=kind, pooling=own, steps=one)
    pooling, steps = _native(shape, labels)
    for step in steps:
        if step.op == "activation" and step.name not in _ACTIVATIONS:
            raise PlanError(
                f"the native head of {shape.base} has activation '{step.name}', which is not supported; "
                "use head 'linear' or 'mean'"
            )
    return Head(kind=kind, pooling=pooling, steps=steps)


def _native(shape: Shape, labels: int) -> tuple[str, tuple[HeadStep, ...]]:
    size, config = shape.hidden, shape.config
    drop = _dropout(_classifier_dropout(shape))
    if shape.model_type in ("bert", "ernie", "albert"):
        return "pooler", (drop, _linear("classifier", size, labels))
    if shape.model_type == "distilbert":
        return "first", (_linear("pre_classifier", size, size), _activation("relu"), drop, _linear("classifier", size, labels))
    if shape.model_type == "deberta-v2":
        inner = int(config.get("pooler_hidden_size") or size)
        before = _dropout(float(config.get("pooler_dropout") or 0))
        activation = _activation(str(config.get("pooler_hidden_act") or "gelu"))
        return "first", (before, _linear("pooler.dense", inner, inner), activation, drop, _linear("classifier", inner, labels))
    if shape.model_type == "modernbert":
        pooling = "mean" if config.get("classifier_pooling") == "mean" else "first"
        dense = _linear("head.dense", size, size, bias=bool(config.get("classifier_bias", False)))
        norm = HeadStep(op="layer_norm", module="head.norm", out_features=size, bias=bool(config.get("norm_bias", False)))
        activation = _activation(str(config.get("classifier_activation") or "gelu"))
        return pooling, (dense, activation, norm, drop, _linear("classifier", size, labels))
    activation = _activation("gelu" if shape.model_type == "electra" else "tanh")
    dense = _linear("classifier.dense", size, size)
    return "first", (drop, dense, activation, drop, _linear("classifier.out_proj", size, labels))


def _classifier_dropout(shape: Shape) -> float:
    """The dropout before a family's last layer, with transformers' own defaults."""
    config: dict[str, Any] = dict(shape.config)
    hidden = config.get("hidden_dropout_prob", 0.0 if shape.model_type == "albert" else 0.1)
    keys: dict[str, tuple[str, Any]] = {
        "distilbert": ("seq_classif_dropout", 0.2),
        "albert": ("classifier_dropout_prob", 0.1),
        "deberta-v2": ("cls_dropout", hidden),
        "modernbert": ("classifier_dropout", 0.0),
        "mpnet": ("hidden_dropout_prob", hidden),
    }
    key, default = keys.get(shape.model_type, ("classifier_dropout", hidden))
    value = config.get(key)
    return float(default if value is None else value)


def _dropout(p: float) -> HeadStep:
    return HeadStep(op="dropout", p=p)


def _activation(name: str) -> HeadStep:
    return HeadStep(op="activation", name=name)


def _linear(module: str, into: int, out: int, *, bias: bool = True) -> HeadStep:
    return HeadStep(op="linear", module=module, in_features=into, out_features=out, bias=bias)
