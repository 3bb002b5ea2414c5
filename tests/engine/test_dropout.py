"""Dropout is the dropout it says, in all four places, for each member by itself."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from striata.data import Encoded
from striata.engine import Encoder, Stack, collate
from striata.engine.adapter import Adapter
from striata.engine.attention import packed_attention
from striata.engine.batch import Batch
from striata.engine.dropout import StackedDropout
from striata.engine.forward_pass import ForwardPass, running
from striata.engine.groups import group_segments
from striata.engine.head import MemberHead
from striata.engine.packing import pack
from striata.engine.random_streams import BitPool, RandomStream
from striata.engine.stacked_linear import StackedLinear
from striata.layout import Head, HeadStep, make_plan

from .models import LABELS, make_encoder, needs_grouped_products, random_texts

CPU = torch.device("cpu")
SIZE, HEADS, ROWS = 32, 4, 40
RATES = {0: 0.05, 1: 0.1, 2: 0.5}
Masks = dict[int, Tensor]


@functools.cache
def batch_of(slots: tuple[int, ...]) -> Batch:
    """Texts of at most `SIZE` tokens for each member, the same whoever the neighbours are."""
    return collate([(slot, random_texts(np.random.default_rng(slot), ROWS, longest=SIZE)) for slot in slots], CPU)


def pass_of(slots: tuple[int, ...], seed: int, grouped: bool = False, banked: bool = True) -> tuple[Batch, ForwardPass]:
    """Grouped: members share launches, and where they are banked those of their adapters' products, too."""
    batch = batch_of(slots)
    streams = {slot: RandomStream(CPU, 100 * seed + slot) for slot in slots}
    groups = group_segments(batch.segments, slots, CPU)
    assert groups is not None
    return batch, ForwardPass(
        segments=batch.segments,
        streams=streams,
        packing=pack(batch, coarse=grouped),
        groups=groups[0] if grouped and banked else None,
        pool=BitPool(streams) if grouped else None,
    )


def linear_of(rates: dict[int, float], *, banked: bool, path: str = "") -> StackedLinear:
    """A layer of zeros whose adapters hand their input through, so that masks show in the output."""
    base = nn.Linear(SIZE, SIZE)
    nn.init.zeros_(base.weight)
    nn.init.zeros_(base.bias)
    layer = StackedLinear(base.requires_grad_(False), path)
    for slot, p in rates.items():
        adapter = Adapter(SIZE, SIZE, rank=SIZE, scale=1.0, dropout=p)
        with torch.no_grad():
            adapter.a.copy_(torch.eye(SIZE))
            adapter.b.copy_(torch.eye(SIZE))
        layer.adapters[str(slot)] = adapter
    layer.regroup(tuple(rates), banked=banked)
    return layer


def lora(slots: tuple[int, ...], seed: int, rate: float | None = None, *, grouped: bool = False, banked: bool = True) -> Masks:
    batch, whole = pass_of(slots, seed, grouped, banked)
    layer = linear_of({slot: rate or RATES[slot] for slot in slots}, banked=grouped and banked)
    with running(whole):
        out = layer(torch.ones(1, len(batch.ids), SIZE)).detach()[0]
    return {s.slot: out[s.tokens].flatten() for s in batch.segments}


def hidden(slots: tuple[int, ...], seed: int, rate: float | None = None, *, grouped: bool = False) -> Masks:
    batch, whole = pass_of(slots, seed, grouped)
    with running(whole):
        out = StackedDropout(rate or 0.1)(torch.ones(1, len(batch.ids), SIZE))[0]
    return {s.slot: out[s.tokens].flatten() for s in batch.segments}


