"""Members dealt into stacks by what machines have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from striata.errors import ClusterError
from striata.layout import shape_of
from striata.scale import Deal, Machine, Memory, deal, estimate
from striata.scale.dealing import memory_of
from striata.steps import prepare_study
from striata.study import plan_members

from ..study.small import make_base, study_of, write_texts

GIB = 2**30
SMALL = Memory(stack=GIB, member=GIB // 2)


def machine(cores: int, *, gpus: int = 0, memory: int = 64, gpu_memory: int | None = None) -> Machine:
    room = None if gpu_memory is None else gpu_memory * GIB
    return Machine(name="m", identity="m", cores=cores, gpus=gpus, memory=memory * GIB, gpu_memory=room)


def test_without_gpus_a_stack_has_a_machine() -> None:
    dealt = deal(9, SMALL, [machine(4), machine(8)])
    assert (dealt.stacks, dealt.at_once, dealt.cores, dealt.gpus) == (
        3,
        3,
        4,
        0,
    )  # the second machine has two places of four cores
    assert deal(2, SMALL, [machine(4), machine(8)]).stacks == 2  # no stack without a member


def test_a_stack_has_a_gpu_and_its_share_of_the_cores() -> None:
    machines = [machine(16, gpus=4, gpu_memory=80), machine(64)]
    dealt = deal(100, SMALL, machines)
    assert (dealt.stacks, dealt.at_once, dealt.cores, dealt.gpus) == (4, 4, 4, 1)
    assert deal(100, SMALL, machines, gpu=False).gpus == 0


def test_stacks_and_cores_are_what_was_said() -> None:
    dealt = deal(9, SMALL, [machine(8)], stacks=3, cores=2)
    assert (dealt.stacks, dealt.at_once, dealt.cores) == (3, 3, 2)
    assert dealt.sentence == "3 stacks, 3 at a time, each with 2 cores"
    assert deal(9, SMALL, [machine(8)], stacks=3).at_once == 1


def test_where_memory_is_short_there_are_more_stacks_than_places() -> None:
    dealt = deal(9, SMALL, [machine(4, memory=3)])  # a stack of four members fits, one of five does not
    assert dealt == Deal(stacks=3, at_once=1, cores=4, gpus=0, memory=SMALL.of(3))
    assert deal(8, SMALL, [machine(4, gpus=1, gpu_memory=2)]).stacks == 4


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(
        ClusterError, match=r"needs about 5.5 GiB, and a place in the cluster has 3.0 GiB; ask for at least 3 stacks"
    ):
        deal(9, SMALL, [machine(4, memory=3)], stacks=1)
    with pytest.raises(
        ClusterError, match=r"a stack of 1 member needs about 1.5 GiB, and a place in the cluster has 1.0 GiB; give"
    ):
        deal(9, SMALL, [machine(4, memory=1)])
    with pytest.raises(ClusterError, match=r"no machine of the cluster has 16 cores for a task; the largest has 8"):
        deal(9, SMALL, [machine(4), machine(8)], cores=16)


def test_the_estimate_of_memory_covers_what_was_measured() -> None:
    """docs/performance.md: nine layouts on RoBERTa in bf16, 850 tokens a batch and member, took 4.61 GB at their peak."""
    needed = estimate(shape_of("roberta-base"), tokens=850, trainable=900_000, number=2).of(9)
    assert 4.61e9 < needed < 1.5 * 4.61e9


def test_the_estimate_covers_a_masked_language_head() -> None:
    """Of RoBERTa's shape in fp32, with 2,000 guessed tokens: four members' logits took 4.2 GiB at their peak, one's 1.55."""
    shape = shape_of("roberta-base")
    shape = replace(shape, config={**shape.config, "vocab_size": 50265})
    with_, without = (estimate(shape, tokens=13_300, trainable=1, number=4, guessed=guessed) for guessed in (2000, 0))
    assert 4.2 * GIB < with_.of(4) - without.of(4) < 1.5 * 4.2 * GIB
    assert 1.55 * GIB < with_.of(1) - without.of(1) < 2 * 1.55 * GIB


@pytest.mark.parametrize(("masked", "guessed"), [(True, 0.15), (False, 0.0)])
def test_memory_counts_what_adaptation_needs(masked: bool, guessed: float, tmp_path: Path) -> None:
    make_base(tmp_path, masked=masked)
    write_texts(tmp_path / "train.csv", 150)
    settings = study_of(tmp_path, head="mean", recipe={"batch_size": 8}, layouts=["0-2 r2 query"])
    needed = []
    for adapt in (None, {"steps": 5, "batch_size": 64}):
        prepared = prepare_study({**settings, "adapt": adapt})
        members = plan_members(prepared.study, 3)
        needed.append(memory_of(members, prepared))
        read = 64 * (1 if masked else 1.2) * float(np.percentile(prepared.encoded["train"].lengths, 90))
        tokens = 8 * float(np.percentile(prepared.encoded["train"].lengths, 90))
        tokens, guesses = (tokens, 0.0) if adapt is None else (read, guessed * read)
        shape, trainable = shape_of(prepared.study.base), members[0].plan.trainable
        assert needed[-1] == estimate(shape, tokens=tokens, trainable=trainable, number=4, guessed=guesses)
    assert needed[0].member < needed[1].member
    assert (needed[0].stack < needed[1].stack) == masked


def test_a_search_has_a_rolling_stack_in_every_place() -> None:
    machines = [machine(4), machine(8)]
    assert deal(40, SMALL, machines, together=8).stacks == 3
    assert deal(12, SMALL, machines, together=8).stacks == 2  # no stack without a trial
    assert deal(40, SMALL, machines, together=8, stacks=5) == Deal(stacks=5, at_once=3, cores=4, gpus=0, memory=SMALL.of(8))
    with pytest.raises(ClusterError, match=r"a stack of 8 members needs about 5.0 GiB.*let `search.generation` be at most 4"):
        deal(40, SMALL, [machine(4, memory=3)], together=8)
