"""A small part of the campaign of mutations, and that it would notice what it looks for."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

import pytest

from striata.errors import DataError

from . import children
from .mutations import try_format
from .samples import FORMATS, Format

_COUNTS = {"tokenizer": 60, "safetensors": 40, "index": 15}


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_changed_files_are_read_or_refused_in_one_line(format_: Format, tmp_path: Path) -> None:
    outcomes = try_format(format_, range(_COUNTS.get(format_.name, 300)), 0, tmp_path)
    assert not any(outcome.failed for outcome in outcomes), children.summary(outcomes)
    assert {outcome.kind for outcome in outcomes} <= {children.READ, children.REFUSED}
    assert any(outcome.kind == children.REFUSED for outcome in outcomes)


def _misbehave(case: int) -> object:
    if case == 1:
        raise DataError("wrong")
    if case == 2:
        raise ValueError("no one line")
    if case == 3:
        ctypes.string_at(0)
    if case == 4:
        while True:
            pass
    if case == 5:
        with mmap.mmap(-1, 200 * 2**20) as memory:  # new pages, whatever earlier tests have freed
            for _ in range(200):
                memory.write(b"x" * 2**20)
    return None


def test_every_kind_of_failure_is_noticed() -> None:
    outcomes = children.try_all(range(7), _misbehave, seconds=1, memory=100 * 2**20)
    kinds = [children.READ, children.REFUSED, children.TRACEBACK, children.CRASH, children.HANG, children.BLOAT, children.READ]
    assert [(outcome.case, outcome.kind) for outcome in outcomes] == list(enumerate(kinds))
    assert "ValueError at test_mutations.py" in outcomes[2].words
    assert "SIGSEGV" in outcomes[3].words
