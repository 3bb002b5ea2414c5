"""What makes scorers of runs, by their kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from striata.errors import RunError
from striata.model import scorers
from striata.runs import Run

from ..study.synthetic import write_synthetic_run

TARGETS = np.arange(12) % 3


def runs_of(folder: Path, kinds: Mapping[str, str]) -> dict[str, Run]:
    logits = np.eye(3, dtype=np.float32)[TARGETS]
    return {
        title: write_synthetic_run(folder, "s8", 0, logits, TARGETS, title=title, kind=kind, plan=None)
        for title, kind in kinds.items()
    }


class Fake:
    """A scorer that has runs and nothing else."""

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self.labels = {name: run.labels for name, run in runs.items()}


def test_runs_are_grouped_by_what_makes_their_scorers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def together(runs: Mapping[str, Run], *, device: str, precision: str) -> list[Fake]:
        assert (device, precision) == ("cpu", "fp32")
        return [Fake(runs)]

    def alone(runs: Mapping[str, Run], *, device: str, precision: str) -> list[Fake]:
        return [Fake({name: run}) for name, run in runs.items()]

    monkeypatch.setattr(scorers, "SCORERS", {"words": together, "pairs": together, "other": alone})
    runs = runs_of(tmp_path, {"a": "words", "b": "other", "c": "pairs", "d": "other"})
    groups = scorers.scorers_for(runs, device="cpu", precision="fp32")
    assert [list(scorer.labels) for scorer in groups] == [["a", "c"], ["b"], ["d"]]


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is of kind 'oracle'; expected one of adapter, soup"):
        scorers.scorers_for(runs_of(tmp_path, {"a": "oracle"}), device="cpu", precision="fp32")


@pytest.mark.parametrize(
    ("studies", "wanted", "used"),
    [
        (["auto", "auto"], "auto", "auto"),
        (["auto", "fp32"], "auto", "fp32"),
        (["fp32", "fp32"], "bf16", "bf16"),
        (["bf16", "bf16"], "auto", "auto"),  # what this machine multiplies fast
        ([None, None], "auto", "auto"),
    ],
)
def test_auto_is_fp32_where_a_study_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, studies: list[str | None], wanted: str, used: str
) -> None:
    heard: list[str] = []

    def make(runs: Mapping[str, Run], *, device: str, precision: str) -> list[Fake]:
        heard.append(precision)
        return [Fake(runs)]

    monkeypatch.setitem(scorers.SCORERS, "adapter", make)
    runs = runs_of(tmp_path, {"a": "adapter", "b": "adapter"})
    for (name, run), precision in zip(list(runs.items()), studies, strict=True):
        study = {} if precision is None else {"recipe": {"precision": precision}}
        runs[name] = replace(run, facts=run.facts.model_copy(update={"study": study}))
    scorers.scorers_for(runs, device="cpu", precision=wanted)
    assert heard == [used]
