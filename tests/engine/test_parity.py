"""The stack against peft and transformers: same weights in, same logits, losses and gradients out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
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


@pytest.mark.parametrize("family", ["roberta", "bert"])
def test_three_members_train_as_three_peft_models(tmp_path: Path, family: str) -> None:
    folder = make_encoder(tmp_path, family)
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
    ours = [torch.optim.AdamW(stack.parameters(slot).values(), lr=1e-3) for slot in range(3)]
    theirs = [torch.optim.AdamW([p for p in t.parameters() if p.requires_grad], lr=1e-3) for t in twins]
    rng = np.random.default_rng(7)
    for step in range(10):
        texts = [random_texts(rng, 5 + slot) for slot in range(3)]
        labels = [torch.from_numpy(rng.integers(0, LABELS, len(t))) for t in texts]
        logits = stack.forward(collate(list(enumerate(texts)), encoder.device))
        losses = [functional.cross_entropy(logits[slot], labels[slot]) for slot in range(3)]
        torch.stack(losses).sum().backward()
        for slot, twin in enumerate(twins):
            expected = twin(**padded(texts[slot], encoder.model.config.pad_token_id), labels=labels[slot])
            expected.loss.backward()
            close(logits[slot], expected.logits, f"step {step}, member {slot}, logits")
            close(losses[slot], expected.loss, f"step {step}, member {slot}, loss")
            reference = gradients(twin)
            live = stack.parameters(slot)
            assert set(reference) == set(live)
            # A key's gradient is what is left when most of it cancels, so its rounding is that of larger numbers.
            least = 5e-2 * max(float(gradient.abs().max()) for gradient in reference.values())
            for name, parameter in live.items():
                assert parameter.grad is not None
                close(parameter.grad, reference[name], f"step {step}, member {slot}, {name}", least)
            for optimizer in (ours[slot], theirs[slot]):
                optimizer.step()
                optimizer.zero_grad()


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
