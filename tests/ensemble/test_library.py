"""Ensembles of several studies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from striata.ensemble import load_ensemble, write_ensemble
from striata.ensemble.library import LEAST, study_names
from striata.errors import StriataError
from striata.runs import StudyFolder

from ..study.synthetic import write_synthetic_run, write_synthetic_study

ROWS = 120


def two_studies(folder: Path, *, shared: int = 80, seed: int = 0) -> list[Path]:
    """Two studies whose runs have the same names, with rows that only some are in both."""
    rng = np.random.default_rng(seed)
    for name, first, fingerprint in (("a", 0, "1"), ("b", ROWS - shared, "2")):
        texts = np.arange(first, first + ROWS)
        labels = texts % 3
        write_synthetic_study(folder / name, {}, labels, layouts=["s8"], seeds=[0, 1])
        for number in (0, 1):
            logits = np.eye(3)[labels] * 2 + rng.normal(0, 2, (ROWS, 3))
            write_synthetic_run(
                folder / name,
                "s8",
                number,
                logits,
                labels,
                texts=texts.astype(np.uint64),
                data_fingerprint=fingerprint * 64,
                base_sha256=fingerprint * 64,
            )
    return [folder / "a", folder / "b"]


@pytest.mark.parametrize("method", ["top", "greedy", "stacking"])
def test_runs_of_two_studies_are_chosen_on_the_rows_they_share(tmp_path: Path, method: str) -> None:
    paths = two_studies(tmp_path)
    made = write_ensemble(*paths, out=tmp_path / "both", method=method, size=4)
    assert set(made.members) <= {"a/s8-seed0", "a/s8-seed1", "b/s8-seed0", "b/s8-seed1"}
    assert (made.rows, made.studies) == (80, {"a": ROWS, "b": ROWS})
    rows, logits = {}, {}
    for name, run in made.runs.items():
        validation = run.validation()
        rows[name] = {int(text): at for at, text in enumerate(validation.texts)}
        logits[name] = validation.logits
    common = range(ROWS - 80, ROWS)
    together = made.combiner.apply({name: logits[name][[rows[name][text] for text in common]] for name in made.members})
    assert made.metrics["accuracy"] == float((together.argmax(1) == np.array(common) % 3).mean())
    again = load_ensemble(tmp_path / "both")
    assert (again.members, again.metrics, again.studies) == (made.members, made.metrics, made.studies)
    seen = again.validation()
    assert float((seen.logits.argmax(1) == seen.labels).mean()) == again.nested["accuracy"]


def test_an_ensemble_moves_with_its_studies(tmp_path: Path) -> None:
    made = write_ensemble(*two_studies(tmp_path / "old"), out=tmp_path / "old" / "both")
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert load_ensemble(tmp_path / "new" / "both").members == made.members


def test_one_study_has_plain_names_wherever_its_ensemble_is(tmp_path: Path) -> None:
    path, _ = two_studies(tmp_path)
    inside, outside = write_ensemble(path, size=2), write_ensemble(path, out=tmp_path / "other", size=2)
    assert inside.folder == path / "ensemble"
    assert set(inside.members) == set(outside.members) == {"s8-seed0", "s8-seed1"}
    members = json.loads((inside.folder / "ensemble.json").read_text())["members"]
    assert members["s8-seed0"]["folder"] == "../runs/s8-seed0"


def test_studies_are_called_by_as_much_of_their_paths_as_tells_them_apart() -> None:
    paths = [Path("x/one/out"), Path("x/two/out"), Path("y/two/out")]
    assert study_names(paths) == ["x/one/out", "x/two/out", "y/two/out"]
    assert study_names(paths[:2]) == ["one/out", "two/out"]
    assert study_names([Path("x/a"), Path("x/b")]) == ["a", "b"]


def test_what_cannot_be_one_ensemble_is_said(tmp_path: Path) -> None:
    a, b = two_studies(tmp_path)
    few = two_studies(tmp_path / "few", shared=LEAST - 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for paths, out, message in (
        ((a, b), None, "out is missing; an ensemble of several studies belongs to none of them"),
        ((a, b), a / "ensemble", "is in a study's folder"),
        ((a, b), tmp_path / "full", "is there and is no ensemble's folder"),
        ((a, tmp_path / "b" / ".." / "a"), tmp_path / "both", "is given twice"),
        (
            few,
            tmp_path / "both",
            rf"only 29 validation rows are in every study \(120 of a, 120 of b\); .* {LEAST}",
        ),
        ((a, tmp_path / "full"), tmp_path / "both", "is no study's folder"),
    ):
        with pytest.raises(StriataError, match=message) as caught:
            write_ensemble(*paths, out=out)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "both").exists()
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"
    run = StudyFolder.open(b).runs()[0]
    validation = run.validation()
    write_synthetic_run(b, "s8", 0, validation.logits, validation.labels, names=("Business", "Sport", "World"))
    with pytest.raises(StriataError, match=r"have different labels \(Sport, Sports in one of them only\)"):
        write_ensemble(a, b, out=tmp_path / "both")
