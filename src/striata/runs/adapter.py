"""A run's weights as peft writes them, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..disk.sealed import Seal
from ..layout import Plan

ADAPTER = "adapter_model.safetensors"
HEAD = "head.safetensors"
CONFIG = "adapter_config.json"


def write_adapter(folder: Path, plan: Plan, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a folder that `PeftModel.from_pretrained` opens on a fresh base.

    A native head lies in the adapter, as peft's `modules_to_save`; a linear or mean head, which the base model does not have,
    in a file of its own beside it. peft knows one dropout for all sites and none matters in use, so it gets 0.

    A run with a native head opens on the classification model, any other on the encoder alone, and peft refuses either on the
    model of the other. That is why sites in the encoder alone are written as a pattern: peft compares a pattern with whole names,
    but a list with their ends, and would find these sites in the classification model too, under names that the file of weights
    does not have; it would go on with new adapters, and a warning.

    Args:
        folder: exists.
        plan: what was trained.
        tensors: by peft's names, as the engine gives them.

    Raises:
        OSError: the folder cannot be written.
    """
    from safetensors.numpy import save

    native = plan.head.kind == "native"
    config = _config(plan, sorted({step.module.split(".")[0] for step in plan.head.steps if step.parameters}) if native else None)
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    in_head = {name for name in tensors if ".lora_" not in name}
    adapter = {name: array for name, array in tensors.items() if native or name not in in_head}
    (folder / ADAPTER).write_bytes(save(adapter, {"format": "pt"}))  # safetensors' own writer raises errors of its own
    if not native:
        (folder / HEAD).write_bytes(save({name: tensors[name] for name in in_head}, {"format": "pt"}))


def _config(plan: Plan, modules_to_save: list[str] | None) -> dict[str, Any]:
    """What peft's LoraConfig needs to know; the fields left out have its defaults."""
    ranks = {site.module: site.rank for site in plan.sites}
    return {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION" if modules_to_save is None else "SEQ_CLS",
        "base_model_name_or_path": plan.base,
        "inference_mode": True,
        "r": max(ranks.values(), default=1),
        "lora_alpha": 1,
        "target_modules": sorted(ranks) if modules_to_save is not None or not ranks else "|".join(map(re.escape, sorted(ranks))),
        "rank_pattern": ranks,
        "alpha_pattern": {site.module: site.alpha for site in plan.sites},
        "lora_dropout": 0.0,
        "bias": "none",
        "modules_to_save": modules_to_save,
    }


def read_adapter(seal: Seal, plan: Plan) -> dict[str, np.ndarray]:
    """The tensors that :func:`write_adapter` wrote.

    Raises:
        StriataError: of the seal's kind of error: a file is damaged.
    """
    from safetensors.numpy import load_file

    tensors: dict[str, np.ndarray] = seal.read(ADAPTER, load_file)
    if plan.head.kind != "native":
        tensors |= seal.read(HEAD, load_file)
    return tensors