def attention(slots: tuple[int, ...], seed: int, rate: float | None = None, *, grouped: bool = False) -> Masks:
    """Equal scores and the unit vector of its place as each token's value: the output is the row of probabilities."""
    batch, whole = pass_of(slots, seed, grouped)
    equal = torch.zeros(1, HEADS, len(batch.ids), SIZE)
    values = functional.one_hot(batch.positions, SIZE).float().expand(1, HEADS, -1, -1)
    with running(whole):
        out = packed_attention(nn.Identity(), equal, equal, values, None, dropout=rate or 0.1)[0][0]
    masks = {}
    for segment in batch.segments:
        first = int(batch.firsts[segment.sequences][0])
        rows = []
        for at, length in zip(batch.firsts[segment.sequences].tolist(), batch.lengths[segment.sequences], strict=True):
            assert not out[at : at + length, :, length:].any()
            rows.append(out[at : at + length, :, :length].flatten() * length)
        assert first == segment.tokens.start
        masks[segment.slot] = torch.cat(rows)
    return masks


def head(slots: tuple[int, ...], seed: int, rate: float | None = None) -> Masks:
    _, whole = pass_of(slots, seed)
    masks = {}
    for slot in slots:
        p = rate or RATES[slot]
        linear = HeadStep(op="linear", module="classifier", in_features=SIZE, out_features=SIZE)
        layers = MemberHead(Head(kind="linear", pooling="first", steps=(HeadStep(op="dropout", p=p), linear)))
        with torch.no_grad():
            layers.named()["classifier.weight"].copy_(torch.eye(SIZE))
            layers.named()["classifier.bias"].zero_()
        masks[slot] = layers(torch.ones(800, SIZE), whole.streams[slot]).detach().flatten()
    return masks


PLACES: dict[str, Callable[..., Masks]] = {"lora": lora, "hidden": hidden, "attention": attention, "head": head}
PLACES |= {f"{name}, grouped": functools.partial(PLACES[name], grouped=True) for name in ("lora", "hidden", "attention")}
PLACES["lora, drawn together"] = functools.partial(lora, grouped=True, banked=False)
either_way = pytest.mark.parametrize("grouped", [False, True], ids=["each", "grouped"])
ALL = tuple(RATES)


def places(*names: str) -> pytest.MarkDecorator:
    """Tests at these places; those of banked matrices only where torch has the products."""
    banked = [pytest.param(name, marks=needs_grouped_products) if name == "lora, grouped" else name for name in names]
    return pytest.mark.parametrize("place", banked)


everywhere = places(*PLACES)


def correlation(a: Tensor, b: Tensor) -> float:
    """Of two masks, in standard errors."""
    count = min(len(a), len(b))
    return float(torch.corrcoef(torch.stack([a[:count], b[:count]]).double())[0, 1]) * count**0.5


@everywhere
@pytest.mark.parametrize("rate", [0.03, 0.1, 0.5])
def test_every_member_drops_the_share_it_says_and_scales_the_rest(place: str, rate: float) -> None:
    for mask in PLACES[place](ALL, 1, rate).values():
        dropped = float((mask == 0).double().mean())
        assert abs(dropped - rate) < 5 * (rate * (1 - rate) / len(mask)) ** 0.5
        torch.testing.assert_close(mask[mask != 0], torch.full_like(mask[mask != 0], 1 / (1 - rate)), rtol=1e-4, atol=0)


@places("lora", "lora, grouped", "lora, drawn together", "head")
def test_members_of_one_stack_have_rates_of_their_own(place: str) -> None:
    for slot, mask in PLACES[place](ALL, 2).items():
        p = RATES[slot]
        assert abs(float((mask == 0).double().mean()) - p) < 5 * (p * (1 - p) / len(mask)) ** 0.5


@everywhere
def test_elements_of_a_mask_are_independent(place: str) -> None:
    """No correlation with itself a few elements on, which is where bits of one draw, rows, heads and columns would meet."""
    for mask in PLACES[place](ALL, 3).values():
        for lag in (1, 2, 3, 4, 5, 8, SIZE, 2 * SIZE):
            assert abs(correlation(mask[:-lag], mask[lag:])) < 5, lag


