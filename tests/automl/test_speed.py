"""How long a training step takes, measured."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from striata.automl import speed
from striata.automl.speed import measure_step
from striata.automl.timing import BATCH
from striata.data import Encoded, Tokenizer
from striata.training.loop import Trainer

from ..study.small import WORDS, make_base

SECONDS = [10.0, 2.0, 1.0, 9.0, 1.0, 2.0]  # of the steps, the first of which is slower everywhere


def texts_of(folder: Path, lengths: list[int]) -> Encoded:
    rng = np.random.default_rng(0)
    return Tokenizer.load(str(make_base(folder)), 64).encode([" ".join(rng.choice(WORDS, length)) for length in lengths])


@pytest.mark.parametrize("rows", [3, 16, 1000])
def test_a_typical_batch_has_texts_as_long_as_all(rows: int, tmp_path: Path) -> None:
    texts = texts_of(tmp_path, np.random.default_rng(1).integers(1, 50, rows).tolist())
    batch = speed.typical(texts)
    assert len(batch) == BATCH
    assert set(batch.lengths) <= set(texts.lengths)
    assert batch.lengths.mean() == pytest.approx(texts.lengths.mean(), rel=0.05)


def test_the_middle_one_of_a_few_steps_counts_and_not_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, steps, step = speed.typical(texts_of(tmp_path, [5] * 20)), list[int](), Trainer.step

    def counted(trainer: Trainer) -> None:
        step(trainer)
        steps.extend(trainee.step for trainee in trainer.live)

    monkeypatch.setattr(Trainer, "step", counted)
    ends = list(accumulate(SECONDS))
    ticks = iter([tick for end, length in zip(ends, SECONDS, strict=True) for tick in (end - length, end)])
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert measure_step(str(tmp_path / "roberta"), batch, "0-2 r2 query", 3, "cpu") == pytest.approx(2.0 / BATCH)
    assert steps == [1, 2, 3, 4, 5, 6]
