"""Layouts that suit an encoder and a budget, the one that is best alone first."""

from __future__ import annotations

from dataclasses import replace

from ..errors import BudgetError
from ..layout import Layout, fit, make_plan, shape_of

HEAD = "mean"
_LAYOUTS = (
    ("attention", "0/1-1/1 r8 a8 {attention}"),
    ("all-linear", "0/1-1/1 r4 a4 {linear}"),
    ("upper-half", "1/2-1/1 r8 a8 {linear}"),
    ("wide", "0/1-1/1 r16 a16 {attention}"),
)


def choose_layouts(members: int, *, base: str, labels: int, budget: int | None) -> tuple[tuple[str, str], ...]:
    """Names and text forms of different layouts; ranks are lowered where a budget wants it.

    Args:
        members: how many at most; fewer where the budget makes some the same, none where it has no room for rank 1.
        base: the encoder.
        labels: number of labels.
        budget: most trainable parameters of each, head included; None for no limit.
    """
    targets = shape_of(base).family.targets
    words = {"attention": "qkv" if "qkv" in targets else "query value", "linear": " ".join(targets)}
    chosen: dict[str, tuple[str, str]] = {}  # by what is trained
    for name, pattern in _LAYOUTS:
        text = pattern.format(**words)
        plan = make_plan(text, base=base, labels=labels, head=HEAD)
        if budget is not None and plan.trainable > budget:
            try:
                fitted = fit(text, base=base, labels=labels, head=HEAD, budget=budget)
            except BudgetError:
                continue
            sections = Layout.parse(fitted.text).sections
            text = Layout(tuple(replace(section, alpha=float(section.rank)) for section in sections)).text
            plan = make_plan(text, base=base, labels=labels, head=HEAD)
        chosen.setdefault(plan.hash, (name, text))
    return tuple(chosen.values())[:members]
