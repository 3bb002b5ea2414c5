"""What is live for a member, and how it is compared with the plan: training starts only when the two are equal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import zip_longest

from ..errors import PlanError
from ..layout import HeadStep, Plan


@dataclass(frozen=True, slots=True)
class LiveSite:
    """What one live layer does for a member.

    Args:
        module: path in the classification model.
        in_features: size of the layer's input.
        out_features: size of its output.
        rank: rank of the member's product.
        scale: factor of the product as the forward pass uses it.
        dropout: dropout as the forward pass uses it.
        trains: whether the matrices that are multiplied are the member's parameters and require gradients.
    """

    module: str
    in_features: int
    out_features: int
    rank: int
    scale: float
    dropout: float
    trains: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is live for one member.

    Args:
        sites: the layers that do something for the member, found by walking the encoder's modules.
        head: name and shape of every head weight, and whether it trains.
        steps: what the head does, one behind another.
        thawed: weights of the base that require gradients; there must be none.
        trainable: number of parameters that require gradients for this member.
    """

    sites: tuple[LiveSite, ...]
    head: dict[str, tuple[tuple[int, ...], bool]]
    steps: tuple[HeadStep, ...]
    thawed: tuple[str, ...]
    trainable: int

    def to_json(self) -> dict[str, object]:
        """For the run's folder."""
        keys = ("module", "in_features", "out_features", "rank", "scale", "dropout", "trains")
        return {
            "trainable": self.trainable,
            "sites": [{key: getattr(site, key) for key in keys} for site in self.sites],
            "head": {name: {"shape": list(shape), "trains": trains} for name, (shape, trains) in self.head.items()},
            "head_steps": [asdict(step) for step in self.steps],
            "base_weights_that_train": list(self.thawed),
        }


def check_receipt(plan: Plan, receipt: Receipt, name: str) -> None:
    """Compares what is live with what is to be trained.

    Args:
        plan: what is to be trained.
        receipt: what is live, from :meth:`striata.engine.Engine.receipt`.
        name: the member, for the message.

    Raises:
        PlanError: they differ; the message names the first module that does.
    """
    if receipt.thawed:
        raise _difference(name, f"base weight {receipt.thawed[0]} trains, but the encoder must be frozen")
    live = {site.module: site for site in receipt.sites}
    for site in plan.sites:
        effect = live.pop(site.module, None)
        if effect is None:
            raise _difference(name, f"{site.module} has no adapter, the plan says rank {site.rank}")
        for what in ("in_features", "out_features", "rank", "scale", "dropout"):
            actual, planned = getattr(effect, what), getattr(site, what)
            if actual != planned:
                raise _difference(name, f"{site.module} has {what} {actual:.4g}, the plan says {planned:.4g}")
        if not effect.trains:
            raise _difference(name, f"{site.module} has an adapter that does not train")
    for module in live:
        raise _difference(name, f"{module} has an adapter of rank {live[module].rank}, the plan has none there")
    for key, (shape, trains) in _planned_head(plan).items():
        if receipt.head.get(key) != (shape, trains):
            raise _difference(name, f"head weight {key} is {receipt.head.get(key)}, the plan says {(shape, trains)}")
    for at, (live_step, step) in enumerate(zip_longest(receipt.steps, plan.head.steps)):
        if live_step != step:
            raise _difference(name, f"step {at} of the head is {_told(live_step)}, the plan says {_told(step)}")
    if receipt.trainable != plan.trainable:
        raise _difference(name, f"{receipt.trainable:,} parameters train, the plan says {plan.trainable:,}")


def _planned_head(plan: Plan) -> dict[str, tuple[tuple[int, ...], bool]]:
    shapes: dict[str, tuple[tuple[int, ...], bool]] = {}
    for step in plan.head.steps:
        if not step.parameters:
            continue
        linear = step.op == "linear"
        shapes[f"{step.module}.weight"] = (
            ((step.out_features, step.in_features) if linear else (step.out_features,)),
            True,
        )
        if step.bias:
            shapes[f"{step.module}.bias"] = ((step.out_features,), True)
    return shapes


def _told(step: HeadStep | None) -> str:
    """A step of a head in a message: its operation, and what sets it apart."""
    if step is None:
        return "not there"
    if step.op == "dropout":
        return f"dropout p={step.p:g}"
    return f"{step.op} {step.name or step.module} ({step.in_features} -> {step.out_features})"


def _difference(name: str, what: str) -> PlanError:
    return PlanError(f"member {name}: the live model is not what the plan says: {what}; nothing was trained")
