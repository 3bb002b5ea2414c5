"""Every engine there is, held to the contract."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from striata.engine import Encoder, Engine, Stack
from striata.layout import Plan

from .contract import EngineContract


def stack(base: str, plans: Sequence[Plan], *, grouped: bool) -> Stack:
    return Stack(Encoder.load(base, head=plans[0].head, precision="fp32", device="cpu", grouped=grouped), plans)


class TestMemberByMember(EngineContract):
    def make(self, base: str, plans: Sequence[Plan]) -> Engine:
        return stack(base, plans, grouped=False)


class TestMeanOfTheTokens(TestMemberByMember):
    head = "mean"


class TestTheEncodersOwnPooler(TestMemberByMember):
    family = "bert"


class TestGrouped(EngineContract):
    def make(self, base: str, plans: Sequence[Plan]) -> Engine:
        return stack(base, plans, grouped=True)


class TestGroupedWithoutGroupedProducts(EngineContract):
    """As on GPUs before Hopper, or in fp32: bits are drawn together, products made member by member."""

    def make(self, base: str, plans: Sequence[Plan]) -> Engine:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("striata.engine.encoder.fast_products", lambda *_: False)
            return stack(base, plans, grouped=True)


class TestPadded(TestMemberByMember):
    """A family whose attention cannot be replaced."""

    family = "deberta-v2"
