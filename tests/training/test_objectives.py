"""What members learn without labels, against transformers and peft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from torch.nn import functional
from transformers import AutoModelForMaskedLM

from striata.data import Encoded
from striata.engine import Encoder, MaskedHead, RandomStream, Stack, collate
from striata.engine.stack import PREFIX
from striata.errors import EncoderError
from striata.families.table import FAMILIES
from striata.layout import Plan, make_plan, shape_of
from striata.training.objectives import Contrast, MaskedTokens, Posed

from ..engine.models import LABELS, VOCABULARY, make_encoder, random_texts
from ..engine.reference import close, gradients, padded

WITH_HEAD = sorted(name for name in FAMILIES if name not in ("ernie", "xlm-roberta", "camembert"))  # these are built like others
MASK = 4


def stack_of(folder: Path, **options: Any) -> Stack:
    """Two members whose adapters add something."""
    last = shape_of(str(folder)).depth - 1  # ALBERT has one layer that is used twice
    layouts = (f"0-{last} r3 a4 attention_output" if last else "0 r3 a4 ffn_out", f"{last} r2 a6 attention_output ffn_in")
    plans = [make_plan(text, base=str(folder), labels=LABELS, head="mean") for text in layouts]
    encoder = Encoder.load(str(folder), head=plans[0].head, precision="fp32", device="cpu", **options)
    stack = Stack(encoder, plans)
    for slot in stack.slots:
        stack.initialise(slot, "member", slot)
        rng = np.random.default_rng(slot)
        stack.load(slot, {name: rng.normal(0, 0.1, a.shape).astype(np.float32) for name, a in stack.tensors(slot).items()})
    return stack


def twin_of(folder: Path, plan: Plan, tensors: dict[str, np.ndarray]) -> Any:
    """peft's model of a plan on the masked-language model, without dropout."""
    config = LoraConfig(
        r=1,
        target_modules=[site.module for site in plan.sites],
        rank_pattern={site.module: site.rank for site in plan.sites},
        alpha_pattern={site.module: site.alpha for site in plan.sites},
    )
    model = get_peft_model(AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager"), config)
    adapters = {named(name, model): torch.from_numpy(array) for name, array in tensors.items() if "lora" in name}
    assert not set_peft_model_state_dict(model, adapters).unexpected_keys
    return model.train()


def named(ours: str, twin: Any) -> str:
    """What peft calls a weight of an adapter where the encoder is a part of the model."""
    return ours.replace(PREFIX, f"{PREFIX}{twin.base_model_prefix}.")


def posed_of(stack: Stack, objective: MaskedTokens | Contrast) -> dict[int, Posed]:
    return {slot: objective.pose(random_texts(np.random.default_rng(slot), 5 + slot), 3 + slot) for slot in stack.slots}


def losses(stack: Stack, objective: MaskedTokens | Contrast, posed: dict[int, Posed]) -> dict[int, torch.Tensor]:
    batch = collate([(slot, one.texts) for slot, one in posed.items()], stack.device)
    hidden = stack.hidden(batch, {slot: RandomStream(stack.device, slot) for slot in posed})
    return {slot: objective.loss(hidden[slot], one) for slot, one in posed.items()}


def check(stack: Stack, slot: int, ours: torch.Tensor, theirs: torch.Tensor, twin: Any) -> None:
    """Loss and gradients of a member's adapters; its head has none."""
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    theirs.backward()
    expected = gradients(twin)
    for name, parameter in stack.parameters(slot).items():
        if "lora" in name:
            assert parameter.grad is not None
            close(parameter.grad, expected.pop(named(name, twin)), name)
        else:
            assert parameter.grad is None
    assert not expected


@pytest.mark.parametrize("family", WITH_HEAD)
def test_masked_tokens_are_those_of_transformers_and_peft(tmp_path: Path, family: str) -> None:
    folder = make_encoder(tmp_path, family, layers=2, masked=True)
    stack = stack_of(folder)
    head = MaskedHead.load(stack.encoder)
    objective = MaskedTokens(head, mask=MASK, special=(0, 1, 2), vocabulary=VOCABULARY)
    posed = posed_of(stack, objective)
    mine = losses(stack, objective, posed)
    sum(mine.values()).backward()  # type: ignore[union-attr]
    for slot, one in posed.items():
        twin = twin_of(folder, stack.plans[slot], stack.tensors(slot))
        labels = np.full(len(one.texts.ids), -100)
        labels[one.places] = one.answers
        inputs = padded(one.texts, int(twin.config.pad_token_id))
        targets = torch.full(inputs["input_ids"].shape, -100)
        targets[inputs["attention_mask"].bool()] = torch.from_numpy(labels)
        check(stack, slot, mine[slot], twin(**inputs, labels=targets).loss, twin)


@pytest.mark.parametrize("grouped", [False, True])
def test_contrast_is_that_of_means_of_tokens(tmp_path: Path, grouped: bool) -> None:
    """In closed form, on transformers' and peft's hidden states; members that share launches learn alike."""
    folder = make_encoder(tmp_path, "roberta", layers=2, masked=True)
    stack = stack_of(folder, grouped=grouped)
    objective = Contrast(deleted=0.5, special=(0, 2))
    posed = posed_of(stack, objective)
    mine = losses(stack, objective, posed)
    sum(mine.values()).backward()  # type: ignore[union-attr]
    for slot, one in posed.items():
        twin = twin_of(folder, stack.plans[slot], stack.tensors(slot))
        inputs = padded(one.texts, 1)
        mask = inputs["attention_mask"][..., None]
        hidden = twin(**inputs, output_hidden_states=True).hidden_states[-1]
        first, second = ((hidden * mask).sum(1) / mask.sum(1)).chunk(2)
        cosines = functional.cosine_similarity(first[:, None], second[None], dim=-1) / 0.05
        theirs = -(cosines.diag() - cosines.logsumexp(1)).mean()
        check(stack, slot, mine[slot], theirs, twin)


def test_which_tokens_are_deleted() -> None:
    """The share of them, never a special one, and never all; the same by seed."""
    ids = np.random.default_rng(0).integers(5, 1000, 100_000).astype(np.int32)
    starts = np.concatenate([[0, 0, 1, 4], np.arange(100, 100_001, 100)])
    ids[starts[1:-1]] = 2  # every text begins with it, and the second is nothing else
    count = len(starts) - 1
    texts = Encoded(ids=ids, starts=starts, types=(ids % 2).astype(np.int8), truncated=np.zeros(count, bool))
    objective = Contrast(deleted=0.8, special=(2,))
    posed = objective.pose(texts, 7).texts
    assert (posed.ids[: len(ids)] == ids).all()
    second = posed.take(range(count, 2 * count))
    assert second.lengths[0] == 0
    assert second.ids[second.starts[1:-1]].tolist() == [2] * (count - 1)
    assert second.lengths[1] == 1
    assert (second.lengths[2:] >= 2).all()
    assert (len(second.ids) - count) / (len(ids) - count) == pytest.approx(0.2, abs=0.005)
    assert second.types is not None
    assert (second.types == second.ids % 2).all()
    assert (objective.pose(texts, 7).texts.ids == posed.ids).all()
    assert not np.array_equal(objective.pose(texts, 8).texts.ids, posed.ids)


def test_the_two_readings_differ_by_dropout_too(tmp_path: Path) -> None:
    stack = stack_of(make_encoder(tmp_path, "bert", layers=2, dropout=0.2))
    posed = posed_of(stack, Contrast(deleted=0.0, special=()))
    slot = stack.slots[0]
    batch = collate([(slot, posed[slot].texts)], stack.device)
    hidden = stack.hidden(batch, {slot: RandomStream(stack.device, 1)})[slot]
    first, second = hidden.chunk(2)
    assert not torch.allclose(first, second)
    same, again = stack.hidden(batch)[slot].chunk(2)
    torch.testing.assert_close(same, again)


def test_the_head_takes_no_memory_twice_and_stays_as_it_is(tmp_path: Path) -> None:
    stack = stack_of(make_encoder(tmp_path, "roberta", layers=2, masked=True))
    head = MaskedHead.load(stack.encoder)
    parameters = list(head._model.parameters())
    assert any(parameter is stack.encoder.words.weight for parameter in parameters)
    assert not any(parameter.requires_grad for parameter in parameters)
    assert sum(parameter.numel() for parameter in parameters) < 2 * stack.encoder.words.weight.numel()  # no encoder is left


def test_a_checkpoint_without_the_head_is_refused(tmp_path: Path) -> None:
    stack = stack_of(make_encoder(tmp_path, "roberta", layers=2))
    with pytest.raises(EncoderError, match=r"has no whole masked-language head: it lacks the weights of \d+ parameters"):
        MaskedHead.load(stack.encoder)


def test_which_tokens_are_guessed() -> None:
    """15 %: of these 80 % masked, 10 % another token, 10 % as they were; never a special one, and always the same by seed."""
    objective = MaskedTokens(lambda hidden: hidden, mask=MASK, special=(0, 2), vocabulary=1000)  # type: ignore[arg-type]
    ids = np.random.default_rng(0).integers(5, 1000, 200_000).astype(np.int32)
    ids[::20] = 2
    starts = np.array([0, 100_000, 200_000])
    texts = Encoded(ids=ids, starts=starts, types=None, truncated=np.zeros(2, bool))
    posed = objective.pose(texts, 7)
    share = len(posed.places) / (ids != 2).sum()
    shown = posed.texts.ids[posed.places]
    assert share == pytest.approx(0.15, abs=0.003)
    assert (posed.answers == ids[posed.places]).all()
    assert not np.isin(posed.answers, [0, 2]).any()
    assert (shown == MASK).mean() == pytest.approx(0.8, abs=0.01)
    assert (shown == posed.answers).mean() == pytest.approx(0.1, abs=0.01)
    rest = np.setdiff1d(np.arange(len(ids)), posed.places)
    assert (posed.texts.ids[rest] == ids[rest]).all()
    assert (objective.pose(texts, 7).texts.ids == posed.texts.ids).all()
    assert (objective.pose(texts, 8).texts.ids != posed.texts.ids).any()


def test_a_step_without_a_token_to_guess_teaches_nothing(tmp_path: Path) -> None:
    stack = stack_of(make_encoder(tmp_path, "roberta", layers=2, masked=True))
    objective = MaskedTokens(MaskedHead.load(stack.encoder), mask=MASK, special=range(VOCABULARY), vocabulary=VOCABULARY)
    posed = posed_of(stack, objective)
    total = torch.stack(list(losses(stack, objective, posed).values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert total.item() == 0
    assert not any(p.grad is not None and p.grad.any() for slot in stack.slots for p in stack.parameters(slot).values())
