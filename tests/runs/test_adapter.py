"""The adapter's configuration is what peft itself would write."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from peft import LoraConfig

from striata.layout import make_plan
from striata.runs.adapter import write_adapter

LAYOUT = "0-3 r4 a2 d0.05 query value | 4-7 r8 query | 8-11 r16 a24 query ffn_in"


@pytest.mark.parametrize("head", ["native", "linear", "mean"])
def test_the_configuration_says_to_peft_what_peft_would_write(tmp_path: Path, head: str) -> None:
    plan = make_plan(LAYOUT, base="roberta-base", labels=4, head=head)
    write_adapter(tmp_path, plan, {"base_model.model.classifier.weight": np.zeros((4, 2), np.float32)})
    sites = [site.module for site in plan.sites]
    expected = LoraConfig(
        r=16,
        lora_alpha=1,
        target_modules=sites if head == "native" else "|".join(re.escape(site) for site in sorted(sites)),
        rank_pattern={site.module: site.rank for site in plan.sites},
        alpha_pattern={site.module: site.alpha for site in plan.sites},
        lora_dropout=0.0,
        bias="none",
        task_type="SEQ_CLS" if head == "native" else "FEATURE_EXTRACTION",
        modules_to_save=["classifier"] if head == "native" else None,
        base_model_name_or_path="roberta-base",
        inference_mode=True,
    )
    assert LoraConfig.from_pretrained(tmp_path).to_dict() == expected.to_dict()
