"""Baselines of a study: fitted first, by default, and none of them ends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import striata
from striata.baselines import BASELINES
from striata.errors import StudyError
from striata.runs import StudyFolder
from striata.settings import load_study
from striata.training.events import Event

from .small import study_of


def test_a_study_has_all_baselines_unless_it_says_otherwise() -> None:
    least = {"base": "roberta-base", "data": "train.csv", "layouts": "s8", "output": "out"}
    assert load_study(least).baselines.kinds == tuple(BASELINES)
    assert load_study(least | {"baselines": "none"}).baselines.kinds == ()
    with pytest.raises(StudyError, match="layouts"):  # baselines alone are a study only where they are asked for
        load_study({key: value for key, value in least.items() if key != "layouts"})


def test_a_baseline_whose_fit_fails_is_recorded_and_the_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(tmp_path, baselines=["lexical", "majority"], layouts=[])

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("no room for\n9 words")

    monkeypatch.setattr(BASELINES["lexical"], "fit", fail)
    events: list[Event] = []
    trained = striata.train(study, listen=events.append)
    assert set(trained.runs) == {"majority"}
    assert trained.failed == {"lexical": "its fit failed: MemoryError: no room for 9 words"}
    assert [event.member for event in events if event.kind == "failed"] == ["lexical"]
    assert StudyFolder(trained.folder).failed() == trained.failed

    monkeypatch.undo()
    again = striata.train(study)  # what failed is not tried again until its record goes
    assert set(again.runs) == {"majority"}
    (trained.folder / "failed" / "lexical.json").unlink()
    assert set(striata.train(study).runs) == {"majority", "lexical"}


def test_what_will_be_fitted_is_told_before(tmp_path: Path) -> None:
    notes: list[str] = []
    study = study_of(tmp_path, baselines=["majority"], layouts=[])
    striata.train(study, listen=lambda event: notes.append(event.message) if event.kind == "note" else None)
    assert "baselines, fitted first: majority" in notes


def test_a_baseline_is_fitted_anew_where_the_study_names_other_settings_for_it(tmp_path: Path) -> None:
    def fitted(**settings: Any) -> dict[str, tuple[int, int]]:
        """Rows that each run's baseline was fitted on, and when its files were written."""
        kinds = {"kinds": ["lexical", "frozen"]}
        folder = striata.train(study_of(tmp_path, baselines=kinds | settings, layouts=[])).folder / "runs"
        files = {name: folder / name / "baseline.json" for name in kinds["kinds"]}
        return {name: (json.loads(file.read_text())["rows"], file.stat().st_mtime_ns) for name, file in files.items()}

    first, again, more, last = fitted(embedded_rows=40), fitted(embedded_rows=40), fitted(embedded_rows=60), fitted(refit=True)
    assert again == first
    assert (first["frozen"][0], more["frozen"][0]) == (40, 60)
    assert more["lexical"] == first["lexical"]  # reads no embeddings
    assert (last["frozen"][0], last["lexical"][0]) == (150, 150)
