"""Members dealt into stacks by what machines have."""

from __future__ import annotations

import pytest

from striata.errors import ClusterError
from striata.layout import shape_of
from striata.scale import Deal, Machine, Memory, deal, estimate

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
    with pytest.raises(ClusterError, match=r"no machine of the cluster has 16 cores for a stack; the largest has 8"):
        deal(9, SMALL, [machine(4), machine(8)], cores=16)


def test_the_estimate_of_memory_covers_what_was_measured() -> None:
    """docs/performance.md: nine layouts on RoBERTa in bf16, 850 tokens a batch and member, took 4.61 GB at their peak."""
    needed = estimate(shape_of("roberta-base"), tokens=850, trainable=900_000, number=2).of(9)
    assert 4.61e9 < needed < 1.5 * 4.61e9


def test_a_search_has_a_rolling_stack_in_every_place() -> None:
    machines = [machine(4), machine(8)]
    assert deal(40, SMALL, machines, together=8).stacks == 3
    assert deal(12, SMALL, machines, together=8).stacks == 2  # no stack without a trial
    assert deal(40, SMALL, machines, together=8, stacks=5) == Deal(stacks=5, at_once=3, cores=4, gpus=0, memory=SMALL.of(8))
    with pytest.raises(ClusterError, match=r"a stack of 8 members needs about 5.0 GiB.*let `search.generation` be at most 4"):
        deal(40, SMALL, [machine(4, memory=3)], together=8)
