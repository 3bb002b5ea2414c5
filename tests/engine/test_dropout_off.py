"""An encoder without dropout: a pass with random streams gives what an evaluation gives, in every family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from striata.engine import Encoder, RandomStream, Stack, collate
from striata.layout import make_plan

from .models import LABELS, make_encoder, random_texts

FAMILIES = ("roberta", "bert", "distilbert", "electra", "albert", "modernbert", "deberta-v2", "mpnet")


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_dropped(family: str, tmp_path: Path) -> None:
    base = str(make_encoder(tmp_path, family, dropout=0.2))
    target = "qkv" if family == "modernbert" else "query"
    plan = make_plan(f"0-0 r2 {target}", base=base, labels=LABELS, head="mean")
    texts = random_texts(np.random.default_rng(0), 6)

    def outputs(dropout: float | None) -> tuple[torch.Tensor, torch.Tensor]:
        stack = Stack(Encoder.load(base, head=plan.head, precision="fp32", device="cpu", dropout=dropout), [plan])
        stack.initialise(0, "member", 0)
        batch = collate([(0, texts)], stack.encoder.device)
        with torch.no_grad():
            return stack.encoder.hidden(batch, {0: RandomStream(stack.device, 1)}, slots=[0]), stack.encoder.hidden(
                batch, slots=[0]
            )

    dropped, still = outputs(None)
    assert not torch.allclose(dropped, still)
    training, evaluation = outputs(0.0)
    torch.testing.assert_close(training, evaluation, rtol=0, atol=0)
    torch.testing.assert_close(evaluation, still, rtol=0, atol=0)
