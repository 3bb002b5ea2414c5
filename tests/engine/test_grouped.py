"""Members that share launches: the same members, and launches that do not grow with their number."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from striata.engine import Encoder, RandomStream, Stack, collate
from striata.engine.adapter import Adapter
from striata.engine.bank import fast_products
from striata.engine.forward_pass import ForwardPass, running
from striata.engine.groups import group_segments
from striata.engine.loading import choose_precision
from striata.engine.stacked_linear import StackedLinear
from striata.layout import make_plan

from ..processes import python
from .models import LABELS, make_encoder, needs_grouped_products, random_texts
from .reference import close

LAYOUTS = ("0-1 r3 a1 d0.1 query value", "1-3 r12 a10 d0.2 query key ffn_out", "0-3 r2 a4 query")


def stack_of(folder: Path, layouts: tuple[str, ...], *, grouped: bool = True) -> Stack:
    plans = [make_plan(text, base=str(folder), labels=LABELS) for text in layouts]
    encoder = Encoder.load(str(folder), head=plans[0].head, precision="fp32", device="cpu", grouped=grouped)
    stack = Stack(encoder, plans)
    for slot in stack.slots:
        stack.initialise(slot, "member", slot)
        fill(stack, slot)
    return stack


def fill(stack: Stack, slot: int) -> None:
    rng = np.random.default_rng(slot)
    start = stack.tensors(slot)
    stack.load(slot, {name: rng.normal(0, 0.1, array.shape).astype(np.float32) for name, array in start.items()})


VIEWS = """view t transpose expand slice unsqueeze select detach alias _unsafe_view permute as_strided split split_with_sizes
unbind squeeze _reshape_alias lift_fresh empty empty_like"""  # and memory, which is the allocator's


class Launches(TorchDispatchMode):
    """Counts what a GPU would be given to do."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        if name not in VIEWS.split():
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def launches(folder: Path, layouts: tuple[str, ...], *, grouped: bool) -> Counter[str]:
    """Of the encoder, forward and backward, for members with four texts each."""
    stack = stack_of(folder, layouts, grouped=grouped)
    texts = [(slot, random_texts(np.random.default_rng(0), 4)) for slot in stack.slots]
    batch = collate(texts, stack.encoder.device)
    with Launches() as counted:
        streams = {slot: RandomStream(stack.encoder.device, slot) for slot in stack.slots}
        stack.encoder.first_hidden(batch, streams, slots=stack.slots).sum().backward()  # type: ignore[no-untyped-call]
    return counted.found


@needs_grouped_products
def test_more_members_cost_draws_but_no_other_launches(tmp_path: Path) -> None:
    """And nothing on the way asks the device for a value, for which the host would have to wait."""
    folder = make_encoder(tmp_path, "roberta", dropout=0.1)
    few, many = (launches(folder, LAYOUTS[:1] * count, grouped=True) for count in (2, 8))
    draws = Counter({"copy_": many["copy_"] - few["copy_"]})
    assert many - few == +draws
    assert not {"_local_scalar_dense", "nonzero", "item"} & set(many)
    each = launches(folder, LAYOUTS[:1] * 8, grouped=False)
    assert sum(many.values()) < sum(each.values()) / 2


@pytest.mark.parametrize(("size", "banked"), [pytest.param(16, True, marks=needs_grouped_products), (12, False)])
def test_sizes_that_grouped_products_refuse_go_member_by_member(size: int, banked: bool) -> None:
    texts = [(slot, random_texts(np.random.default_rng(slot), 3)) for slot in (0, 1)]
    batch = collate(texts, torch.device("cpu"))
    groups = group_segments(batch.segments, (0, 1), torch.device("cpu"))
    assert groups is not None
    layer = StackedLinear(torch.nn.Linear(size, 2 * size).requires_grad_(False))
    for slot in (0, 1):
        layer.adapters[str(slot)] = Adapter(size, 2 * size, rank=2 + slot, scale=0.5, dropout=0.0)
        for parameter in layer.adapters[str(slot)].parameters():
            torch.nn.init.normal_(parameter)
    layer.regroup((0, 1), banked=True)
    x = torch.randn(1, len(batch.ids), size)
    with Launches() as counted, running(ForwardPass(batch.segments, streams={}, groups=groups[0])):
        out = layer(x)[0]
    assert ("_grouped_mm" in counted.found) == banked
    for segment in batch.segments:
        adapter = layer.adapter(segment.slot)
        assert adapter is not None
        mine = x[0, segment.tokens]
        expected = layer.base(mine) + 0.5 * mine @ adapter.a.t() @ adapter.b.t()
        torch.testing.assert_close(out[segment.tokens], expected, rtol=1e-4, atol=1e-4)


