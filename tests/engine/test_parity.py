"""The stack against peft and transformers: same weights in, same logits, losses and gradients out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from torch.nn import functional
from transformers import AutoModelForSequenceClassification

from striata.data import Encoded
from striata.engine import Encoder, Stack, collate
from striata.layout import Plan, make_plan

from .models import LABELS, make_encoder, random_texts

LAYOUTS = (
    "0 r4 a8 query value | 1-2 r2 a3 query | 3 r6 a4 query key",
    "0-1 r3 a1 query | 2-3 r5 a10 value attention_output",
    "1 r2 a4 ffn_in ffn_out | 2-3 r4 a4 query value",
)


def padded(texts: Encoded, pad: int) -> dict[str, torch.Tensor]:
    """The same texts as transformers wants them."""
    longest = int(texts.lengths.max())
    ids = np.full((len(texts), longest), pad, np.int64)
    mask = np.zeros_like(ids)
    for row, (start, length) in enumerate(zip(texts.starts[:-1], texts.lengths, strict=True)):
        ids[row, :length] = texts.ids[start : start + length]
        mask[row, :length] = 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def peft_twin(folder: Path, plan: Plan, tensors: dict[str, np.ndarray]) -> torch.nn.Module:
    """peft's own model of a plan, with these weights."""
    base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=LABELS, attn_implementation="eager")
    heads = sorted({step.module.split(".")[0] for step in plan.head.steps if step.parameters})
    config = LoraConfig(
        r=1,
        task_type="SEQ_CLS",
        target_modules=[site.module for site in plan.sites],
        rank_pattern={site.module: site.rank for site in plan.sites},
        alpha_pattern={site.module: site.alpha for site in plan.sites},
        modules_to_save=heads,
    )
    model = get_peft_model(base, config)
    state = {name: torch.from_numpy(array) for name, array in tensors.items()}
    loaded = set_peft_model_state_dict(model, state)
    assert not loaded.unexpected_keys
    return model


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.grad is not None:
            found[name.replace(".modules_to_save.default", "").replace(".default", "")] = parameter.grad
    return found


def close(ours: torch.Tensor, theirs: torch.Tensor, what: str) -> None:
    """Equal to 1e-5 of the largest entry."""
    error = (ours - theirs).abs().max().item()
    assert error <= 1e-5 * max(theirs.abs().max().item(), 1e-3), f"{what}: {error:g}"


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
            for name, parameter in live.items():
                assert parameter.grad is not None
                close(parameter.grad, reference[name], f"step {step}, member {slot}, {name}")
            for optimizer in (ours[slot], theirs[slot]):
                optimizer.step()
                optimizer.zero_grad()


@pytest.mark.parametrize(
    "family",
    [
        "roberta",
        "bert",
        "xlm-roberta",
        "camembert",
        "distilbert",
        "electra",
        "albert",
        "modernbert",
        "ernie",
        "deberta-v2",
        "mpnet",
    ],
)
def test_every_family_gives_the_logits_of_its_own_padded_model(tmp_path: Path, family: str) -> None:
    folder = make_encoder(tmp_path, family)
    target = "qkv" if family == "modernbert" else "query"
    plan = make_plan(f"0 r2 {target}", base=str(folder), labels=LABELS)
    encoder = Encoder.load(str(folder), head=plan.head, precision="fp32", device="cpu")
    stack = Stack(encoder, [plan])
    stack.initialise(0, "member", 0)
    reference = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=LABELS, attn_implementation="eager").eval()
    names = dict(reference.named_parameters())
    with torch.no_grad():
        for name, parameter in stack.heads[0].named().items():
            names[name].copy_(parameter)
    texts = random_texts(np.random.default_rng(0), 9, longest=40)
    with torch.no_grad():
        expected = reference(**padded(texts, encoder.model.config.pad_token_id)).logits
    found = torch.from_numpy(stack.predict(texts, max_tokens=50)[0])
    close(found, expected, family)


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
