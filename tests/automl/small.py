"""What is fitted here: few rows, a tiny encoder, at one speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from striata.automl import speed
from striata.automl.fitting import Request

SPEED = 1e-5  # seconds a token takes, where what is planned must not depend on the moment


def request(folder: Path, **changes: object) -> Request:
    settings: dict[str, object] = {
        "source": str(folder / "train.csv"), "base": str(folder / "roberta"), "minutes": 0.5, "output": str(folder / "out"),
    }  # fmt: skip
    return Request(**(settings | changes))  # type: ignore[arg-type]


def at_one_speed(patch: pytest.MonkeyPatch) -> None:
    """What is planned is the same on every machine and in every moment."""
    patch.setattr(speed, "measure_speed", lambda *_: SPEED)
    patch.setattr(speed, "observed_speed", lambda *_: None)
    patch.setattr(speed, "measure_step", lambda *_: 30 * SPEED)
