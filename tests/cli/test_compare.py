"""`striata leaderboard`, `compare` and what `check` foresees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from striata.cli.app import app
from striata.errors import StriataError

from ..processes import striata as run
from ..study.synthetic import logits_of, write_synthetic_run, write_synthetic_study
from .test_cli import refused, write_study

ROWS = 1200


def called(*arguments: object) -> Any:
    """What a command prints as JSON, run in this process."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `out` holds s8 with controls, where the uniform is as good and the reversed worse; not to be changed."""
    folder = tmp_path_factory.mktemp("evidence")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, ROWS)
    easy = rng.random(ROWS)

    def logits(share: float) -> np.ndarray:
        return logits_of(np.where(rng.random(ROWS) < 0.1, rng.random(ROWS) < share, easy < share), labels)

    shares = {"s8": 0.92, "s8:uniform": 0.92, "s8:reversed": 0.84, "s5": 0.92}
    write_synthetic_study(
        folder / "out", {(name, seed): logits(share) for name, share in shares.items() for seed in (0, 1, 2)}, labels
    )
    return folder


def test_the_leaderboard_by_layout_by_run_and_as_json(study: Path) -> None:
    found = called("leaderboard", study / "out")
    rows = found["layouts"]
    assert [row["accuracy"] for row in rows] == sorted((row["accuracy"] for row in rows), reverse=True)
    assert all(row["low"] < row["accuracy"] < row["high"] and len(row["runs"]) == len(row["seeds"]) == 3 for row in rows)
    assert [row["layout"] for row in rows][-1] == "s8:reversed"
    verdicts = {one["layout"]: (one["reference"], one["verdict"]) for one in found["differences"]}
    assert verdicts == {
        "s8": ("s8:uniform", "not told apart"), "s8:reversed": ("s8:uniform", "worse"), "s5": ("s8", "not told apart"),
    }  # fmt: skip
    brief = run("leaderboard", "out", cwd=study).stdout
    assert "s8:reversed is worse than s8:uniform by 1,200 rows and 3 seeds: " in brief
    (closest,) = [line for line in brief.splitlines() if line.startswith("none of 2 others is told apart from its reference")]
    assert "closest: s" in closest
    assert found["summary"][-1] == closest
    assert "s8 is not told apart" not in brief
    shown = run("leaderboard", "out", "--explain", cwd=study)
    assert shown.returncode == 0, shown.stderr
    assert "95% interval" in shown.stdout
    assert "s8 is not told apart from s8:uniform by 1,200 rows and 3 seeds: " in shown.stdout
    assert "s8:reversed is worse than s8:uniform by 1,200 rows and 3 seeds: " in shown.stdout
    assert "corrected for 3 comparisons" in shown.stdout
    assert "s8, the study's first layout, where there is none" in shown.stderr
    runs = called("leaderboard", study / "out", "--runs")
    assert len(runs) == 12
    assert "s8-reversed-seed2" in run("leaderboard", "out", "--runs", cwd=study).stdout
    turned = called("leaderboard", study / "out", "--reference", "reversed", "--confidence", 0.9)
    assert [(one["layout"], one["reference"], one["verdict"]) for one in turned["differences"]] == [
        ("s8", "s8:reversed", "better")
    ]
    assert turned["confidence"] == 0.9


def test_compare_layouts_and_runs(study: Path) -> None:
    shown = run("compare", "out", "s8", "s8:reversed", cwd=study)
    assert "s8 is better than s8:reversed by 1,200 rows and 3 seeds: +" in shown.stdout
    found = called("compare", study / "out", "s8-reversed", "s8")
    (one,) = found["differences"]
    assert (one["layout"], one["reference"], one["verdict"]) == ("s8:reversed", "s8", "worse")
    assert one["p"] == one["p_adjusted"]
    assert one["low"] < one["difference"] < one["high"] < 0
    runs = called("compare", study / "out", "s8-seed0", "s8-reversed-seed1")
    assert "McNemar" in runs["differences"][0]["method"]
    assert "s8-seed0 is better than s8-reversed-seed1 by 1,200 rows: +" in runs["differences"][0]["sentence"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "out", "s8", "s88"), "has no finished layout or run 's88' (did you mean 's8'?); expected one of"),
        (("compare", "out", "s8", "s8-seed0"), "is a run and one a layout"),
        (("compare", "out", "s8", "s8"), "give two different layouts"),
        (("compare", "out", "s8-seed0", "s8-seed0"), "was given twice"),
        (("compare", "nothing", "s8", "s5"), "there is no folder nothing"),
        (("compare", "out", "s8", "s5", "--confidence", "95"), "confidence 95 is not between 0 and 1"),
        (("leaderboard", "out", "--reference", "s9"), "has no finished layout or run 's9'"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(study: Path, arguments: tuple[str, ...], message: str) -> None:
    where = [str(study / part) if part in ("out", "nothing") else part for part in arguments]
    with pytest.raises(StriataError) as caught:
        CliRunner().invoke(app, where, catch_exceptions=False)
    assert message in str(caught.value).replace(f"{study}/", "")


def test_a_run_that_does_not_belong_is_refused_and_nothing_is_written(study: Path, tmp_path: Path) -> None:
    labels = np.random.default_rng(1).integers(0, 3, 50)
    right = logits_of(np.ones(50, bool), labels)
    write_synthetic_study(tmp_path / "out", {("s8", 0): right, ("s5", 0): right}, labels)
    write_synthetic_run(tmp_path / "out", "s1", 0, np.where(np.arange(50)[:, None] == 7, np.nan, right), labels)
    before = sorted((str(p), p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    line = refused("leaderboard", "out", cwd=tmp_path)
    assert "s1-seed0 has logits that are not finite for 1 validation rows, the first for row 7" in line
    assert sorted((str(p), p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


def test_check_foresees_by_the_noise_of_an_earlier_study(study: Path, tmp_path: Path) -> None:
    file = write_study(tmp_path, seeds=[0, 1, 2], controls=["uniform"])
    found = called("check", file, "--like", study / "out")["resolves"]
    usual = called("check", file)["resolves"]
    assert found["assumptions"] != usual["assumptions"]
    assert found["resolvable"] > usual["resolvable"]  # it errs on far more rows than is usual
    assert "nowhere" in refused("check", file.name, "--like", "nowhere", cwd=tmp_path)
    only_search = (
        "--set",
        "layouts=[]",
        "--set",
        "controls=[]",
        "--set",
        "seeds=[0]",
        "--set",
        "search={trials: 2, generation: 2}",
    )
    assert "leave --like out" in refused("check", file.name, *only_search, "--like", study / "out", cwd=tmp_path)


def test_check_foresees_what_the_study_can_resolve(tmp_path: Path) -> None:
    file = write_study(tmp_path, seeds=[0, 1, 2], controls=["uniform"])
    shown = run("check", file.name, cwd=tmp_path)
    assert "resolves: differences in accuracy of " in shown.stdout
    assert "(40 rows, 3 seeds, 3 comparisons)" in shown.stdout
    assert "assumes that two runs differ in being right on 6.0% of the rows" in shown.stderr
    found = called("check", file)["resolves"]
    assert found["more_seeds"] < found["resolvable"]
    assert found["four_times"] < found["resolvable"]
    alone = called("check", file, "--set", "layouts=[0-2 r2 query]", "--set", "controls=[]")["resolves"]
    assert (alone["comparisons"], alone["resolvable"]) == (0, None)
