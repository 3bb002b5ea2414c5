"""Steps of training and prediction on another device than the CPU, without one. `python -m tests.engine.elsewhere DIR`.

The device has a name and no memory: torch works out device, type and shape of every result (FakeTensorMode) and refuses what a
GPU would refuse, such as operands on two devices. A process of its own, because a device is registered for good.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock, patch

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as register

from striata.engine import Encoder, Stack, collate
from striata.engine.bank import Bank
from striata.layout import make_plan
from striata.runs import Member
from striata.settings import Recipe
from striata.training.loop import Trainer
from striata.training.validation import Validator

from .models import LABELS, make_encoder, random_texts


class Case(NamedTuple):
    family: str
    layouts: tuple[str, str]
    head: str = "native"
    precision: str = "bf16"
    optimizers: tuple[str, str] = ("adamw", "lion")


CASES = (
    Case("roberta", ("0-1 r3 a1 d0.1 query value", "1-3 r12 a10 d0.2 query key ffn_out")),
    Case("roberta", ("0-1 r3 a1 d0.1 query value", "1-3 r12 a10 d0.2 query"), "mean", "fp32", ("adam", "lion")),
    Case("bert", ("0-3 r4 query", "2-3 r4 d0.1 value"), "linear"),
    Case("modernbert", ("0-3 r4 d0.1 qkv", "1 r3 ffn_in")),
    Case("distilbert", ("0-3 r4 query", "2-3 r4 d0.1 value")),
    Case("electra", ("0-3 r4 query", "2-3 r4 d0.1 value"), precision="fp32"),
    Case("mpnet", ("0-3 r4 query", "2-3 r4 d0.1 value"), "mean", "fp32"),
    Case("albert", ("0 r4 d0.1 query", "0 r2 d0.1 ffn_in"), "mean"),
)


class HostGenerator(torch.Generator):
    """A generator on the host, whatever was asked for: values are not drawn here."""

    def __new__(cls, *_: object) -> HostGenerator:
        return super().__new__(cls)


class Watch(TorchDispatchMode):
    """Notes what the host would have to wait for: values that are asked for, and copies that do not go on by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        to = kwargs.get("device")
        if func is torch.ops.aten._to_copy.default and to is not None and to != args[0].device and not kwargs.get("non_blocking"):
            self.waits.append(f"copy of {tuple(args[0].shape)} from {args[0].device} to {to}")
        return func(*args, **kwargs)


def run(case: Case, folder: Path, device: torch.device, fake: FakeTensorMode) -> list[str]:
    """One step and one prediction; returns what was waited for."""
    base = make_encoder(folder, case.family, dropout=0.1)
    plans = [make_plan(layout, base=str(base), labels=LABELS, head=case.head) for layout in case.layouts]
    encoder = Encoder.load(str(base), head=plans[0].head, precision=case.precision, device="cpu", grouped=True)
    watch = Watch()
    with fake:
        for module in encoder.model.modules():
            for name, value in list(module._parameters.items()):
                if value is not None:
                    module._parameters[name] = torch.nn.Parameter(torch.empty_like(value, device=device), requires_grad=False)
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = torch.empty_like(buffer, device=device)
        encoder.device = device
        encoder.banked = case.precision == "bf16"
        stack = Stack(encoder, plans)
        texts = random_texts(np.random.default_rng(0), 20)
        targets = np.arange(20) % LABELS
        recipes = [Recipe(optimizer=name, batch_size=5, max_steps=1, label_smoothing=0.1) for name in case.optimizers]
        trainer = Trainer(
            stack,
            [
                Member(name=str(at), title=str(at), layout="", seed=0, recipe=r, plan=p)
                for at, (r, p) in enumerate(zip(recipes, plans, strict=True))
            ],
            texts=texts,
            targets=targets,
            names=[str(label) for label in range(LABELS)],
            validator=Validator(texts, targets, 0),
            checkpoint=None,
            ended=lambda _: None,
        )
        with watch:
            trainer.step()
            batch = collate([(slot, texts) for slot in stack.slots], device)
            with torch.inference_mode():
                logits = stack.forward(batch)
    assert all(t.step == 1 for t in trainer.live)
    for value in [*logits.values(), *(p for slot in stack.slots for p in stack.parameters(slot).values())]:
        assert value.device == device, value
    return watch.waits


def main(folder: Path) -> None:
    """All cases; raises where a GPU would."""
    register("elsewhere")
    device, real = torch.device("elsewhere:0"), torch.from_numpy
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    read: list[torch.Tensor] = []

    def tolist(values: torch.Tensor) -> list[float]:
        read.append(values)
        return [0.0] * len(values)

    with (
        patch.object(torch, "Generator", HostGenerator),
        patch.object(torch, "from_numpy", lambda array: fake.from_tensor(real(array))),
        patch.object(torch.Tensor, "pin_memory", lambda tensor: tensor),
        patch.object(FakeTensor, "tolist", tolist),
        patch.object(torch.cuda, "current_stream", MagicMock()),
        patch.object(Bank, "effective", lambda _, __, adapter: adapter and adapter.effect()),  # no values to be read back
    ):
        for at, case in enumerate(CASES):
            read.clear()
            waits = run(case, folder / str(at), device, fake)
            print(*case, *waits, f"{len(read)} read", sep="; ")
            assert not waits
            assert len(read) == 1  # the losses, once a step


if __name__ == "__main__":
    main(Path(sys.argv[1]))
