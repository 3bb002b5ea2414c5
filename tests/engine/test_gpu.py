"""What only a GPU can show; skipped where there is none. `python -m pytest tests/engine/test_gpu.py tests/study/test_gpu.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from striata.engine import Encoder, Engine, RandomStream, Stack, collate
from striata.engine.bank import fast_products
from striata.layout import Plan, make_plan

from .contract import EngineContract, fill
from .models import LABELS, make_encoder, random_texts
from .reference import gradients, padded, peft_twin

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
GPU = torch.device("cuda")
LAYOUTS = ("0-1 r3 a1 query value", "1-3 r12 a10 query", "0-3 r2 a4 query value")
FAMILIES = ("roberta", "bert", "distilbert", "electra", "modernbert", "mpnet", "albert", "deberta-v2")


def stack_on(base: Path, layouts: Sequence[str], *, precision: str, grouped: bool | None = None) -> Stack:
    plans = [make_plan(layout, base=str(base), labels=LABELS) for layout in layouts]
    stack = Stack(Encoder.load(str(base), head=plans[0].head, precision=precision, device="cuda", grouped=grouped), plans)
    for slot in stack.slots:
        fill(stack, slot, slot)
    return stack


def layouts_of(family: str) -> tuple[str, ...]:
    """Sites that the family has: ModernBERT's query, key and value are one matrix, ALBERT's layers one group."""
    if family == "modernbert":
        return ("0-1 r3 a1 qkv", "1-3 r12 a10 qkv")
    return ("0 r3 a1 query value", "0 r12 a10 query") if family == "albert" else LAYOUTS


def fraction(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """|ours - theirs| / |theirs|, Euclidean."""
    theirs = theirs.to(ours.device, torch.float32)
    return float((ours.float() - theirs).norm() / theirs.norm())


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 5e-2)])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradients_are_those_of_peft(tmp_path: Path, family: str, precision: str, tolerance: float) -> None:
    """peft in fp32 on the CPU, member by member, on padded texts."""
    base = make_encoder(tmp_path, family)
    stack = stack_on(base, layouts_of(family), precision=precision)
    rng = np.random.default_rng(1)
    texts = [random_texts(rng, 6 + slot) for slot in stack.slots]
    targets = [torch.from_numpy(rng.integers(0, LABELS, len(some))) for some in texts]
    logits = stack.forward(collate(list(zip(stack.slots, texts, strict=True)), GPU))
    losses = [functional.cross_entropy(logits[slot], own.to(GPU)) for slot, own in zip(stack.slots, targets, strict=True)]
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    for slot, some, own in zip(stack.slots, texts, targets, strict=True):
        plan = make_plan(layouts_of(family)[slot], base=str(base), labels=LABELS)
        twin = peft_twin(base, plan, stack.tensors(slot)).eval()
        expected = twin(**padded(some, int(twin.config.pad_token_id)), labels=own)
        expected.loss.backward()
        assert fraction(logits[slot], expected.logits) < tolerance
        reference = gradients(twin)
        live = stack.parameters(slot)
        assert set(reference) == set(live)
        ours, theirs = (torch.cat([part.flatten().to(GPU) for part in parts]) for parts in (
            [parameter.grad for parameter in live.values() if parameter.grad is not None], [reference[name] for name in live]
        ))  # fmt: skip
        assert fraction(ours, theirs) < 6 * tolerance


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_members_that_share_launches_are_the_members_that_do_not(tmp_path: Path, precision: str) -> None:
    base = make_encoder(tmp_path, "roberta")
    together, apart = (stack_on(base, LAYOUTS, precision=precision, grouped=grouped) for grouped in (True, False))
    texts = random_texts(np.random.default_rng(2), 40)
    ours, theirs = (torch.from_numpy(stack.predict(texts)) for stack in (together, apart))
    assert fraction(ours, theirs) < (2e-2 if precision == "bf16" else 1e-5)


@pytest.fixture
def no_waits() -> Iterator[None]:
    """torch refuses whatever the host would have to wait for."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_in_a_step_is_waited_for(tmp_path: Path, precision: str, request: pytest.FixtureRequest) -> None:
    layouts = ("0-1 r3 a1 d0.1 query value", "1-3 r12 a10 d0.2 query key ffn_out")
    stack = stack_on(make_encoder(tmp_path, "roberta", dropout=0.1), layouts, precision=precision)
    optimizers = [torch.optim.AdamW(stack.parameters(slot).values(), lr=1e-3, fused=True) for slot in stack.slots]
    streams = {slot: RandomStream(GPU, slot) for slot in stack.slots}
    rng = np.random.default_rng(3)

    def step() -> None:
        batch = collate([(slot, random_texts(rng, 5)) for slot in stack.slots], GPU)
        logits = stack.forward(batch, streams)
        torch.stack([value.square().mean() for value in logits.values()]).sum().backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    step()  # what is made once may be waited for
    request.getfixturevalue("no_waits")
    step()


def test_products_are_grouped_where_the_hardware_has_them() -> None:
    assert fast_products(GPU, torch.bfloat16) == (torch.cuda.get_device_capability()[0] in (9, 10))


class TestOnGpu(EngineContract):
    grouped: bool | None = None

    def make(self, base: str, plans: Sequence[Plan]) -> Engine:
        encoder = Encoder.load(base, head=plans[0].head, precision="fp32", device="cuda", grouped=self.grouped)
        return Stack(encoder, plans)


class TestOnGpuMemberByMember(TestOnGpu):
    grouped = False


class TestMeanOfTheTokensOnGpu(TestOnGpu):
    head = "mean"


class TestPaddedOnGpu(TestOnGpu):
    family = "deberta-v2"
