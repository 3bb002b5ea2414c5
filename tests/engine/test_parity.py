"""The stack against peft and transformers: same weights in, same logits, losses and gradients out."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import set_peft_model_state_dict
from torch.nn import functional

from striata.engine import Encoder, Stack, collate
from striata.layout import make_plan

from .models import LABELS, make_encoder, random_texts
from .reference import close, gradients, padded, peft_twin

LAYOUTS = (
    "0 r4 a8 query value | 1-2 r2 a3 query | 3 r6 a4 query key",
    "0-1 r3 a1 query | 2-3 r5 a10 value attention_output",
    "1 r2 a4 ffn_in ffn_out | 2-3 r4 a4 query value",
)


def start_of(folder: Path) -> tuple[Stack, list[torch.nn.Module]]:
    """A stack with a member of each layout, and peft's models with the same weights."""
    plans = [make_plan(text, base=str(folder), labels=LABELS) for text in LAYOUTS]
    encoder = Encoder.load(str(folder), head=plans[0].head, precision="fp32", device="cpu")
    stack = Stack(encoder, plans)
    twins = []
    for slot, plan in enumerate(plans):
        stack.initialise(slot, "member", slot)
        start = stack.tensors(slot)
        rng = np.random.default_rng(slot)
        for name in start:  # B starts at zero, which would leave A without a gradient
            if "lora_B" in name:
                start[name] = rng.normal(0, 0.05, start[name].shape).astype(np.float32)
        stack.load(slot, start)
        twins.append(peft_twin(folder, plan, start))
    return stack, twins


OPTIMIZERS = {"sgd": partial(torch.optim.SGD, lr=0.05, momentum=0.9), "adamw": partial(torch.optim.AdamW, lr=1e-3)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("family", ["roberta", "bert"])
def test_three_members_train_as_three_peft_models(tmp_path: Path, family: str, optimizer: str) -> None:
    """Ten steps on either side. AdamW makes whole steps of gradients that are nothing but rounding, so that two runs of peft
    itself drift apart where gradients nearly cancel; with AdamW peft's gradients are therefore taken at our weights."""
    stack, twins = start_of(make_encoder(tmp_path, family))
    ours = [OPTIMIZERS[optimizer](stack.parameters(slot).values()) for slot in range(3)]
    theirs = [OPTIMIZERS[optimizer]([p for p in t.parameters() if p.requires_grad]) for t in twins]
    rng = np.random.default_rng(7)
    for step in range(10):
        texts = [random_texts(rng, 5 + slot) for slot in range(3)]
        labels = [torch.from_numpy(rng.integers(0, LABELS, len(t))) for t in texts]
        logits = stack.forward(collate(list(enumerate(texts)), stack.encoder.device))
        losses = [functional.cross_entropy(logits[slot], labels[slot]) for slot in range(3)]
        torch.stack(losses).sum().backward()
        for slot, twin in enumerate(twins):
            inputs = padded(texts[slot], stack.encoder.model.config.pad_token_id) | {"labels": labels[slot]}
            expected = twin(**inputs)
            expected.loss.backward()
            close(logits[slot], expected.logits, f"step {step}, member {slot}, logits")
            close(losses[slot], expected.loss, f"step {step}, member {slot}, loss")
            reference = gradients(twin)
            if optimizer == "adamw":
                here = copy.deepcopy(twin)
                here.zero_grad()
                set_peft_model_state_dict(here, {name: torch.from_numpy(array) for name, array in stack.tensors(slot).items()})
                here(**inputs).loss.backward()
                reference = gradients(here)
            live = stack.parameters(slot)
            assert set(reference) == set(live)
            for name, parameter in live.items():
                assert parameter.grad is not None
                close(parameter.grad, reference[name], f"step {step}, member {slot}, {name}", least=0)
            for each in (ours[slot], theirs[slot]):
                each.step()
                each.zero_grad()


def test_at_the_start_the_adapted_model_is_the_base(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path, "roberta")
    plans = [make_plan(text, base=str(folder), labels=LABELS) for text in LAYOUTS]
    texts = random_texts(np.random.default_rng(1), 6)
    encoder = Encoder.load(str(folder), head=plans[0].head, precision="fp32", device="cpu")
    batch = collate([(0, texts)], encoder.device)
    with torch.no_grad():
        before = encoder.hidden(batch)
        stack = Stack(encoder, plans)
        for slot in range(3):
            stack.initialise(slot, "member", slot)
        after = encoder.hidden(batch)
    assert torch.equal(before, after)
