"""Many requests at once: what each of them gets, and who is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import striata
from striata.model import Model
from striata.serving.batching import Batcher
from striata.serving.limits import Limits
from striata.serving.metrics import Metrics
from striata.serving.refusals import Refusal
from striata.serving.served import Answers, Served

from ..study.small import WORDS
from .made import Held

Request = tuple[int, list[str], bool, float | None]


async def answer_all(models: Sequence[Served], requests: Sequence[Request], **limits: Any) -> list[Answers | BaseException]:
    """The answers to requests that come at once: model's place, texts, whether they are pairs, coverage."""
    batcher = Batcher(Limits(**limits), Metrics(), lambda sentence: None)
    await batcher.start()
    results = await asyncio.gather(
        *(
            batcher.answer(models[place], texts, texts[::-1] if pairs else None, coverage=coverage)
            for place, texts, pairs, coverage in requests
        ),
        return_exceptions=True,
    )
    await batcher.stop()
    return results


@pytest.fixture(scope="module")
def models(study: Path) -> list[Served]:
    """An ensemble on an encoder, and a baseline, whose rows do not know of each other."""
    lexical = next(path for path in (study / "runs").iterdir() if "lexical" in path.name)
    opened = [striata.load(path, device="cpu", precision="fp32") for path in (study / "ensemble", lexical)]
    return [Served.ready(str(at), model) for at, model in enumerate(opened)]


TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)
REQUEST = st.tuples(st.integers(0, 1), st.lists(TEXT, min_size=1, max_size=7), st.booleans(), st.sampled_from([None, 0.5, 0.8]))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests=st.lists(REQUEST, min_size=1, max_size=8), max_batch=st.integers(1, 12), wait_ms=st.sampled_from([0.0, 1.0]))
def test_any_mix_of_requests_gets_what_the_model_gives_to_one_alone(
    models: list[Served], requests: list[Request], max_batch: int, wait_ms: float
) -> None:
    results = asyncio.run(answer_all(models, requests, max_batch=max_batch, wait_ms=wait_ms))
    for (place, texts, pairs, coverage), answers in zip(requests, results, strict=True):
        assert isinstance(answers, Answers), answers
        model, second = models[place].model, texts[::-1] if pairs else None
        alone = model.predict_proba(texts, second)
        probabilities = model.probabilities(answers.logits)
        if place == 1:  # a linear model on words: to the last bit
            np.testing.assert_array_equal(probabilities, alone)
        # products of an encoder have other last bits in batches of other sizes
        np.testing.assert_allclose(probabilities, alone, atol=2e-6)
        assert answers.cut.tolist() == model.truncated(texts, second).tolist()
        if coverage is not None and place == 1:
            assert answers.sets == model.predict_sets(texts, coverage, second)
        for name, logits in model.member_logits(texts, second).items():
            np.testing.assert_allclose(answers.members[name], logits, atol=2e-5)


def test_what_waits_is_answered_together(ensemble: Model) -> None:
    async def run() -> list[int]:
        served = Served.ready("mine", ensemble)
        held = Held(ensemble)
        batcher = Batcher(Limits(max_batch=8), Metrics(), print)
        await batcher.start()
        first = asyncio.create_task(batcher.answer(served, ["w1"], None))
        while not held.begun.is_set():
            await asyncio.sleep(0)
        others = [asyncio.create_task(batcher.answer(served, ["w2", "w3"], None)) for _ in range(5)]
        while len(batcher._jobs) < 5:
            await asyncio.sleep(0)
        held.go.set()
        await asyncio.gather(first, *others)
        await batcher.stop()
        return held.sizes

    assert asyncio.run(run()) == [1, 8, 2]


def test_a_full_queue_refuses_and_says_when_to_come_again(ensemble: Model) -> None:
    async def run() -> tuple[list[Refusal], list[Answers]]:
        served = Served.ready("mine", ensemble)
        held = Held(ensemble)
        metrics = Metrics()
        batcher = Batcher(Limits(max_queue=4, max_batch=2), metrics, print)
        await batcher.start()
        accepted = [asyncio.create_task(batcher.answer(served, ["w1"], None))]
        while not held.begun.is_set():
            await asyncio.sleep(0)
        accepted.append(asyncio.create_task(batcher.answer(served, ["w2", "w3", "w4"], None)))
        while len(batcher._jobs) < 2:
            await asyncio.sleep(0)
        refused = [await _refusal(batcher, served, texts) for texts in (["w5", "w6"], ["w5"] * 5)]
        accepted.append(asyncio.create_task(batcher.answer(served, ["w5"], None)))
        held.go.set()
        answers = await asyncio.gather(*accepted)
        await batcher.stop()
        assert b"striata_refused_texts_total 2.0" in metrics.page()
        assert b"striata_queue_texts 0.0" in metrics.page()
        return refused, answers

    (full, large), answers = asyncio.run(run())
    assert (full.status_code, full.code) == (429, "queue_full")
    assert full.headers is not None
    assert int(full.headers["Retry-After"]) >= 1
    assert (large.status_code, large.code) == (413, "too_many_texts")
    assert [len(answer.logits) for answer in answers] == [1, 3, 1]


async def _refusal(batcher: Batcher, served: Served, texts: list[str]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await batcher.answer(served, texts, None)
    return refused.value


def test_stopping_answers_what_waits(ensemble: Model) -> None:
    async def run() -> list[Answers]:
        served = Served.ready("mine", ensemble)
        held = Held(ensemble)
        batcher = Batcher(Limits(max_batch=2), Metrics(), print)
        await batcher.start()
        waiting = [asyncio.create_task(batcher.answer(served, ["w1"], None)) for _ in range(7)]
        while not held.begun.is_set():
            await asyncio.sleep(0)
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        held.go.set()
        await stopping
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(run())) == 7


def test_who_gives_up_makes_room(ensemble: Model) -> None:
    async def run() -> list[int]:
        served = Served.ready("mine", ensemble)
        held = Held(ensemble)
        batcher = Batcher(Limits(max_queue=2), Metrics(), print)
        await batcher.start()
        first = asyncio.create_task(batcher.answer(served, ["w1"], None))
        while not held.begun.is_set():
            await asyncio.sleep(0)
        impatient = asyncio.create_task(batcher.answer(served, ["w2", "w3"], None))
        while not batcher._jobs:
            await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        patient = asyncio.create_task(batcher.answer(served, ["w4", "w5"], None))
        while not batcher._jobs:
            await asyncio.sleep(0)
        held.go.set()
        await asyncio.gather(first, patient)
        await batcher.stop()
        return held.sizes

    assert asyncio.run(run()) == [1, 2]
