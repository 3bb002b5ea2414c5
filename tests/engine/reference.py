"""transformers and peft as the reference: the same texts padded, the same weights in peft's own model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from transformers import AutoModelForSequenceClassification

from striata.data import Encoded
from striata.layout import Plan

from .models import LABELS


def padded(texts: Encoded, pad: int) -> dict[str, torch.Tensor]:
    """The same texts as transformers wants them."""
    longest = int(texts.lengths.max())
    ids = np.full((len(texts), longest), pad, np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for row, (start, length) in enumerate(zip(texts.starts[:-1], texts.lengths, strict=True)):
        ids[row, :length] = texts.ids[start : start + length]
        mask[row, :length] = 1
        if texts.types is not None:
            types[row, :length] = texts.types[start : start + length]
    inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    return inputs if texts.types is None else inputs | {"token_type_ids": torch.from_numpy(types)}


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


def close(ours: torch.Tensor, theirs: torch.Tensor, what: str, least: float = 1e-3) -> None:
    """Equal to 1e-5 of the largest entry, or of `least` where that is larger."""
    error = (ours - theirs).abs().max().item()
    assert error <= 1e-5 * max(theirs.abs().max().item(), least), f"{what}: {error:g}"
