"""Our side of every row: the engine and the training loop that `striata train` runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from striata.data import Encoded
from striata.engine import Encoder, Stack
from striata.layout import make_plan
from striata.runs import Member
from striata.settings import Recipe
from striata.training.loop import Trainer
from striata.training.validation import Validator

from .work import BATCH, LABELS, Work

ENDLESS = 10**6


class Study:
    """Layouts under training in one stack.

    Args:
        work: encoder, texts and labels.
        layouts: one member each.
        precision: of the frozen encoder.
        texts: to train on; those of `work` by default.
    """

    def __init__(self, work: Work, layouts: Sequence[str], precision: str, texts: Encoded | None = None) -> None:
        recipe = Recipe(
            optimizer="adamw", weight_decay=0, schedule="linear", warmup=0, batch_size=BATCH, max_steps=ENDLESS,
            evaluate_every=ENDLESS, precision="bf16" if precision == "bf16" else "fp32",
        )  # fmt: skip
        plans = [make_plan(layout, base=str(work.base), labels=LABELS) for layout in layouts]
        members = [
            Member(name=f"member{at}", title=f"member{at}", layout=plan.layout, seed=0, recipe=recipe, plan=plan)
            for at, plan in enumerate(plans)
        ]
        encoder = Encoder.load(str(work.base), head=plans[0].head, precision=precision, device=work.device)
        used = work.texts if texts is None else texts
        targets = work.targets[: len(used)]
        self.stack = Stack(encoder, plans)
        self._trainer = Trainer(
            self.stack,
            members,
            texts=used,
            targets=targets,
            names=[str(label) for label in range(LABELS)],
            validator=Validator(used, targets, 0),
            checkpoint=None,
            ended=lambda outcome: None,
        )
        self.members = len(members)
        self.tokens = 0

    def steps(self, count: int) -> float:
        """Trains every member for some steps; returns seconds per step and member. `tokens` then counts what they read."""
        self.tokens = 0
        wait(self.stack.encoder.device)
        started = time.perf_counter()
        for _ in range(count):
            self._trainer.step()
        wait(self.stack.encoder.device)
        seconds = time.perf_counter() - started
        self.tokens = self._read(count)
        return seconds / count / self.members

    def _read(self, count: int) -> int:
        """Tokens of the last steps, over all members."""
        from striata.training.order import rows_at

        texts, total = self._trainer.texts, 0
        for trainee in self._trainer.live:
            for step in range(trainee.step - count, trainee.step):
                rows = rows_at(step, rows=len(texts), batch_size=BATCH, seed=trainee.member.seed)
                total += int(texts.lengths[rows].sum())
        return total

    def predict(self, texts: Encoded) -> float:
        """Seconds for the logits of all members for all texts."""
        wait(self.stack.encoder.device)
        started = time.perf_counter()
        logits = self.stack.predict(texts)
        seconds = time.perf_counter() - started
        assert np.isfinite(logits).all()
        return seconds


def wait(device: torch.device) -> None:
    """Lets the device finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
