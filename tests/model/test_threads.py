"""A model answers any number of threads at once as it answers one, bit for bit: single runs, ensembles, padded families."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import striata
from striata.model.model import Model

from ..study.small import WORDS, make_base, study_of
from ..threads import THREADS, at_once, one_core_each


@pytest.fixture(autouse=True, scope="module")
def cores() -> Iterator[None]:
    with one_core_each():
        yield


@pytest.fixture(scope="module", params=["roberta", "deberta-v2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two runs and their ensemble, not to be changed."""
    folder = tmp_path_factory.mktemp("threads")
    study = study_of(folder, recipe={"max_steps": 4, "evaluate_every": 4})
    if request.param != "roberta":
        study["base"] = str(make_base(folder, request.param, dropout=0.1))
    study["layouts"] = ["1-2 r4 a4 d0.1 query", "2 r3 a6 d0.2 query ffn_in"]  # both leave a layer to be shared
    striata.train(study)
    return folder / "out"


def texts(at: int) -> list[str]:
    """Of other numbers and lengths for each thread, some of them longer than the model takes."""
    rng = np.random.default_rng(at)
    return [" ".join(rng.choice(WORDS, int(rng.integers(1, 50)))) for _ in range(1 + at % 4)]


def answer(model: Model, at: int) -> tuple[bytes, ...]:
    """A few of a model's answers, as bits."""
    if at % 8 == 7:
        return (model.embed(texts(at)).tobytes(),)
    logits = model.logits(texts(at))
    return logits.tobytes(), model.predict_proba(texts(at)).tobytes(), " ".join(model.predict(texts(at))).encode()


@pytest.mark.parametrize("which", ["run", "ensemble"])
def test_two_dozen_threads_get_the_answers_of_one(folder: Path, which: str) -> None:
    path = folder / "ensemble" if which == "ensemble" else sorted((folder / "runs").iterdir())[0]
    model = striata.load(path, precision="fp32")
    alone = [answer(model, at) for at in range(THREADS)]
    fresh = striata.load(path, precision="fp32")  # whose calibration all threads read at once
    assert at_once([partial(answer, fresh, at) for at in range(THREADS)]) == alone


def test_models_are_loaded_from_threads(folder: Path) -> None:
    paths = [*sorted((folder / "runs").iterdir()), folder / "ensemble"]
    alone = [answer(striata.load(path, precision="fp32"), 1) for path in paths]

    def load_and_answer(path: Path) -> tuple[bytes, ...]:
        return answer(striata.load(path, precision="fp32"), 1)

    assert at_once([partial(load_and_answer, path) for path in paths * 2]) == alone * 2
