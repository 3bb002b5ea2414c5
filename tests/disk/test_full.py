"""A full disk is one line, whoever writes: the operating system, safetensors, pyarrow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from striata.disk.system import writing
from striata.errors import StriataError
from striata.layout import make_plan
from striata.runs.adapter import ADAPTER, HEAD, write_adapter
from striata.runs.run import Validation, write_validation

TENSORS = {"a.lora_A.weight": np.ones((2, 3), np.float32), "head.weight": np.ones((3, 2), np.float32)}
VALIDATION = Validation(
    ids=np.arange(2), texts=np.arange(2, dtype=np.uint64), labels=np.arange(2), logits=np.ones((2, 3), np.float32)
)
PLAN = make_plan("0 r2 query", base="roberta-base", labels=3, head="linear")
WRITERS: dict[str, Callable[[Path], None]] = {
    ADAPTER: lambda folder: write_adapter(folder, PLAN, TENSORS),
    HEAD: lambda folder: write_adapter(folder, PLAN, TENSORS),
    "validation.parquet": lambda folder: write_validation(folder, VALIDATION),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line(tmp_path: Path, name: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this platform has no disk that is always full")
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(StriataError, match="no space or no inodes left to write run: what was"), writing(Path("run")):
        WRITERS[name](tmp_path)


def test_an_adapter_is_what_safetensors_writes(tmp_path: Path) -> None:
    write_adapter(tmp_path, PLAN, TENSORS)
    save_file({"a.lora_A.weight": TENSORS["a.lora_A.weight"]}, tmp_path / "reference", {"format": "pt"})
    assert (tmp_path / ADAPTER).read_bytes() == (tmp_path / "reference").read_bytes()
