"""Every family packed against its own unmodified, padded model: logits and gradients, in fp32 and in bf16."""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from striata.data import Encoded
from striata.engine import Encoder, Stack, collate
from striata.layout import make_plan
from striata.training.order import rows_at

from .models import LABELS, VOCABULARY, make_encoder
from .reference import close, gradients, padded, peft_twin

FAMILIES = (
    "roberta", "bert", "xlm-roberta", "camembert", "distilbert", "electra", "albert", "modernbert", "ernie", "deberta-v2",
    "mpnet",
)  # fmt: skip
FAIRSEQ = ("roberta", "xlm-roberta", "camembert", "mpnet")  # their positions start behind the padding token's
TYPED = ("bert", "electra", "albert", "ernie")  # they know the two texts of a pair apart
LAYOUTS = {
    "albert": ("0 r3 a4 query value ffn_out", "0 r2 a5 key attention_output ffn_in"),
    "modernbert": ("0 r3 a4 qkv | 1-2 r2 a3 qkv ffn_out", "1-2 r4 a5 attention_output ffn_in"),
}
USUAL = ("0 r3 a4 query value | 1-2 r2 a3 query key ffn_out", "1 r2 a4 ffn_in | 2 r4 a5 value attention_output")


def texts_of(lengths: list[int], seed: int) -> Encoded:
    """Random texts of these lengths."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.random.default_rng(seed).integers(3, VOCABULARY, int(starts[-1])).astype(np.int32)
    return Encoded(ids=ids, starts=starts, types=None, truncated=np.zeros(len(lengths), bool))


def batches(family: str) -> dict[str, list[Encoded]]:
    """For each case the texts of two members."""
    longest = 78 if family in FAIRSEQ else 80
    epoch = texts_of([5, 17, 1, 9, 30], 3)
    tail = [epoch.take(rows_at(step, rows=5, batch_size=4, seed=0)) for step in (0, 1)]
    assert [len(part) for part in tail] == [4, 1]
    first, second = texts_of([11, 30, 2], 8), texts_of([4, 20], 9)
    pairs = replace(first, types=(np.arange(len(first.ids)) % 7 > 3).astype(np.int8))
    typed = {"pairs beside single texts": [pairs, second]} if family in TYPED else {}
    return typed | {
        "every length": [texts_of([1, longest, 2, 7, 8, 9, 33], 0), texts_of([16, 17, 1, 64, 3, longest, longest - 1], 1)],
        "equal lengths": [texts_of([12] * 4, 2), texts_of([12] * 3, 4)],
        "tail": tail,
        "one token": [texts_of([1], 5), texts_of([1, 1], 6)],
    }


class Pair:
    """Two members, and the same two as models of peft's.

    Args:
        folder: for the encoder.
        family: a transformers model type.
    """

    def __init__(self, folder: Path, family: str) -> None:
        self.family, self.base = family, str(make_encoder(folder, family, layers=3))
        self.plans = [make_plan(text, base=self.base, labels=LABELS) for text in LAYOUTS.get(family, USUAL)]
        stack = self.stack("fp32", fresh=True)
        self.pad = int(stack.encoder.model.config.pad_token_id)
        self.tensors, self.twins = [], []
        for slot, plan in enumerate(self.plans):
            stack.initialise(slot, "member", slot)
            start = stack.tensors(slot)
            rng = np.random.default_rng(slot)
            for name in start:  # B starts at zero, which would leave A without a gradient
                if "lora_B" in name:
                    start[name] = rng.normal(0, 0.05, start[name].shape).astype(np.float32)
            self.tensors.append(start)
            self.twins.append(peft_twin(Path(self.base), plan, start))

    def stack(self, precision: str, *, fresh: bool = False, grouped: bool = False) -> Stack:
        """Both members on an encoder; with the pair's weights unless they are yet to be made."""
        encoder = Encoder.load(self.base, head=self.plans[0].head, precision=precision, device="cpu", grouped=grouped)
        stack = Stack(encoder, self.plans)
        for slot in () if fresh else range(2):
            stack.load(slot, self.tensors[slot])
        return stack

    def ours(self, stack: Stack, parts: list[Encoded]) -> list[dict[str, torch.Tensor]]:
        """Logits and gradients of both members from one pass."""
        logits = stack.forward(collate(list(enumerate(parts)), stack.encoder.device))
        losses = [functional.cross_entropy(logits[slot], labels_of(part)) for slot, part in enumerate(parts)]
        torch.stack(losses).sum().backward()
        found = []
        for slot in range(2):
            live = stack.parameters(slot)
            found.append({"logits": logits[slot].detach()} | {name: p.grad for name, p in live.items() if p.grad is not None})
            for parameter in live.values():
                parameter.grad = None
        return found

    def theirs(self, parts: list[Encoded], dtype: torch.dtype, *, alone: bool = False) -> list[dict[str, torch.Tensor]]:
        """The same from peft's models with all weights in one precision: padded, or one text after another."""
        found = []
        for part, original in zip(parts, self.twins, strict=True):
            twin = copy.deepcopy(original)
            for parameter in twin.parameters():  # rotary frequencies are buffers, which transformers keeps in fp32
                parameter.data = parameter.data.to(dtype)
            pieces = [part.take([row]) for row in range(len(part))] if alone else [part]
            logits = torch.cat([twin(**padded(piece, self.pad)).logits for piece in pieces])
            functional.cross_entropy(logits, labels_of(part)).backward()
            found.append({"logits": logits.detach()} | gradients(twin))
        return found