@needs_grouped_products
@pytest.mark.parametrize(
    ("capability", "dtype", "expected"),
    [((9, 0), torch.bfloat16, True), ((8, 0), torch.bfloat16, False), ((9, 0), torch.float32, False)],
)
def test_grouped_products_where_torch_has_them(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype, expected: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert fast_products(torch.device("cuda"), dtype) == expected
    assert choose_precision("auto", torch.device("cuda")) == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert choose_precision("auto", torch.device("cuda")) == torch.float32


def test_members_come_and_go(tmp_path: Path) -> None:
    """A member that stays keeps its weights and its optimizer's hold on them; one that comes trains like any other."""
    stack = stack_of(make_encoder(tmp_path, "roberta"), LAYOUTS[:2])
    kept = stack.tensors(1)
    optimizer = torch.optim.AdamW(stack.parameters(1).values(), lr=1e-2, fused=True)
    stack.drop(0)
    slot = stack.add(make_plan(LAYOUTS[2], base=stack.encoder.base, labels=LABELS))
    fill(stack, slot)
    assert all(np.array_equal(kept[name], array) for name, array in stack.tensors(1).items())
    rng = np.random.default_rng(5)
    batch = collate([(each, random_texts(rng, 5)) for each in stack.slots], stack.encoder.device)
    logits = stack.forward(batch)
    torch.stack([functional.cross_entropy(x, torch.arange(5) % LABELS) for x in logits.values()]).sum().backward()
    optimizer.step()
    moved = stack.tensors(1)
    assert all(not np.array_equal(kept[name], moved[name]) for name in kept)
    alone = stack_of(Path(stack.encoder.base), LAYOUTS[1:2], grouped=False)
    alone.load(0, moved)
    texts = random_texts(rng, 7)
    close(
        torch.from_numpy(stack.predict(texts, slots=[1])[0]), torch.from_numpy(alone.predict(texts)[0]), "the member that stayed"
    )


@needs_grouped_products
def test_a_step_and_a_prediction_on_another_device(tmp_path: Path) -> None:
    """Nothing is left on the host, and it waits for the device once a step."""
    code = "import sys; from pathlib import Path; from tests.engine.elsewhere import main; main(Path(sys.argv[1]))"
    ended = python(code, tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.mark.parametrize(
    ("grouped", "fast"), [(False, False), (True, False), pytest.param(True, True, marks=needs_grouped_products)]
)
def test_a_member_gone_to_infinity_keeps_it_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grouped: bool, fast: bool
) -> None:
    monkeypatch.setattr("striata.engine.encoder.fast_products", lambda *_: fast)
    texts = random_texts(np.random.default_rng(3), 6)
    found = []
    for broken in (False, True):
        stack = stack_of(make_encoder(tmp_path, "roberta", dropout=0.1), LAYOUTS, grouped=grouped)
        if broken:
            stack.load(1, {name: np.full_like(array, np.inf) for name, array in stack.tensors(1).items()})
        streams = {slot: RandomStream(stack.encoder.device, slot) for slot in stack.slots}
        logits = stack.forward(collate([(slot, texts) for slot in stack.slots], stack.encoder.device), streams)
        assert bool(logits[1].isfinite().all()) != broken
        torch.stack([functional.cross_entropy(x, torch.arange(6) % LABELS) for x in logits.values()]).sum().backward()
        gradients = [p.grad for slot in (0, 2) for p in stack.parameters(slot).values()]
        found.append([logits[0], logits[2], *gradients])
    assert all(torch.equal(whole, beside) for whole, beside in zip(*found, strict=True))


@pytest.mark.parametrize(
    "fast", [False, pytest.param(True, marks=needs_grouped_products)], ids=["slow products", "fast products"]
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0), (1,)])
def test_any_members_in_any_order_are_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...], fast: bool
) -> None:
    monkeypatch.setattr("striata.engine.encoder.fast_products", lambda *_: fast)
    folder = make_encoder(tmp_path, "roberta")
    grouped, each = (stack_of(folder, LAYOUTS, grouped=way) for way in (True, False))
    texts = random_texts(np.random.default_rng(1), 9)
    for found, expected in zip(grouped.predict(texts, slots=order), each.predict(texts, slots=order), strict=True):
        close(torch.from_numpy(found), torch.from_numpy(expected), f"slots {order}")
