"""The live model broken in the ways a loop over layers breaks it: each is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from striata.engine import Encoder, Stack, check_receipt, read_receipt
from striata.engine.lora import Adapter
from striata.errors import PlanError
from striata.layout import make_plan

from .models import LABELS, make_encoder

LAYOUT = "0 r2 a4 d0.03 query | 1 r4 a4 d0.05 query | 2-3 r8 a4 d0.1 query"
QUERY = "roberta.encoder.layer.{}.attention.self.query"


def put(stack: Stack, layer: int, rank: int, dropout: float) -> None:
    linear = stack._sites[QUERY.format(layer)]
    old = linear.adapter(0)
    assert old is not None
    size = old.a.shape[1]
    linear.adapters["0"] = Adapter(size, size, rank=rank, scale=4 / rank, dropout=dropout)


def uniform_ranks(stack: Stack) -> None:
    for layer in range(4):
        put(stack, layer, 4, 0.05)


def last_section_wins(stack: Stack) -> None:
    for layer in range(4):
        put(stack, layer, 8, 0.1)


def layer_missed(stack: Stack) -> None:
    del stack._sites[QUERY.format(2)].adapters["0"]


def layer_too_many(stack: Stack) -> None:
    linear = stack._stacked("roberta.encoder.layer.3.attention.self.key")
    linear.adapters["0"] = Adapter(32, 32, rank=2, scale=1.0, dropout=0.0)


def wrong_scale(stack: Stack) -> None:
    adapter = stack._sites[QUERY.format(1)].adapter(0)
    assert adapter is not None
    adapter.scale = 4.0


def wrong_dropout(stack: Stack) -> None:
    adapter = stack._sites[QUERY.format(3)].adapter(0)
    assert adapter is not None
    adapter.dropout = 0.05


def unfrozen_base(stack: Stack) -> None:
    stack.encoder.model.get_parameter("encoder.layer.1.output.dense.weight").requires_grad_(True)


def unfrozen_base_under_an_adapter(stack: Stack) -> None:
    stack._sites[QUERY.format(0)].base.weight.requires_grad_(True)


def frozen_adapter(stack: Stack) -> None:
    adapter = stack._sites[QUERY.format(0)].adapter(0)
    assert adapter is not None
    adapter.b.requires_grad_(False)


def frozen_head(stack: Stack) -> None:
    stack.heads[0].requires_grad_(False)


def smaller_head(stack: Stack) -> None:
    stack.heads[0].layers[1] = torch.nn.Linear(32, LABELS - 1)


BREAKS: list[tuple[Callable[[Stack], None], str]] = [
    (uniform_ranks, r"layer\.0\.attention\.self\.query has rank 4, the plan says 2"),
    (last_section_wins, r"layer\.0\.attention\.self\.query has rank 8, the plan says 2"),
    (layer_missed, r"layer\.2\.attention\.self\.query has no adapter, the plan says rank 8"),
    (layer_too_many, r"layer\.3\.attention\.self\.key has an adapter of rank 2, the plan has none"),
    (wrong_scale, r"layer\.1\.attention\.self\.query has scale 4, the plan says 1"),
    (wrong_dropout, r"layer\.3\.attention\.self\.query has dropout 0\.05, the plan says 0\.1"),
    (unfrozen_base, r"base weight roberta\.encoder\.layer\.1\.output\.dense\.weight trains"),
    (unfrozen_base_under_an_adapter, r"base weight roberta\.encoder\.layer\.0\.attention\.self\.query\.weight trains"),
    (frozen_adapter, r"layer\.0\.attention\.self\.query has an adapter that does not train"),
    (frozen_head, r"head weight classifier\.dense\.weight"),
    (smaller_head, r"head weight classifier\.out_proj\.weight"),
]


def make_stack(folder: Path) -> Stack:
    plan = make_plan(LAYOUT, base=str(make_encoder(folder, "roberta")), labels=LABELS)
    return Stack(Encoder.load(str(folder / "roberta"), head=plan.head, precision="fp32", device="cpu"), [plan])


def test_the_model_as_attached_is_what_the_plan_says(tmp_path: Path) -> None:
    stack = make_stack(tmp_path)
    receipt = read_receipt(stack, 0)
    check_receipt(stack.plans[0], receipt, "s")
    assert receipt.trainable == stack.plans[0].trainable
    live = sum(p.numel() for p in stack.encoder.model.parameters() if p.requires_grad)
    assert receipt.trainable == live + sum(p.numel() for p in stack.heads[0].parameters())


@pytest.mark.parametrize(("damage", "message"), BREAKS, ids=[damage.__name__ for damage, _ in BREAKS])
def test_a_broken_model_is_refused_by_name(tmp_path: Path, damage: Callable[[Stack], None], message: str) -> None:
    stack = make_stack(tmp_path)
    damage(stack)
    with pytest.raises(PlanError, match=message):
        check_receipt(stack.plans[0], read_receipt(stack, 0), "s")