def labels_of(texts: Encoded) -> torch.Tensor:
    return torch.arange(len(texts)) % LABELS


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("encoders"), request.param)


@pytest.mark.parametrize("grouped", [False, True], ids=["each", "grouped"])
def test_packed_is_padded_in_fp32(pair: Pair, grouped: bool) -> None:
    stack = pair.stack("fp32", grouped=grouped)
    for case, parts in batches(pair.family).items():
        for slot, (ours, theirs) in enumerate(zip(pair.ours(stack, parts), pair.theirs(parts, torch.float32), strict=True)):
            assert set(ours) == set(theirs), case
            for name, value in ours.items():
                close(value, theirs[name], f"{case}, member {slot}, {name}")


def test_predictions_of_many_texts_are_those_of_the_padded_model(pair: Pair) -> None:
    """Prediction sorts by length and cuts into passes of few tokens; the order of the texts comes back."""
    texts = texts_of([9, 1, 40, 3, 22, 40, 8, 31, 2], 7)
    found = pair.stack("fp32").predict(texts, max_tokens=90)
    with torch.no_grad():
        for slot, twin in enumerate(pair.twins):
            close(torch.from_numpy(found[slot]), twin(**padded(texts, pair.pad)).logits, f"member {slot}")


def relative_errors(found: list[dict[str, torch.Tensor]], truth: list[dict[str, torch.Tensor]]) -> dict[str, list[float]]:
    """|found - truth| / |truth| over the logits, all adapters' gradients and all heads' gradients of each member."""
    errors: dict[str, list[float]] = {"logits": [], "adapters": [], "head": []}
    for mine, exact in zip(found, truth, strict=True):
        kinds = {name: "logits" if name == "logits" else "adapters" if "lora" in name else "head" for name in exact}
        for kind, each in errors.items():
            names = [name for name in exact if kinds[name] == kind]
            wrong = torch.cat([(mine[name].double() - exact[name]).flatten() for name in names])
            each.append((wrong.norm() / torch.cat([exact[name].flatten() for name in names]).norm()).item())
    return errors


@pytest.mark.parametrize("grouped", [False, True], ids=["each", "grouped"])
def test_bf16_errs_no_more_than_bf16_itself(pair: Pair, grouped: bool) -> None:
    """Against fp64, the error is at most 1.5 times that of transformers' and peft's own model in bf16."""
    stack = pair.stack("bf16", grouped=grouped)
    ours: dict[str, list[float]] = defaultdict(list)
    plain: dict[str, list[float]] = defaultdict(list)
    for parts in batches(pair.family).values():
        truth = pair.theirs(parts, torch.float64, alone=True)  # padding is NaN in ModernBERT's fp64
        for kind, errors in relative_errors(pair.ours(stack, parts), truth).items():
            ours[kind] += errors
        for kind, errors in relative_errors(pair.theirs(parts, torch.bfloat16), truth).items():
            plain[kind] += errors
    for kind, errors in ours.items():
        mine, theirs = (float(np.sqrt(np.mean(np.square(each)))) for each in (errors, plain[kind]))
        assert theirs < 0.2, f"{kind}: bf16 itself errs by {theirs:.4f}, which proves nothing"
        assert mine <= 1.5 * theirs, f"{kind}: {mine:.4f}, transformers in bf16 {theirs:.4f}"