@everywhere
def test_members_and_steps_have_masks_that_have_nothing_to_do_with_each_other(place: str) -> None:
    masks = [mask for seed in (4, 5) for mask in PLACES[place](ALL, seed, 0.2).values()]
    for a, b in itertools.combinations(masks, 2):
        assert abs(correlation(a, b)) < 5


@pytest.mark.parametrize("grouped", [False, pytest.param(True, marks=needs_grouped_products)], ids=["each", "grouped"])
def test_places_of_one_pass_have_masks_that_have_nothing_to_do_with_each_other(grouped: bool) -> None:
    """A member's stream goes on from place to place and is not begun anew, also where layers share their modules."""
    batch, whole = pass_of(ALL, 6, grouped)
    x = torch.ones(1, len(batch.ids), SIZE)
    first, second = (linear_of(dict.fromkeys(ALL, 0.2), banked=grouped, path=f"layer.{at}.query") for at in range(2))
    dropout = StackedDropout(0.2)
    with running(whole):
        outs = [layer(x).detach()[0] for layer in (first, dropout, second, dropout, second)]
    for segment in batch.segments:
        for a, b in itertools.combinations([out[segment.tokens].flatten() for out in outs], 2):
            assert abs(correlation(a, b)) < 5


@everywhere
def test_a_seed_gives_a_mask_and_the_neighbours_do_not_matter(place: str) -> None:
    among, again, other = (PLACES[place](ALL, seed) for seed in (7, 7, 8))
    for slot in ALL:
        assert torch.equal(among[slot], again[slot])
        assert not torch.equal(among[slot], other[slot])
        assert torch.equal(among[slot], PLACES[place]((slot,), 7)[slot])
    assert torch.equal(PLACES[place]((0, 2), 7)[2], among[2])


@pytest.mark.parametrize(
    ("grouped", "banked"), [(False, False), (True, False), pytest.param(True, True, marks=needs_grouped_products)]
)
def test_gradients_of_adapters_pass_through_the_same_mask(grouped: bool, banked: bool) -> None:
    """Against plain autograd with the mask that a pass of ones shows."""
    batch, whole = pass_of(ALL, 9, grouped, banked)
    masks = lora(ALL, 9, grouped=grouped, banked=banked)
    layer = linear_of({slot: RATES[slot] for slot in ALL}, banked=grouped and banked)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x = torch.randn(1, len(batch.ids), SIZE, generator=generator, requires_grad=True)
    toward = torch.randn(x.shape, generator=generator)
    with running(whole):
        out = layer(x)
    out.backward(toward)
    ours = [x.grad, *(p.grad for slot in ALL for p in (layer.adapters[str(slot)].a, layer.adapters[str(slot)].b))]
    copies = {slot: [p.detach().clone().requires_grad_() for p in layer.adapters[str(slot)].parameters()] for slot in ALL}
    plain = x.detach().clone().requires_grad_()
    parts = []
    for segment in batch.segments:
        rows = plain[0, segment.tokens]
        a, b = copies[segment.slot]
        dropped = rows * masks[segment.slot].view(rows.shape)
        parts.append(functional.linear(rows, layer.base.weight, layer.base.bias) + dropped @ a.t() @ b.t())
    torch.cat(parts).backward(toward[0])
    for actual, expected in zip(ours, [plain.grad, *(p.grad for slot in ALL for p in copies[slot])], strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@either_way
def test_gradients_of_attention_pass_through_the_same_mask(grouped: bool) -> None:
    batch, whole = pass_of(ALL, 10, grouped)
    masks = attention(ALL, 10, 0.3, grouped=grouped)
    generator = torch.Generator().manual_seed(1)
    ours = [torch.randn(1, HEADS, len(batch.ids), SIZE, generator=generator, requires_grad=True) for _ in range(3)]
    toward = torch.randn(len(batch.ids), HEADS, SIZE, generator=generator)
    with running(whole):
        out = packed_attention(nn.Identity(), *ours, None, dropout=0.3)[0][0]
    out.backward(toward)
    plain = [x.detach().clone().requires_grad_() for x in ours]
    q, k, v = (x[0] for x in plain)
    parts = []
    for segment in batch.segments:
        used = 0
        for at, n in zip(batch.firsts[segment.sequences].tolist(), batch.lengths[segment.sequences], strict=True):
            here = slice(at, at + n)
            mask = masks[segment.slot][used : used + n * HEADS * n].view(n, HEADS, n).transpose(0, 1)
            used += n * HEADS * n
            probabilities = torch.softmax(q[:, here] @ k[:, here].transpose(1, 2) * SIZE**-0.5, -1)
            parts.append(((probabilities * mask) @ v[:, here]).transpose(0, 1))
    expected = torch.cat(parts)
    expected.backward(toward)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)


