"""The live model broken in the ways a loop over layers breaks it: each is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from striata.engine import Encoder, Stack, check_receipt
from striata.engine.adapter import Adapter
from striata.engine.bank import Bank
from striata.errors import PlanError
from striata.layout import make_plan

from .models import LABELS, make_encoder, needs_grouped_products

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


def other_dropout_in_the_head(stack: Stack) -> None:
    first, *others = stack.heads[0].plan.steps
    stack.heads[0].plan = replace(stack.heads[0].plan, steps=(replace(first, p=0.5), *others))


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
    (other_dropout_in_the_head, r"step 0 of the head is dropout p=0\.5, the plan says dropout p=0\b"),
]


def bank_of(stack: Stack, layer: int) -> Bank:
    bank = stack._sites[QUERY.format(layer)]._bank
    assert bank is not None
    return bank


def bank_scaled(stack: Stack) -> None:
    bank_of(stack, 0)._scale.mul_(100)


def bank_scaled_in_training(stack: Stack) -> None:
    bank_of(stack, 2)._scale_in_training.mul_(100)


def bank_without_dropout(stack: Stack) -> None:
    bank_of(stack, 3)._pass_from.fill_(-32768)


def bank_with_more_dropout(stack: Stack) -> None:
    bank_of(stack, 1)._pass_from.add_(1)


def bank_with_a_row_too_many(stack: Stack) -> None:
    bank_of(stack, 0).a[0, 2].fill_(1)
    bank_of(stack, 0).b[0, 2].fill_(1)


def bank_of_other_weights(stack: Stack) -> None:
    bank = bank_of(stack, 2)
    bank.a = bank.a.clone()


def bank_whose_gradients_go_elsewhere(stack: Stack) -> None:
    bank = bank_of(stack, 1)
    bank.live[1] = torch.nn.Parameter(bank.live[1].detach())


def adapter_put_behind_the_banks_back(stack: Stack) -> None:
    put(stack, 0, 2, 0.03)


def adapter_taken_behind_the_banks_back(stack: Stack) -> None:
    layer_missed(stack)


BANK_BREAKS: list[tuple[Callable[[Stack], None], str]] = [
    (bank_scaled, r"layer\.0\.attention\.self\.query has scale 200, the plan says 2"),
    (bank_scaled_in_training, r"layer\.2\.attention\.self\.query has scale 50, the plan says 0\.5"),
    (bank_without_dropout, r"layer\.3\.attention\.self\.query has dropout 0, the plan says 0\.1"),
    (bank_with_more_dropout, r"layer\.1\.attention\.self\.query has dropout 0\.05002, the plan says 0\.05"),
    (bank_with_a_row_too_many, r"layer\.0\.attention\.self\.query has rank 3, the plan says 2"),
    (bank_of_other_weights, r"layer\.2\.attention\.self\.query has an adapter that does not train"),
    (bank_whose_gradients_go_elsewhere, r"layer\.1\.attention\.self\.query has an adapter that does not train"),
    (adapter_put_behind_the_banks_back, r"layer\.0\.attention\.self\.query has an adapter that does not train"),
    (adapter_taken_behind_the_banks_back, r"layer\.2\.attention\.self\.query has an adapter that does not train"),
]


def make_stack(folder: Path, *, grouped: bool) -> Stack:
    plan = make_plan(LAYOUT, base=str(make_encoder(folder, "roberta")), labels=LABELS)
    encoder = Encoder.load(str(folder / "roberta"), head=plan.head, precision="fp32", device="cpu", grouped=grouped)
    return Stack(encoder, [plan])


either_way = pytest.mark.parametrize("grouped", [False, True], ids=["each", "grouped"])


@either_way
def test_the_model_as_attached_is_what_the_plan_says(tmp_path: Path, grouped: bool) -> None:
    stack = make_stack(tmp_path, grouped=grouped)
    receipt = stack.receipt(0)
    check_receipt(stack.plans[0], receipt, "s")
    assert receipt.trainable == stack.plans[0].trainable
    live = sum(p.numel() for p in stack.encoder.model.parameters() if p.requires_grad)
    assert receipt.trainable == live + sum(p.numel() for p in stack.heads[0].parameters())


@either_way
@pytest.mark.parametrize(("damage", "message"), BREAKS, ids=[damage.__name__ for damage, _ in BREAKS])
def test_a_broken_model_is_refused_by_name(tmp_path: Path, damage: Callable[[Stack], None], message: str, grouped: bool) -> None:
    stack = make_stack(tmp_path, grouped=grouped)
    damage(stack)
    stack._regroup()  # members that share launches multiply with what the adapters were when they were last grouped
    with pytest.raises(PlanError, match=message):
        check_receipt(stack.plans[0], stack.receipt(0), "s")


@needs_grouped_products
@pytest.mark.parametrize(("damage", "message"), BANK_BREAKS, ids=[damage.__name__ for damage, _ in BANK_BREAKS])
def test_a_bank_that_multiplies_otherwise_is_refused_by_name(
    tmp_path: Path, damage: Callable[[Stack], None], message: str
) -> None:
    """The receipt is of the tensors that multiply, not of the adapters they were made from."""
    stack = make_stack(tmp_path, grouped=True)
    damage(stack)
    with pytest.raises(PlanError, match=message):
        check_receipt(stack.plans[0], stack.receipt(0), "s")


@needs_grouped_products
def test_a_bank_that_adds_to_a_member_without_an_adapter_is_refused(tmp_path: Path) -> None:
    stack = make_stack(tmp_path, grouped=True)
    stack.add(make_plan("3 r2 a4 key", base=stack.encoder.base, labels=LABELS))
    bank = stack._sites["roberta.encoder.layer.3.attention.self.key"]._bank
    assert bank is not None
    bank.a[0, 5].fill_(1)
    check_receipt(stack.plans[0], stack.receipt(0), "s")
    bank.b[0, 5].fill_(1)
    with pytest.raises(PlanError, match=r"layer\.3\.attention\.self\.key has an adapter of rank 1, the plan has none"):
        check_receipt(stack.plans[0], stack.receipt(0), "s")


def test_a_receipt_is_the_same_on_both_paths(tmp_path: Path) -> None:
    each, grouped = (make_stack(tmp_path, grouped=way).receipt(0) for way in (False, True))
    assert each == grouped
    assert [(site.scale, site.dropout) for site in each.sites] == [(2.0, 0.03), (1.0, 0.05), (0.5, 0.1), (0.5, 0.1)]
