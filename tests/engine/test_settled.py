"""Settled engines: merged weights and attention over one text, against peft's own merging, in every family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from striata.engine import Encoder, Stack, share_weights
from striata.layout import make_plan

from .contract import fill, near, texts
from .models import LABELS, make_encoder
from .reference import padded, peft_twin
from .test_families import FAMILIES, LAYOUTS, USUAL

CLOSE = 1e-5


def settled(base: Path, layouts: tuple[str, ...], precision: str = "fp32") -> tuple[Stack, Stack]:
    """The same members twice: as they train, and settled."""
    plans = [make_plan(layout, base=str(base), labels=LABELS) for layout in layouts]
    stacks = [
        Stack(Encoder.load(str(base), head=plans[0].head, precision=precision, device="cpu", grouped=False), plans)
        for _ in range(2)
    ]
    for stack in stacks:
        for slot in stack.slots:
            fill(stack, slot, slot)
    stacks[1].settle()
    return stacks[0], stacks[1]


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("settled"), "roberta", layers=3)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_pefts_merged_model(tmp_path: Path, family: str) -> None:
    base = make_encoder(tmp_path, family, layers=3)
    layout = LAYOUTS.get(family, USUAL)[0]
    _, stack = settled(base, (layout,))
    twin = peft_twin(base, stack.plans[0], stack.tensors(0)).eval().merge_and_unload()  # type: ignore[operator]
    asked = texts(6)
    assert asked.lengths.max() > 16  # ModernBERT's window
    with torch.no_grad():
        expected = twin(**padded(asked, int(twin.config.pad_token_id))).logits.numpy()
    near(stack.predict(asked)[0], expected, 2 * CLOSE)
    for at in range(len(asked)):
        near(stack.predict(asked.take([at]))[0], expected[[at]], 2 * CLOSE)


def test_a_merged_weight_is_the_sum_in_closed_form(roberta: Path) -> None:
    plain, stack = settled(roberta, (USUAL[0],))
    assert stack._merged is not None
    assert stack._merged.keys() == {site.module.removeprefix("roberta.") for site in stack.plans[0].sites}
    for module, adapter in stack.sites(0).items():
        weight = plain.encoder.model.get_submodule(module.removeprefix("roberta.")).base.weight
        scale = next(site.scale for site in stack.plans[0].sites if site.module == module)
        exact = weight.double() + scale * (adapter.b.detach().double() @ adapter.a.detach().double())
        merged = stack._merged[module.removeprefix("roberta.")]
        assert torch.allclose(merged.double(), exact, rtol=0, atol=1e-6 * float(exact.abs().max()))


def test_other_models_on_the_same_frozen_weights_notice_nothing(roberta: Path) -> None:
    plain, stack = settled(roberta, (USUAL[0],))
    before = plain.predict(texts(5))
    frozen = {name: p.clone() for name, p in plain.encoder.model.named_parameters() if not p.requires_grad}
    share_weights([plain.encoder, stack.encoder])
    stack.settle()
    assert stack.encoder.words.weight.data_ptr() == plain.encoder.words.weight.data_ptr()
    near(stack.predict(texts(5)), before, CLOSE)
    assert np.array_equal(plain.predict(texts(5)), before)
    assert all(torch.equal(p, frozen[name]) for name, p in plain.encoder.model.named_parameters() if name in frozen)


def test_several_members_are_not_merged(roberta: Path) -> None:
    plain, stack = settled(roberta, USUAL)
    assert np.array_equal(plain.predict(texts(5)), stack.predict(texts(5)))
    near(stack.predict(texts(1)), plain.predict(texts(1)), CLOSE)


def test_bf16_stays_as_it_is(roberta: Path) -> None:
    plain, stack = settled(roberta, (USUAL[0],), "bf16")
    for rows in (1, 5):
        assert np.array_equal(plain.predict(texts(rows)), stack.predict(texts(rows)))
