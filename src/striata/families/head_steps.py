"""Classification heads, described step by step."""

from __future__ import annotations

from dataclasses import dataclass


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
        name: for activations, what transformers calls it.
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


def linear(module: str, in_features: int, out_features: int, *, bias: bool = True) -> HeadStep:
    """A linear layer."""
    return HeadStep(op="linear", module=module, in_features=in_features, out_features=out_features, bias=bias)


def layer_norm(module: str, size: int, *, bias: bool) -> HeadStep:
    """A layer norm."""
    return HeadStep(op="layer_norm", module=module, out_features=size, bias=bias)


def activation(name: str) -> HeadStep:
    """An activation, by transformers' name for it."""
    return HeadStep(op="activation", name=name)


def dropout(p: float) -> HeadStep:
    """Dropout of a share p of the elements."""
    return HeadStep(op="dropout", p=p)
