"""Triton's kernels against torch's own attention, on a GPU where there is one and else by Triton's interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from striata.engine import Encoder, Stack, collate
from striata.engine.fused import SeededBits, Sequences, fused_attention, kernels_work
from striata.engine.masks import drop_count, inverted_scale
from striata.engine.random_streams import RandomStream
from striata.layout import make_plan

from .contract import fill
from .models import LABELS, make_encoder, random_texts

pytest.importorskip("triton")
DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
LENGTHS = (1, 63, 7, 64, 65, 130)


def sequences(lengths: Sequence[int], seeds: Sequence[int] | None = None, numbers: Sequence[int] | None = None) -> Sequences:
    counts = np.array(lengths, np.int64)
    return Sequences(
        starts=np.cumsum(counts) - counts,
        lengths=counts,
        seeds=np.array(seeds if seeds is not None else [2**62 + 1] * len(counts), np.int64),
        numbers=np.array(numbers if numbers is not None else range(len(counts)), np.int64),
        device=DEVICE,
    )


def inputs(lengths: Sequence[int], heads: int, size: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (sum(lengths), heads, size)
    return [torch.randn(shape, generator=generator).to(DEVICE).requires_grad_() for _ in range(3)]


def expected(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], scale: float, window: int | None) -> Tensor:
    """Sequence by sequence, by torch."""
    parts = []
    for one in zip(*(torch.split(x, list(lengths)) for x in (q, k, v)), strict=True):
        a, b, c = (x.transpose(0, 1) for x in one)
        place = torch.arange(a.shape[1], device=DEVICE)
        near = None if window is None else (place[:, None] - place).abs() < window
        parts.append(functional.scaled_dot_product_attention(a, b, c, attn_mask=near, scale=scale).transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize(("size", "window"), [(8, None), (64, 9), (80, None), (80, 70)])
def test_attention_and_its_gradients_are_those_of_torch(size: int, window: int | None) -> None:
    q, k, v = inputs(LENGTHS, 2, size)
    weights = torch.randn(q.shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    theirs = expected(q, k, v, LENGTHS, 0.3, window)
    ours = fused_attention(q, k, v, sequences(LENGTHS), layer=3, scale=0.3, dropout=0.0, window=window)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    slopes = [torch.autograd.grad((x * weights).sum(), (q, k, v)) for x in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-5)


def dropped(lengths: Sequence[int], of: Sequences, layer: int, p: float, heads: int = 2) -> tuple[Tensor, Tensor]:
    """Probabilities without and with dropout, (tokens, heads, columns): where v is one-hot, the result shows them."""
    size = 1 << (max(lengths) - 1).bit_length()
    q, k, _ = inputs(lengths, heads, size)
    places = torch.cat([torch.arange(length) for length in lengths])
    v = functional.one_hot(places, size).float()[:, None].expand(-1, heads, -1).to(DEVICE)
    plain, masked = (fused_attention(q, k, v, of, layer=layer, scale=0.1, dropout=share, window=None) for share in (0.0, p))
    return plain.detach(), masked.detach()


def test_what_dropout_keeps_is_scaled_and_its_share_is_right() -> None:
    lengths, p = (50, 64, 64, 33), 0.1
    plain, masked = dropped(lengths, sequences(lengths), 1, p)
    inside = plain > 0
    stays = masked > 0
    torch.testing.assert_close(masked[stays], plain[stays] * inverted_scale(p), rtol=1e-4, atol=1e-7)
    count = int(inside.sum())
    gone = 1 - float(stays[inside].float().mean())
    exact = drop_count(p) / 65536
    assert abs(gone - exact) < 5 * (exact * (1 - exact) / count) ** 0.5


def test_gradients_go_through_the_mask_of_the_way_there() -> None:
    lengths, p, scale = (20, 64, 9), 0.3, 0.1
    of = sequences(lengths)
    _, masked = dropped(lengths, of, 2, p)
    q, k, _ = inputs(lengths, 2, 64)
    v = torch.randn(q.shape, generator=torch.Generator().manual_seed(5)).to(DEVICE).requires_grad_()
    weights = torch.randn(q.shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    ours = fused_attention(q, k, v, of, layer=2, scale=scale, dropout=p, window=None)
    mask = torch.where(masked > 0, inverted_scale(p), 0.0)
    parts, start = [], 0
    for length in lengths:
        rows = slice(start, start + length)
        a, b, c = (x[rows].transpose(0, 1) for x in (q, k, v))
        probabilities = torch.softmax(scale * a @ b.transpose(1, 2), -1) * mask[rows, :, :length].transpose(0, 1)
        parts.append((probabilities @ c).transpose(0, 1))
        start += length
    theirs = torch.cat(parts)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    slopes = [torch.autograd.grad((x * weights).sum(), (q, k, v)) for x in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-5)


def test_a_mask_depends_on_member_number_and_layer_and_on_nothing_else() -> None:
    def stays(of: Sequences, layer: int, lengths: Sequence[int], at: int) -> Tensor:
        _, masked = dropped(lengths, of, layer, 0.5)
        start = sum(lengths[:at])
        return (masked[start : start + 20, :, :20] > 0).cpu()

    alone = stays(sequences([20], [7], [3]), 1, [20], 0)
    among = stays(sequences([30, 20, 64], [7, 7, 8], [0, 3, 0]), 1, [30, 20, 64], 1)
    assert torch.equal(alone, among)
    for other in (sequences([20], [8], [3]), sequences([20], [7], [4])):
        assert not torch.equal(stays(other, 1, [20], 0), alone)
    assert not torch.equal(stays(sequences([20], [7], [3]), 2, [20], 0), alone)
    heads = stays(sequences([20], [7], [3]), 1, [20], 0)
    assert not torch.equal(heads[:, 0], heads[:, 1])


def test_bits_are_uniform_and_a_members_own() -> None:
    def bits(parts: list[tuple[int, int, int]], at: int, width: int = 200) -> np.ndarray:
        streams = {slot: RandomStream(DEVICE, 11 * slot) for slot, _, _ in parts}
        return SeededBits(streams).take("hidden", "hidden", at, parts, width, together=8).cpu().numpy()

    both = bits([(0, 0, 100), (1, 100, 160)], 0)
    assert both.shape == (160, 200)
    assert both.dtype == np.int16
    counts = np.bincount((both.astype(np.int64).ravel() + 32768) // 4096, minlength=16)
    expected_count = both.size / 16
    assert ((counts - expected_count) ** 2 / expected_count).sum() < 45  # chi-squared, 15 degrees: once in 10,000
    correlation = np.corrcoef(both[:-1].ravel(), both[1:].ravel())[0, 1]
    assert abs(correlation) < 5 / both[1:].size ** 0.5
    assert len(np.unique(both, axis=0)) == 160
    assert np.array_equal(bits([(1, 0, 60)], 0), both[100:])
    assert not np.array_equal(bits([(1, 0, 60)], 1), both[100:])
    assert np.array_equal(bits([(1, 0, 60)], 0, 30), both[100:, :30])


def test_a_stack_is_the_same_by_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits and gradients without dropout; with it, a member's are its own, whoever is beside it."""
    base = make_encoder(tmp_path, "modernbert", layers=2, dropout=0.2)  # with windows
    plans = [make_plan(layout, base=str(base), labels=LABELS) for layout in ("0-1 r3 a4 d0.1 qkv", "1 r2 a4 qkv")]
    texts = random_texts(np.random.default_rng(3), 3, longest=20)

    def stack(*members: int) -> Stack:
        chosen = [plans[at] for at in members]
        encoder = Encoder.load(str(base), head=plans[0].head, precision="fp32", device=str(DEVICE), grouped=True)
        made = Stack(encoder, chosen)
        for slot, at in zip(made.slots, members, strict=True):
            fill(made, slot, at)
        return made

    def passed(made: Stack, at: int, seed: int | None) -> list[Tensor]:
        """Logits and gradients of one member."""
        slot = made.slots[at]
        streams = None if seed is None else {one: RandomStream(DEVICE, seed if one == slot else 100) for one in made.slots}
        logits = made.forward(collate([(one, texts) for one in made.slots], DEVICE), streams)
        return [logits[slot].detach(), *torch.autograd.grad(logits[slot].square().sum(), made.parameters(slot).values())]

    buckets = passed(stack(0, 1), 1, None)
    monkeypatch.setattr("striata.engine.encoder.kernels_work", lambda _: True)
    both, alone = stack(0, 1), stack(1)
    for ours, theirs in zip(passed(both, 1, None), buckets, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(passed(both, 1, 5), passed(alone, 0, 5), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert not torch.equal(passed(alone, 0, 5)[0], passed(alone, 0, 6)[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels work here")
def test_where_kernels_cannot_be_compiled_it_is_said_once() -> None:
    kernels_work.cache_clear()
    with pytest.warns(UserWarning, match="kernels cannot be compiled for cuda:0, steps there take longer"):
        assert not kernels_work(torch.device("cuda", 0))
    assert not kernels_work(torch.device("cuda", 0))  # a second warning would be an error
    assert not kernels_work(torch.device("cpu"))
