"""What every engine must do, whatever it does it with: one class of tests that each implementation is run through.

Subclass :class:`EngineContract`, say how an engine is made, and pytest runs all of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from striata.data import Encoded
from striata.engine import Engine, RandomStream, check_receipt, collate
from striata.errors import PlanError, RunError
from striata.layout import Plan, make_plan

from ..threads import at_once, one_core_each
from .models import LABELS, make_encoder, random_texts
from .reference import padded, peft_twin

LAYOUTS = ("0-1 r3 a1 d0.1 query value", "1-3 r9 a10 d0.3 query key ffn_out", "3 r2 a4 attention_output", "2-3 r4 query")


class EngineContract(ABC):
    """Promises of :class:`striata.engine.Engine`."""

    family = "roberta"
    head = "native"

    @abstractmethod
    def make(self, base: str, plans: Sequence[Plan]) -> Engine:
        """An engine in fp32 with a member for each plan, as yet without weights."""

    @pytest.fixture(scope="class")
    @classmethod
    def base(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        return str(make_encoder(tmp_path_factory.mktemp("contract"), cls.family, dropout=0.2))

    def plan(self, base: str, at: int) -> Plan:
        return make_plan(LAYOUTS[at], base=base, labels=LABELS, head=self.head)

    def engine(self, base: str, *members: int) -> Engine:
        """An engine with these members, whose weights are large and depend on the member only."""
        engine = self.make(base, [self.plan(base, at) for at in members])
        for slot, at in zip(engine.slots, members, strict=True):
            fill(engine, slot, at)
        return engine

    # -- who is there
    def test_slots_are_numbers_that_are_never_given_again(self, base: str) -> None:
        engine = self.make(base, [self.plan(base, 0), self.plan(base, 1)])
        first, second = engine.slots
        engine.drop(first)
        third = engine.add(self.plan(base, 2))
        engine.drop(third)
        fourth = engine.add(self.plan(base, 2))
        assert engine.slots == (second, fourth)
        assert len({first, second, third, fourth}) == 4

    def test_a_member_with_another_head_or_other_labels_is_refused(self, base: str) -> None:
        engine = self.make(base, [self.plan(base, 0)])
        other = "linear" if self.head == "native" else "native"
        with pytest.raises(PlanError, match=f"has head '{other}' and {LABELS} labels, the stack's members have '{self.head}'"):
            engine.add(make_plan(LAYOUTS[1], base=base, labels=LABELS, head=other))
        with pytest.raises(PlanError, match=f"and {LABELS + 1} labels, the stack's members have '{self.head}' and {LABELS}"):
            engine.add(make_plan(LAYOUTS[1], base=base, labels=LABELS + 1, head=self.head))
        assert len(engine.slots) == 1
        assert engine.predict(texts(3)).shape == (1, 3, LABELS)

    # -- what a member is
    def test_what_is_live_is_what_the_plan_says(self, base: str) -> None:
        engine = self.engine(base, 0, 1)
        engine.drop(engine.slots[0])
        engine.add(self.plan(base, 2))
        for slot, at in zip(engine.slots, (1, 2), strict=True):
            receipt = engine.receipt(slot)
            check_receipt(self.plan(base, at), receipt, "member")
            parameters = engine.parameters(slot)
            assert receipt.trainable == sum(p.numel() for p in parameters.values())
            assert all(p.requires_grad and p.dtype == torch.float32 and p.device == engine.device for p in parameters.values())

    def test_fresh_weights_depend_on_the_key_and_change_nothing_yet(self, base: str) -> None:
        engine = self.make(base, [self.plan(base, 0), self.plan(base, 1), self.plan(base, 0)])
        keys = (("a", 0), ("a", 0), ("a", 1))
        for slot, key in zip(engine.slots, keys, strict=True):
            engine.initialise(slot, *key)
        first, second, third = (engine.tensors(slot) for slot in engine.slots)
        heads = [name for name in first if "lora" not in name]
        assert all(np.array_equal(first[name], second[name]) for name in heads)
        assert any(not np.array_equal(first[name], third[name]) for name in heads)
        assert all(not array.any() for name, array in first.items() if name.endswith("lora_B.weight"))
        logits = engine.predict(texts(5), slots=engine.slots[:2])
        np.testing.assert_allclose(logits[0], logits[1], atol=1e-6)  # other adapters, equal heads

    def test_weights_go_out_and_in_by_name(self, base: str) -> None:
        engine = self.engine(base, 0, 1)
        slot = engine.slots[1]
        before, logits = engine.tensors(slot), engine.predict(texts(4), slots=[slot])
        assert list(before) == list(engine.parameters(slot))
        engine.initialise(slot, "other", 3)
        assert not np.array_equal(engine.predict(texts(4), slots=[slot]), logits)
        engine.load(slot, before)
        assert all(np.array_equal(array, before[name]) for name, array in engine.tensors(slot).items())
        assert np.array_equal(engine.predict(texts(4), slots=[slot]), logits)

    def test_weights_that_do_not_fit_are_refused_and_change_nothing(self, base: str) -> None:
        engine = self.engine(base, 0, 1)
        slot = engine.slots[0]
        before = engine.tensors(slot)
        *others, last = before
        other = {name: array + 1 for name, array in before.items()}
        wrong: Mapping[str, dict[str, np.ndarray]] = {
            f"lacks '{last}'": {name: other[name] for name in others},
            "has, unlike its plan, 'more'": other | {"more": other[last]},
            f"weight '{last}' has shape": other | {last: other[last][:-1]},
        }
        for message, tensors in wrong.items():
            with pytest.raises(RunError, match=message):
                engine.load(slot, tensors)
            assert all(np.array_equal(array, before[name]) for name, array in engine.tensors(slot).items())

    # -- what it answers
    def test_logits_are_those_of_peft(self, base: str) -> None:
        if self.head != "native":
            pytest.skip("peft's classification models have the native head")
        engine, asked = self.engine(base, 0, 1), texts(6)
        for slot, at, logits in zip(engine.slots, (0, 1), engine.predict(asked), strict=True):
            twin = peft_twin(Path(base), self.plan(base, at), engine.tensors(slot)).eval()
            with torch.no_grad():
                expected = twin(**padded(asked, int(twin.config.pad_token_id))).logits
            np.testing.assert_allclose(logits, expected, atol=2e-5 * float(expected.abs().max()))

    def test_predictions_come_in_the_order_of_slots_and_texts(self, base: str) -> None:
        engine, asked = self.engine(base, 0, 1, 2), texts(9)
        first, second, third = engine.slots
        everyone = engine.predict(asked)
        assert everyone.dtype == np.float32
        assert everyone.shape == (3, 9, LABELS)
        for max_tokens in (1, 50):
            near(engine.predict(asked, max_tokens=max_tokens), everyone)
        near(engine.predict(asked, slots=(third, first)), everyone[[2, 0]])
        near(engine.predict(asked.take([4, 1])), everyone[:, [4, 1]])
        assert engine.predict(asked.take([]), slots=(second,)).shape == (1, 0, LABELS)

    def test_embeddings_stand_for_their_tokens_and_have_gradients(self, base: str) -> None:
        engine = self.engine(base, 0, 1)
        batch = collate([(slot, texts(3)) for slot in engine.slots], engine.device)
        embeddings = engine.look_up(batch.ids)
        assert embeddings.dtype == torch.float32
        with torch.no_grad():
            plain = engine.forward(batch)
            given = engine.forward(replace(batch, embeddings=embeddings))
        for slot in engine.slots:
            near(array(given[slot]), array(plain[slot]))
        moved = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(0)).to(engine.device)

        def total(step: float) -> Tensor:
            logits = engine.forward(replace(batch, embeddings=leaf + step * moved))
            return torch.stack([(value * torch.arange(LABELS, device=value.device)).sum() for value in logits.values()]).sum()

        leaf = embeddings.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(total(0.0), leaf)
        slope = (total(1e-3) - total(-1e-3)).item() / 2e-3
        assert (gradient * moved).sum().item() == pytest.approx(slope, rel=0.02, abs=0.02)

    def test_forward_gives_each_member_its_own_texts(self, base: str) -> None:
        engine = self.engine(base, 0, 1, 2)
        parts = {slot: texts(2 + at, seed=at) for at, slot in enumerate(engine.slots) if at != 1}
        logits = engine.forward(collate(list(parts.items()), engine.device))
        assert list(logits) == list(parts)
        for slot, part in parts.items():
            assert logits[slot].dtype == torch.float32
            near(array(logits[slot]), engine.predict(part, slots=[slot])[0])

    def test_hidden_states_are_each_members_own(self, base: str) -> None:
        engine = self.engine(base, 0, 1, 2)
        parts = {slot: texts(2 + at, seed=at) for at, slot in enumerate(engine.slots) if at != 1}
        batch = collate(list(parts.items()), engine.device)
        hidden = engine.hidden(batch)
        assert list(hidden) == list(parts)
        for slot, part in parts.items():
            alone = engine.hidden(collate([(slot, part)], engine.device))[slot]
            assert hidden[slot].shape == (int(part.lengths.sum()), 32)
            near(array(hidden[slot]), array(alone))
        once, again, other = (engine.hidden(batch, streams(engine, seed)) for seed in (1, 1, 2))
        for slot in parts:
            assert torch.equal(once[slot], again[slot])
            assert not torch.equal(once[slot], other[slot])

    def test_a_settled_engine_predicts_other_last_bits_and_nothing_else_changes(self, base: str) -> None:
        plain, engine, asked = self.engine(base, 1), self.engine(base, 1), texts(5)
        engine.settle()
        (slot,), (twin,) = engine.slots, plain.slots
        for some in (asked, asked.take([2])):
            near(engine.predict(some), plain.predict(some), 1e-5)
            for seed in (None, 3):
                ours, theirs = (
                    one.forward(collate([(member, some)], one.device), None if seed is None else streams(one, seed))[member]
                    for one, member in ((engine, slot), (plain, twin))
                )
                assert torch.equal(ours, theirs)
        assert np.array_equal(engine.embed(asked), plain.embed(asked))
        settled = engine.predict(asked)
        with torch.no_grad():
            for name, parameter in engine.parameters(slot).items():
                if "lora" in name:
                    parameter.mul_(2)
        assert np.array_equal(engine.predict(asked), settled)  # the products are in the weights
        fill(engine, slot, 1)
        assert np.array_equal(engine.predict(asked), plain.predict(asked))

    def test_embeddings_know_no_members(self, base: str) -> None:
        engine, asked = self.engine(base, 0, 1), texts(5)
        vectors = engine.embed(asked)
        near(engine.embed(asked, max_tokens=1), vectors)
        engine.drop(engine.slots[0])
        fill(engine, engine.slots[0], 3)
        assert np.array_equal(engine.embed(asked), vectors)

    # -- how it trains
    def test_gradients_reach_a_members_own_weights_only(self, base: str) -> None:
        engine = self.engine(base, 0, 1)
        first, second = engine.slots
        logits = engine.forward(collate([(first, texts(3)), (second, texts(4, seed=1))], engine.device), streams(engine, 5))
        logits[second].square().sum().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and p.grad.any() for p in engine.parameters(second).values())
        assert not any(p.grad is not None and p.grad.any() for p in engine.parameters(first).values())

    def test_streams_decide_what_is_dropped(self, base: str) -> None:
        engine = self.engine(base, 0, 1)
        batch = collate([(slot, texts(3)) for slot in engine.slots], engine.device)

        def logits(seed: int | None) -> list[Tensor]:
            forward = engine.forward(batch, None if seed is None else streams(engine, seed))
            return [value.detach() for value in forward.values()]

        once, again, other, without = (logits(seed) for seed in (1, 1, 2, None))
        assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(once, other, strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(once, without, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(without, logits(None), strict=True))

    def test_neighbours_do_not_matter(self, base: str) -> None:
        """Nor members that come and go on the way, one of them before its first step."""
        alone, among = self.engine(base, 1), self.engine(base, 0, 1, 2)
        first, watched, third = among.slots
        optimizers = {engine: adamw(engine, slot) for engine, slot in ((alone, alone.slots[0]), (among, watched))}
        for step in range(6):
            expected = train_step(alone, alone.slots[0], step, optimizers[alone])
            assert train_step(among, watched, step, optimizers[among]) == pytest.approx(expected, rel=1e-5)
            if step == 1:
                among.drop(first)
            if step == 3:
                fill(among, among.add(self.plan(base, 3)), 3)
                among.drop(third)
        near(among.predict(texts(5), slots=[watched]), alone.predict(texts(5)), 1e-4)

    def test_a_member_keeps_its_parameters_while_others_come_and_go(self, base: str) -> None:
        engine = self.engine(base, 0, 1, 2)
        first, watched, third = engine.slots
        parameters, before = engine.parameters(watched), engine.predict(texts(4), slots=[watched])
        engine.drop(first)
        engine.add(self.plan(base, 3))
        engine.drop(third)
        assert all(parameter is parameters[name] for name, parameter in engine.parameters(watched).items())
        near(engine.predict(texts(4), slots=[watched]), before)
        with torch.no_grad():
            for parameter in parameters.values():
                parameter.mul_(1.5)
        assert not np.allclose(engine.predict(texts(4), slots=[watched]), before, rtol=1e-2)

    # -- from threads
    def test_threads_get_the_answers_of_one(self, base: str) -> None:
        engine = self.engine(base, 0, 1, 2)

        def answer(at: int) -> bytes:
            return engine.predict(texts(1 + at % 3, seed=at), slots=engine.slots[at % 3 :]).tobytes()

        with one_core_each():
            alone = [answer(at) for at in range(8)]
            assert at_once([lambda at=at: answer(at) for at in range(8)]) == alone  # type: ignore[misc]


def array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()


def texts(rows: int, *, seed: int = 0) -> Encoded:
    return random_texts(np.random.default_rng(seed), rows)


def fill(engine: Engine, slot: int, seed: int) -> None:
    """Weights that depend on the seed only and are large enough that every one of them shows in the logits."""
    rng = np.random.default_rng(seed)
    engine.initialise(slot, "member", seed)
    shapes = {name: array.shape for name, array in engine.tensors(slot).items()}
    engine.load(slot, {name: rng.normal(0, 0.15, shape).astype(np.float32) for name, shape in shapes.items()})


def streams(engine: Engine, seed: int) -> dict[int, RandomStream]:
    return {slot: RandomStream(engine.device, 1000 * seed + at) for at, slot in enumerate(engine.slots)}


def adamw(engine: Engine, slot: int) -> torch.optim.Optimizer:
    return torch.optim.AdamW(engine.parameters(slot).values(), lr=1e-3)


def train_step(engine: Engine, watched: int, step: int, optimizer: torch.optim.Optimizer) -> float:
    """All members forward and backward with dropout, one of them stepped; its loss."""
    parts = [(slot, texts(4, seed=step if slot == watched else 100 + slot)) for slot in engine.slots]
    random = {slot: RandomStream(engine.device, step if slot == watched else 100 + slot) for slot in engine.slots}
    logits = engine.forward(collate(parts, engine.device), random)
    losses = {
        slot: functional.cross_entropy(value, torch.arange(4, device=value.device) % LABELS) for slot, value in logits.items()
    }
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    for slot in engine.slots:
        for parameter in engine.parameters(slot).values():
            parameter.grad = None
    return losses[watched].item()


def near(actual: np.ndarray, expected: np.ndarray, tolerance: float = 2e-5) -> None:
    """Equal but for the rounding of sums in another order."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * float(np.abs(expected).max()))
