"""Tiny models to serve, and applications in front of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

import striata
from striata.ensemble import write_ensemble
from striata.model import Model
from striata.serving import create_app
from striata.serving.limits import Limits

from ..study.small import WORDS, study_of


def train(folder: Path) -> Path:
    """A study of two layouts on one encoder, baselines beside them, with an ensemble of three; its folder."""
    study = study_of(
        folder,
        recipe={"max_steps": 4, "evaluate_every": 4},
        layouts=["1-2 r4 a4 d0.1 query", "2 r3 a6 d0.2 query ffn_in"],
        baselines=["lexical"],
        ensemble={"size": 3},
    )
    striata.train(study)
    return folder / "out"


def texts(seed: int, count: int = 6) -> list[str]:
    """Of unequal lengths, some of them longer than the model takes."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, int(rng.integers(1, 50)))) for _ in range(count)]


@contextmanager
def client(models: Any, *, key: str | None = None, keys: Sequence[str] | None = None, **limits: Any) -> Iterator[TestClient]:
    """A client of an application that serves models; its own errors are answers."""
    app = create_app(models, keys=keys, limits=Limits(**limits), device="cpu", precision="fp32")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with TestClient(app, raise_server_exceptions=False, headers=headers) as running:
        yield running


class Held:
    """A model that answers only once it is let go.

    Args:
        model: whose answers it gives.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.go, self.begun = model, threading.Event(), threading.Event()
        self.sizes: list[int] = []
        self._answer = model.with_members
        model.with_members = self._wait  # type: ignore[method-assign]

    def _wait(self, some: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        self.sizes.append(len(some))
        self.begun.set()
        assert self.go.wait(60)
        return self._answer(some, pairs)


__all__ = ["Held", "client", "texts", "train", "write_ensemble"]