@either_way
def test_gradients_of_hidden_states_pass_through_the_same_mask(grouped: bool) -> None:
    batch, whole = pass_of(ALL, 11, grouped)
    x = torch.ones(1, len(batch.ids), SIZE, requires_grad=True)
    with running(whole):
        out = StackedDropout(0.3)(x)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(out, x.grad)


@pytest.mark.parametrize(
    ("family", "grouped"),
    [("roberta", False), ("modernbert", False), ("deberta-v2", False), ("roberta", True), ("modernbert", True)],
)
def test_the_gradient_of_a_whole_pass_is_the_slope_of_its_loss(tmp_path: Path, family: str, grouped: bool) -> None:
    """With equal seeds the loss is a smooth function of the weights: any mask that differs on the way back shows."""
    folder = make_encoder(tmp_path, family, layers=2, dropout=0.2)
    target = "qkv" if family == "modernbert" else "query value"
    plans = [make_plan(f"0-1 r4 a{alpha} d0.3 {target}", base=str(folder), labels=LABELS) for alpha in (8, 4)]
    stack = Stack(Encoder.load(str(folder), head=plans[0].head, precision="fp32", device="cpu", grouped=grouped), plans)
    texts = [random_texts(np.random.default_rng(slot), 6) for slot in range(2)]
    generator = torch.Generator().manual_seed(3)
    live = []
    for slot in range(2):
        stack.initialise(slot, "member", slot)
        with torch.no_grad():
            for parameter in stack.parameters(slot).values():
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        live += [parameter for adapter in stack.sites(slot).values() for parameter in adapter.parameters()]

    def loss() -> Tensor:
        streams = {slot: RandomStream(CPU, slot) for slot in range(2)}
        logits = stack.forward(collate(list(enumerate(texts)), CPU), streams)
        return sum((functional.cross_entropy(logits[s], torch.arange(6) % LABELS) for s in range(2)), torch.zeros(()))

    loss().backward()
    gradient = [p.grad.clone() for p in live if p.grad is not None]
    assert len(gradient) == len(live)
    norm = float(torch.stack([g.norm() for g in gradient]).norm())
    with torch.no_grad():

        def moved(by: float) -> float:
            for p, g in zip(live, gradient, strict=True):
                p += by * g / norm
            value = float(loss())
            for p, g in zip(live, gradient, strict=True):
                p -= by * g / norm
            return value

        slope = (8 * (moved(0.02) - moved(-0.02)) - (moved(0.04) - moved(-0.04))) / (12 * 0.02)
    assert slope == pytest.approx(norm, rel=5e-3)


def test_without_random_streams_nothing_is_dropped(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path, "roberta", dropout=0.5)
    plan = make_plan("0-3 r4 d0.5 query", base=str(folder), labels=LABELS)
    stack = Stack(Encoder.load(str(folder), head=plan.head, precision="fp32", device="cpu"), [plan])
    stack.initialise(0, "member", 0)
    texts: Encoded = random_texts(np.random.default_rng(0), 5)
    with torch.no_grad():
        whole = stack.forward(collate([(0, texts)], CPU))[0]
        assert not torch.equal(stack.forward(collate([(0, texts)], CPU), {0: RandomStream(CPU, 1)})[0], whole)
        assert torch.equal(stack.forward(collate([(0, texts)], CPU))[0], whole)
