"""A checkpoint is what was written, or is refused; what gives no numbers becomes no run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import striata
from striata.errors import RunError
from striata.training.events import Event
from striata.training.state import read_checkpoint

from ..study.small import study_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an interrupted study of two members."""
    folder = tmp_path_factory.mktemp("state")

    def stop(event: Event) -> None:
        if event.kind == "saved":
            os.kill(os.getpid(), signal.SIGINT)

    layouts = ["0-2 r2 query", "1-2 r1 value"]
    with pytest.raises(KeyboardInterrupt):
        striata.train(study_of(folder, layouts=layouts, recipe={"evaluate_every": 2}), listen=stop)
    (file,) = (folder / "out" / "stacks").glob("*/checkpoint.safetensors")
    return file


def test_every_flipped_byte_of_a_checkpoint_is_noticed(checkpoint: Path, tmp_path: Path) -> None:
    data, rng = checkpoint.read_bytes(), np.random.default_rng(0)
    states, tensors = read_checkpoint(checkpoint)
    assert [state.step for state in states] == [2, 2]
    copy = tmp_path / "checkpoint.safetensors"
    for at in rng.integers(0, len(data), 200):
        wrong = bytearray(data)
        wrong[at] ^= 1 << int(rng.integers(8))
        copy.write_bytes(wrong)
        with pytest.raises(RunError, match=r"cannot be read .* delete it to train its unfinished members from the start"):
            read_checkpoint(copy)
    copy.write_bytes(data)
    again, same = read_checkpoint(copy)
    assert again == states
    assert all(np.array_equal(same[name], array, equal_nan=True) for name, array in tensors.items())


@pytest.mark.parametrize(("key", "value", "message"), [
    ("format_version", "3", "format_version is 3, and this striata knows formats up to 2"),
    ("format_version", "one", "format_version is 'one'; expected a whole number"),
    ("checksum", "0" * 64, "its checksum is not that of its content"),
    ("state", None, "state"),
])  # fmt: skip
def test_a_foreign_checkpoint_is_refused(checkpoint: Path, tmp_path: Path, key: str, value: str | None, message: str) -> None:
    with safe_open(checkpoint, "numpy") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = {name: text for name, text in (metadata | {key: value}).items() if text is not None}
    save_file(tensors, tmp_path / "other", metadata)
    with pytest.raises(RunError, match=message) as caught:
        read_checkpoint(tmp_path / "other")
    assert "\n" not in str(caught.value)


def test_a_member_whose_last_step_ruins_it_has_failed(tmp_path: Path) -> None:
    """Its one loss, before the step, was finite."""
    recipe = {"optimizer": "sgd", "clip": None, "learning_rate": 1e30, "warmup": 0.0, "schedule": "constant", "max_steps": 1}
    trained = striata.train(study_of(tmp_path, layouts=["0-2 r2 query"], ensemble={"size": 1}, recipe=recipe))
    assert not trained.runs
    (why,) = trained.failed.values()
    assert why.startswith("its logits for the validation rows are no finite numbers after step 1; try a lower learning rate")
