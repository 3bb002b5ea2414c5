"""A member is the same alone and among others: data, masks, losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from striata.engine import Encoder, Stack, collate, seed_of
from striata.engine.masks import apply_dropout, draw_mask
from striata.engine.packing import padded_length
from striata.engine.random_streams import RandomStream
from striata.layout import make_plan

from .models import LABELS, make_encoder, random_texts

NAMES = [f"m{at}" for at in range(9)]


def train(folder: Path, names: list[str], watched: str, query: str, *, grouped: bool, steps: int = 6) -> list[float]:
    """Losses of one member of a stack over a few steps with dropout everywhere."""
    plans = {
        name: make_plan(f"0-1 r{2 + at} a4 d0.2 {query} | 2-3 r3 a4 d0.1 {query}", base=str(folder), labels=LABELS)
        for at, name in enumerate(NAMES)
    }
    encoder = Encoder.load(str(folder), head=plans[watched].head, precision="fp32", device="cpu", grouped=grouped)
    stack = Stack(encoder, [plans[name] for name in names])
    optimizers = {}
    for slot, name in enumerate(names):
        stack.initialise(slot, name, 0)
        optimizers[slot] = torch.optim.AdamW(stack.parameters(slot).values(), lr=2e-3)
    losses = []
    for step in range(steps):
        batch, targets, streams = [], {}, {}
        for slot, name in enumerate(names):
            rng = np.random.default_rng(seed_of(name, "data", step))
            batch.append((slot, random_texts(rng, 6)))
            targets[slot] = torch.from_numpy(rng.integers(0, LABELS, 6))
            streams[slot] = RandomStream(encoder.device, seed_of(name, "step", step))
        logits = stack.forward(collate(batch, encoder.device), streams)
        each = {slot: torch.nn.functional.cross_entropy(logits[slot], targets[slot]) for slot in logits}
        torch.stack(list(each.values())).sum().backward()
        for slot, optimizer in optimizers.items():
            optimizer.step()
            optimizer.zero_grad()
            if names[slot] == watched:
                losses.append(each[slot].item())
    return losses


@pytest.mark.parametrize(
    ("family", "query", "grouped"),
    [
        ("roberta", "query value", False),
        ("modernbert", "qkv", False),
        ("deberta-v2", "query", False),
        ("roberta", "query value", True),
        ("modernbert", "qkv", True),
    ],
)
def test_neighbours_do_not_matter(tmp_path: Path, family: str, query: str, grouped: bool) -> None:
    folder = make_encoder(tmp_path, family, dropout=0.1)
    alone = train(folder, ["m4"], "m4", query, grouped=grouped)
    among = train(folder, NAMES, "m4", query, grouped=grouped)
    np.testing.assert_allclose(among, alone, rtol=1e-5)
    assert train(folder, ["m4"], "m4", query, grouped=grouped) == alone
    assert len(set(alone)) == len(alone)


def test_dropout_keeps_the_share_it_says() -> None:
    stream = RandomStream(torch.device("cpu"), 3)
    for p in (0.03, 0.1, 0.5):
        count = 400_000
        share = -draw_mask(count, p, stream).float().mean().item()
        assert abs(share - (1 - p)) < 5 * (p * (1 - p) / count) ** 0.5


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_what_is_kept_is_scaled_and_the_rest_is_zero(kind: torch.dtype) -> None:
    x = torch.randn(5000, generator=torch.Generator().manual_seed(0)).to(kind)
    mask = draw_mask(5000, 0.3, RandomStream(torch.device("cpu"), 5))
    scale = 65536 / (65536 - round(0.3 * 65536))
    assert set(mask.tolist()) == {0, -1}
    assert torch.equal(apply_dropout(x, mask, 0.3), torch.where(mask != 0, x * scale, torch.zeros_like(x)))


def test_the_four_masks_of_one_draw_are_independent() -> None:
    bits = RandomStream(torch.device("cpu"), 1).bits(400_000).double().view(-1, 4)
    correlation = torch.corrcoef(bits.t()) - torch.eye(4, dtype=torch.float64)
    assert correlation.abs().max() < 5 / 100_000**0.5


def test_a_bucket_pads_at_most_an_eighth() -> None:
    for length in range(1, 5000):
        padded = padded_length(length)
        assert length <= padded <= max(length + 7, length * 9 / 8)


def test_coarse_buckets_are_few_and_pad_long_sequences_by_half_at_most() -> None:
    buckets = {length: padded_length(length, coarse=True) for length in range(1, 513)}
    assert sorted(set(buckets.values())) == [16, 32, 64, 128, 192, 256, 384, 512]
    assert all(length <= padded < 2 * max(length, 16) for length, padded in buckets.items())
    assert all(padded <= 1.5 * length for length, padded in buckets.items() if length > 128)


@pytest.mark.parametrize("grouped", [False, True], ids=["each", "grouped"])
@pytest.mark.parametrize(
    ("family", "query", "head"),
    [
        ("roberta", "query", "native"),
        ("modernbert", "qkv", "mean"),
        ("distilbert", "value", "linear"),
        ("albert", "query", "native"),
    ],
)
def test_layers_below_every_adapter_run_once_in_prediction(
    tmp_path: Path, family: str, query: str, head: str, grouped: bool
) -> None:
    folder = make_encoder(tmp_path, family)
    layouts = (f"2-3 r2 {query}", f"3 r3 {query}") if family != "albert" else ("0 r2 query", "0 r3 query")
    plans = [make_plan(layout, base=str(folder), labels=LABELS, head=head) for layout in layouts]
    encoder = Encoder.load(str(folder), head=plans[0].head, precision="fp32", device="cpu", grouped=grouped)
    stack = Stack(encoder, plans)
    for slot in stack.slots:
        stack.initialise(slot, "member", slot)
        rng = np.random.default_rng(slot)
        stack.load(
            slot, {name: rng.normal(0, 0.2, array.shape).astype(np.float32) for name, array in stack.tensors(slot).items()}
        )
    texts = random_texts(np.random.default_rng(2), 12)
    tokens: dict[str, int] = {}
    for name, module in encoder.model.named_modules():
        if name.endswith(("layer.1", "layers.1", "layer.3", "layers.3")):
            module.register_forward_pre_hook(lambda _, given, name=name: tokens.update({name[-1]: given[0].shape[1]}))
    together = stack.predict(texts)
    if family != "albert":
        assert tokens == {"1": len(texts.ids), "3": 2 * len(texts.ids)}
    for slot in stack.slots:
        np.testing.assert_allclose(together[slot], stack.predict(texts, slots=[slot])[0], atol=2e-5)
