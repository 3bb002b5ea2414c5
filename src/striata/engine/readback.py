"""Receipts read from live modules."""

from __future__ import annotations

from dataclasses import asdict

from torch import nn

from .head import MemberHead
from .receipt import LiveSite, Receipt
from .stacked_linear import StackedLinear


def read_back(model: nn.Module, head: MemberHead, slot: int, *, prefix: str) -> Receipt:
    """Walks a live encoder for everything that belongs to a member.

    Args:
        model: the encoder's modules.
        head: the member's.
        slot: the member's.
        prefix: what plans put before the paths of the encoder's modules.
    """
    sites, thawed, trainable = [], [], 0
    for path, module in model.named_modules():
        if isinstance(module, StackedLinear):
            effect, adapter = module.effective(slot), module.adapter(slot)
            if effect is not None:
                sites.append(LiveSite(module=prefix + path, **asdict(effect)))
            if adapter is not None:
                trainable += sum(p.numel() for p in adapter.parameters() if p.requires_grad)
    for path, parameter in model.named_parameters():
        if ".adapters." not in path and parameter.requires_grad:
            thawed.append(prefix + path.replace(".base.", "."))
    return Receipt(
        sites=tuple(sites),
        head={name: (tuple(p.shape), p.requires_grad) for name, p in head.named().items()},
        steps=head.plan.steps,
        thawed=tuple(thawed),
        trainable=trainable + sum(p.numel() for p in head.parameters() if p.requires_grad),
    )
