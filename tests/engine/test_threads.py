"""From any number of threads an engine gives the answers of one thread, bit for bit."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from striata.engine import Encoder, RandomStream, Stack, collate, embed
from striata.layout import make_plan

from ..threads import THREADS, at_once, one_core_each
from .models import LABELS, make_encoder, random_texts

LAYOUTS = {
    "every layer": ("0-3 r2 a4 d0.1 {}", "0-1 r3 a4 {} | 2-3 r4 a4 d0.2 {}", "1-3 r2 a4 {}"),
    "shared lower layers": ("2-3 r2 a4 d0.1 {}", "3 r3 a4 {}", "2 r5 a4 d0.2 {}"),
}
WAYS = [
    ("roberta", "every layer", "native", False),
    ("roberta", "every layer", "mean", True),
    ("roberta", "shared lower layers", "native", False),
    ("roberta", "shared lower layers", "native", True),
    ("bert", "shared lower layers", "native", False),
    ("modernbert", "shared lower layers", "mean", True),
    ("deberta-v2", "every layer", "native", False),
    ("mpnet", "every layer", "mean", False),
]
every_way = pytest.mark.parametrize(("family", "layouts", "head", "grouped"), WAYS)


@pytest.fixture(autouse=True, scope="module")
def cores() -> Iterator[None]:
    with one_core_each():
        yield


def stack_of(folder: Path, family: str, layouts: str, head: str, grouped: bool) -> Stack:
    base = str(make_encoder(folder, family, dropout=0.1))
    target = "qkv" if family == "modernbert" else "query"
    plans = [make_plan(text.format(target, target), base=base, labels=LABELS, head=head) for text in LAYOUTS[layouts]]
    stack = Stack(Encoder.load(base, head=plans[0].head, precision="fp32", device="cpu", grouped=grouped), plans)
    for slot in stack.slots:
        fill(stack, slot)
    return stack


def fill(stack: Stack, slot: int) -> None:
    """Weights large enough to show in the logits."""
    rng = np.random.default_rng(slot)
    stack.initialise(slot, "member", slot)
    start = stack.tensors(slot)
    stack.load(slot, {name: rng.normal(0, 0.2, array.shape).astype(np.float32) for name, array in start.items()})


def step(stack: Stack, slot: int, at: int) -> tuple[bytes, ...]:
    """The loss and all gradients of a member's step with dropout, as bits."""
    rng = np.random.default_rng(at)
    streams = {slot: RandomStream(torch.device("cpu"), at)}
    logits = stack.forward(collate([(slot, random_texts(rng, 3))], torch.device("cpu")), streams)[slot]
    loss = functional.cross_entropy(logits, torch.arange(3))
    gradients = torch.autograd.grad(loss, list(stack.parameters(slot).values()))
    return tuple(x.detach().numpy().tobytes() for x in (loss, *gradients))


@every_way
def test_predictions_and_embeddings(tmp_path: Path, family: str, layouts: str, head: str, grouped: bool) -> None:
    """Of one member, of several, and of the frozen encoder, for texts of other numbers and lengths in each thread."""
    stack = stack_of(tmp_path, family, layouts, head, grouped)
    texts = [random_texts(np.random.default_rng(at), 1 + at % 3) for at in range(THREADS)]
    chosen = [((0, 1, 2), (1,), (0, 2), (2, 1))[at % 4] for at in range(THREADS)]

    def answer(at: int) -> bytes:
        if at % 6 == 5:
            return embed(stack.encoder, texts[at]).tobytes()
        return stack.predict(texts[at], slots=chosen[at]).tobytes()

    alone = [answer(at) for at in range(THREADS)]
    assert at_once([partial(answer, at) for at in range(THREADS)]) == alone


@every_way
def test_steps_beside_predictions(tmp_path: Path, family: str, layouts: str, head: str, grouped: bool) -> None:
    """One member trains in each of a few threads while the others predict with another member."""
    stack = stack_of(tmp_path, family, layouts, head, grouped)
    texts = random_texts(np.random.default_rng(0), 4)

    def call(at: int) -> tuple[bytes, ...]:
        return step(stack, at % 3, at) if at < 6 else (stack.predict(texts, slots=(at % 3,)).tobytes(),)

    alone = [call(at) for at in range(THREADS)]
    assert at_once([partial(call, at) for at in range(THREADS)]) == alone


@pytest.mark.parametrize("grouped", [False, True], ids=["each", "grouped"])
def test_members_come_and_go_beside_predictions(tmp_path: Path, grouped: bool) -> None:
    stack = stack_of(tmp_path, "roberta", "every layer", "native", grouped)
    texts = random_texts(np.random.default_rng(0), 4)
    alone = stack.predict(texts, slots=(0, 1)).tobytes()
    done = threading.Event()

    def come_and_go() -> int:
        try:
            for _ in range(10):
                fill(stack, slot := stack.add(stack.plans[2]))
                stack.drop(slot)
            return 0
        finally:
            done.set()

    def predict() -> int:
        wrong = 0
        for at in itertools.count():
            wrong += stack.predict(texts, slots=(0, 1)).tobytes() != alone
            if done.is_set() and at > 2:
                return wrong
        raise AssertionError

    assert not any(at_once([come_and_go, *[predict] * 5]))
