"""A layout resolved against one encoder: every site, the head, the totals, a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..choices import TARGETS
from ..disk.documents import reason_of, strictly
from ..errors import BudgetError, PlanError
from ..shown import Shown
from .heads import Head, head_of
from .named import Resolved, resolve
from .sections import Layout, Section
from .shapes import Shape, shape_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One layer of the encoder that gets an adapter.

    Args:
        module: path in the model peft loads the run into: the classification model for a native head, the encoder otherwise.
        layer: from 0.
        target: what layouts call it.
        in_features: size of its input.
        out_features: size of its output.
        rank: of the product.
        alpha: numerator of the scale.
        dropout: share of the adapter's input dropped in training.
    """

    module: str
    layer: int
    target: str
    in_features: int
    out_features: int
    rank: int
    alpha: float
    dropout: float

    @property
    def scale(self) -> float:
        """What the product is multiplied by, alpha / rank."""
        return self.alpha / self.rank

    @property
    def parameters(self) -> int:
        """Parameters of both matrices."""
        return self.rank * (self.in_features + self.out_features)

    def to_json(self) -> dict[str, object]:
        """All fields, with scale and parameters."""
        keys = ("module", "layer", "target", "in_features", "out_features", "rank", "alpha", "scale", "dropout", "parameters")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Shown):
    """What will be trained, to the parameter.

    Args:
        layout: the layout's name, or its text form where it has none.
        control: "uniform" or "reversed" when the layout is such a control of another one, else None.
        control_of: name or text form of that other layout; None without a control.
        text: text form over the encoder's own layers.
        base: the encoder.
        model_type: its family.
        labels: number of labels.
        head: the classification layers.
        sites: in order of layers and targets.
        budget: the most trainable parameters, head included; None for no limit.
        notes: what had to be done to the layout, e.g. stretching it.
    """

    layout: str
    control: str | None
    control_of: str | None
    text: str
    base: str
    model_type: str
    labels: int
    head: Head
    sites: tuple[Site, ...]
    budget: int | None
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        limit = "" if self.budget is None else f" of at most {self.budget:,}"
        parts = f"{self.lora:,} in adapters at {len(self.sites)} sites, {self.head.parameters:,} in the head"
        return f"Plan({self.layout}, {Path(self.base).name}, {self.labels} labels: {self.trainable:,} parameters{limit}, {parts})"

    @property
    def lora(self) -> int:
        """Trainable parameters of all adapters."""
        return sum(site.parameters for site in self.sites)

    @property
    def trainable(self) -> int:
        """Trainable parameters, head included."""
        return self.lora + self.head.parameters

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that two plans share when they train the same thing, whatever their layouts are called."""
        what = [self.model_type, self.labels, asdict(self.head), [asdict(site) for site in self.sites]]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, object]:
        """For `striata plan --json` and for the run's folder."""
        return {
            "layout": self.layout,
            "control": self.control,
            "control_of": self.control_of,
            "text": self.text,
            "base": self.base,
            "model_type": self.model_type,
            "labels": self.labels,
            "hash": self.hash,
            "trainable": self.trainable,
            "head": self.head.parameters,
            "lora": self.lora,
            "budget": self.budget,
            "notes": list(self.notes),
            "head_layers": asdict(self.head),
            "sites": [site.to_json() for site in self.sites],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The plan that :meth:`to_json` wrote.

        Raises:
            PlanError: the value is no such plan, or its hash is not its own.
        """
        derived = ("hash", "trainable", "head", "lora", "head_layers")
        try:
            fields = {key: item for key, item in value.items() if key not in derived}
            sites = [{k: v for k, v in site.items() if k not in ("scale", "parameters")} for site in value["sites"]]
            plan = strictly(cls)(fields | {"head": value["head_layers"], "sites": sites})
        except (KeyError, TypeError, AttributeError) as error:
            raise PlanError(f"this is no plan: {type(error).__name__} {error}") from error
        except ValueError as error:
            raise PlanError(f"this is no plan: {reason_of(error)}") from error
        if plan.hash != value.get("hash"):
            raise PlanError(f"a plan with hash {value.get('hash')} has the contents of {plan.hash}")
        return plan


def make_plan(spec: str | Path | Layout, *, base: str, labels: int, head: str = "native", budget: int | None = None) -> Plan:
    """Resolves a layout against an encoder's shape; needs no weights.

    Args:
        spec: see :func:`striata.layout.resolve`.
        base: a Hub name or a local model folder.
        labels: number of labels.
        head: of :data:`striata.choices.HEADS`.
        budget: the most trainable parameters, head included.

    Raises:
        LayoutError: the layout is wrong.
        PlanError: it does not fit the encoder.
        BudgetError: it has more parameters than the budget.
        EncoderError: the encoder's shape cannot be found.
    """
    shape = shape_of(base)
    return plan_of(resolve(spec, shape), shape, head_of(shape, head, labels), labels, budget)


def plan_of(resolved: Resolved, shape: Shape, head: Head, labels: int, budget: int | None) -> Plan:
    """The plan of a layout that is already laid over an encoder; raises as :func:`make_plan` does."""
    plan = Plan(
        layout=resolved.name,
        control=resolved.control,
        control_of=resolved.control_of,
        text=resolved.layout.text,
        base=shape.base,
        model_type=shape.family.name,
        labels=labels,
        head=head,
        sites=_sites(resolved, shape, head),
        budget=budget,
        notes=resolved.notes,
    )
    if budget is not None and plan.trainable > budget:
        raise BudgetError(
            f"layout {plan.layout} trains {plan.trainable:,} parameters ({plan.lora:,} LoRA, {head.parameters:,} head), "
            f"{plan.trainable - budget:,} above the budget of {budget:,}; lower its ranks, raise the budget, "
            "or let `fit` choose the largest ranks within it"
        )
    return plan


def _sites(resolved: Resolved, shape: Shape, head: Head) -> tuple[Site, ...]:
    prefix = f"{shape.family.prefix}." if head.kind == "native" else ""
    return tuple(
        Site(
            module=prefix + shape.module(target, layer),
            layer=layer,
            target=target,
            in_features=shape.sizes(target)[0],
            out_features=shape.sizes(target)[1],
            rank=section.rank,
            alpha=section.alpha,
            dropout=section.dropout,
        )
        for layer, claims in enumerate(resolved.layers)
        for target, section in sorted(claims.items(), key=lambda item: list(TARGETS).index(item[0]))
        if _fits(section, target, shape) and section.rank
    )


def _fits(section: Section, target: str, shape: Shape) -> bool:
    if target not in shape.family.targets:
        raise PlanError(
            f"section '{section.text}': {shape.family.name} encoders have no target '{target}'; "
            f"expected some of {', '.join(shape.family.targets)}"
        )
    smaller = min(shape.sizes(target))
    if section.rank > smaller:
        raise PlanError(
            f"section '{section.text}': rank {section.rank} is above {smaller}, the smaller dimension of {target} in "
            f"{shape.base}; lower the rank"
        )
    return True
