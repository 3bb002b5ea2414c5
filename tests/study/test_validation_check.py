"""The check that refuses an adapted run which is no better on the validation rows than the same without adaptation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striata
from striata.ensemble import write_ensemble
from striata.errors import StudyError
from striata.evidence import compare_study, measure_worth
from striata.report import collect, write_card
from striata.report.sentences import summary
from striata.runs import StudyFolder, leaderboard
from striata.runs.facts import Adapted
from striata.runs.refusal import accepted, check_lines, refusals
from striata.runs.standings import find_model
from striata.settings import Recipe, load_study
from striata.steps import Trained
from striata.study import plan_members
from striata.study.members import twins

from ..command import run
from .small import make_base, study_of, write_texts
from .synthetic import logits_of, write_synthetic_run, write_synthetic_study

ROWS = 200
TRUTH = np.arange(ROWS) % 3


def empty(folder: Path, *layouts: str) -> StudyFolder:
    return write_synthetic_study(folder / "out", {}, TRUTH, layouts=list(layouts), seeds=[0, 1])


def write_pair(
    folder: Path, layout: str, right: tuple[int, int], *, seed: int = 0, check: bool = True, by: str = "accuracy"
) -> None:
    """An adapted run and its twin, with as many right rows."""
    study = {"task": "single-label", "adapt": {"check": check}}
    recipe = Recipe(max_steps=7, best_by=by).model_dump(mode="json")
    adapted = Adapted(
        objective="masked", settings={}, learning_rate=1.0, texts=1, unlabelled=0, copies=0, first_loss=1.0, last_loss=1.0
    )
    for own, facts in ((right[0], {"adapted": adapted}), (right[1], {"title": f"{layout}-no-adapt", "control": "no-adapt"})):
        if "control" in facts:
            facts["control_of"] = {"no-adapt": (layout,)}
        logits = logits_of(np.arange(ROWS) < own, TRUTH)
        write_synthetic_run(folder, layout, seed, logits, TRUTH, study=study, recipe=recipe, **facts)


@pytest.mark.parametrize(("right", "refused"), [((150, 149), False), ((150, 150), True), ((149, 150), True)])
def test_the_better_one_stands_and_of_equals_the_one_without(right: tuple[int, int], refused: bool, tmp_path: Path) -> None:
    folder = empty(tmp_path, "s8")
    write_pair(folder.path, "s8", right)
    runs = folder.runs()
    assert [run.name for run in accepted(runs)] == ["s8-no-adapt-seed0", *([] if refused else ["s8-seed0"])]
    if refused:
        (one,) = refusals(runs).values()
        assert (one.run, one.twin, one.by) == ("s8-seed0", "s8-no-adapt-seed0", "accuracy")
        assert (one.value, one.twin_value) == (right[0] / ROWS, right[1] / ROWS)
        (line,) = check_lines(runs)
        assert f"refuses s8-seed0 (accuracy {right[0] / ROWS:.4f}, s8-no-adapt-seed0 {right[1] / ROWS:.4f})" in line


def test_the_figure_of_the_recipe_decides(tmp_path: Path) -> None:
    folder = empty(tmp_path, "s8", "s5")
    write_pair(folder.path, "s8", (150, 149), by="loss")  # more right rows are a smaller loss
    write_pair(folder.path, "s5", (149, 150), by="loss")
    assert [(one.run, one.by) for one in refusals(folder.runs()).values()] == [("s5-seed0", "loss")]


def test_each_seed_is_checked_by_its_own(tmp_path: Path) -> None:
    folder = empty(tmp_path, "s8")
    write_pair(folder.path, "s8", (190, 150), seed=0)
    write_pair(folder.path, "s8", (150, 160), seed=1)
    assert set(refusals(folder.runs())) == {"s8-seed1"}
    found = {result.layout: result for result in compare_study(folder).layouts}
    assert (found["s8"].refused, found["s8"].seeds) == (("s8-seed1",), (0, 1))  # evidence is of all runs
    assert [row.run for row in leaderboard(folder)] == ["s8-seed0", "s8-no-adapt-seed1", "s8-no-adapt-seed0", "s8-seed1"]


def test_without_a_check_or_a_twin_a_run_stands(tmp_path: Path) -> None:
    folder = empty(tmp_path, "s8", "s5")
    write_pair(folder.path, "s8", (100, 150), check=False)
    assert not refusals(folder.runs())
    assert not check_lines(folder.runs())
    checked = empty(tmp_path / "checked", "s5")
    write_pair(checked.path, "s5", (100, 150))
    alone = [run for run in checked.runs() if run.name != "s5-no-adapt-seed0"]
    assert not refusals(alone)
    assert check_lines(alone) == [
        "the validation check has nothing to compare s5-seed0 with: the same without adaptation has no finished run"
    ]


def test_whoever_chooses_does_so_without_refused_runs(tmp_path: Path) -> None:
    """Though they are better than all runs but their twins."""
    folder = empty(tmp_path, "s8", "s5")
    write_pair(folder.path, "s8", (180, 180))
    write_pair(folder.path, "s5", (110, 100))
    ensemble = write_ensemble(folder.path, size=3)
    assert list(ensemble.runs) == ["s8-no-adapt-seed0", "s5-seed0", "s5-no-adapt-seed0"]
    assert leaderboard(folder)[-1].refused_for == "s8-no-adapt-seed0"
    assert compare_study(folder).layouts[-1].layout == "s8"
    bar = write_synthetic_run(folder.path, "s1", 0, logits_of(np.arange(ROWS) < 50, TRUTH), TRUTH, **words())
    worth = measure_worth([*folder.runs(), bar])
    assert [gain.contender.name for gain in worth.gains] == ["s8-no-adapt-seed0"]


def words() -> dict[str, Any]:
    return {"kind": "lexical", "plan": None, "receipt": None, "plan_hash": "", "lora": 0}


def plan(*layouts: object, adapt: object = True, **settings: Any) -> dict[str, Any]:
    study = {"base": "roberta-base", "head": "linear", "data": {"train": "a.csv"}, "output": "x", "layouts": list(layouts)}
    members = plan_members(load_study({**study, "adapt": adapt, **settings}), 3)
    return {member.name: member for member in members}


def test_each_adapted_member_has_a_twin_unless_there_is_no_check() -> None:
    planned = plan("s8", {"layout": "s5", "name": "mine"}, controls=["uniform"], seeds=[0, 1])
    pairs = twins(list(planned.values()))
    names = {f"{title}-seed{seed}" for title in ("s8", "s8-uniform", "mine", "mine-uniform") for seed in (0, 1)}
    assert (set(planned), set(pairs.values())) == (names | set(pairs), names)
    assert all(twin.replace("-no-adapt", "") == of for twin, of in pairs.items())
    twin = planned["mine-uniform-no-adapt-seed1"]
    assert (twin.adapt, twin.control, twin.control_of) == (None, "no-adapt", {"no-adapt": ("mine-uniform",)})
    assert set(plan("s8", adapt={"check": False}, controls=["uniform"])) == {"s8-seed0", "s8-uniform-seed0"}
    asked = plan("s8", adapt={"check": False}, controls=["uniform", "no-adapt"])
    assert set(asked) == {"s8-seed0", "s8-uniform-seed0", "s8-no-adapt-seed0"}


def test_one_plan_of_two_layouts_has_one_twin() -> None:
    planned = plan({"layout": "s8", "name": "one"}, {"layout": "s8", "name": "two"})
    twin = planned["one-no-adapt-seed0"]
    assert set(planned) == {"one-seed0", "one-no-adapt-seed0"}
    assert (twin.aliases, twin.control_of) == (("two:no-adapt",), {"no-adapt": ("one", "two")})


def small(folder: Path, output: str, adapt: dict[str, Any], **changes: Any) -> dict[str, Any]:
    if not (folder / "roberta").exists():
        make_base(folder, dropout=0.1, masked=True)
        write_texts(folder / "train.csv", 150)
        write_texts(folder / "test.csv", 40, seed=1)
    settings = study_of(folder, recipe={"learning_rate": 0.01}, output=str(folder / output), ensemble={"size": 4}, **changes)
    return {**settings, "adapt": {"steps": 5, "batch_size": 32, **adapt}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("check")


@pytest.fixture(scope="module")
def harmed(folder: Path) -> Trained:
    """Two layouts whose adapters an absurd learning rate has spoilt before they learn labels."""
    layouts = [{"layout": "0-2 r4 a8 query value", "name": "all"}, {"layout": "1-2 r3 a4 query", "name": "upper"}]
    changes = {"layouts": layouts, "data": {"test": str(folder / "test.csv")}}
    return striata.train(small(folder, "harmed", {"learning_rate": 30.0}, **changes))


def test_harmful_adaptation_is_refused_and_what_is_used_goes_without(harmed: Trained) -> None:
    assert set(harmed.refused) == {"all-seed0", "upper-seed0"} < set(harmed.runs)
    assert all(one.value < one.twin_value - 0.1 for one in harmed.refused.values())
    plain = {"all-no-adapt-seed0", "upper-no-adapt-seed0"}
    assert harmed.ensemble is not None
    assert set(harmed.ensemble.runs) == plain
    assert "2 refused" in repr(harmed)
    assert harmed.to_json()["refused"] == json.loads(json.dumps(harmed.to_json()["refused"]))
    rows = leaderboard(StudyFolder.open(harmed.folder))
    assert ({row.run for row in rows[:2]}, {row.run for row in rows[2:]}) == (plain, set(harmed.refused))
    assert all(row.test is not None for row in rows)  # their evidence is whole
    assert set(harmed.test) == {*plain, *harmed.refused, "ensemble"}


def test_one_sentence_says_so_wherever_it_is_shown(harmed: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sentence,) = check_lines(harmed.runs.values())
    for refusal in harmed.refused.values():
        assert f"{refusal.run} (accuracy {refusal.value:.4f}, {refusal.twin} {refusal.twin_value:.4f})" in sentence
    for arguments in ([], ["--runs"]):
        assert run("leaderboard", harmed.folder, *arguments) == 0
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert f"{sentence[0].upper()}{sentence[1:]}." in [said.text for said in summary(collect(harmed.folder))]
    card = write_card(harmed.folder, out=tmp_path / "study.md").read_text()
    assert "The validation check refuses all-seed0 (accuracy" in card
    assert "upper-seed0 (accuracy" in card
    own = write_card(harmed.runs["all-no-adapt-seed0"].path, out=tmp_path / "run.md").read_text()
    assert "The validation check refuses all-seed0 (accuracy" in own
    assert "upper-seed0" not in own
    report = tmp_path / "report.html"
    assert run("report", harmed.folder, "--out", report) == 0
    assert report.read_text().count(">refused</span>") == 4  # two layouts, two runs


def test_a_study_without_an_ensemble_is_answered_by_the_twin(folder: Path) -> None:
    settings = small(folder, "single", {"learning_rate": 30.0}, layouts=["0-2 r4 a8 query value"])
    trained = striata.train({**settings, "ensemble": False})
    (refusal,) = trained.refused.values()
    assert find_model(trained.folder) == trained.runs[refusal.twin].path
    assert refusal.twin in repr(trained)


def test_gentle_adaptation_stands_where_it_wins(folder: Path) -> None:
    layouts = [{"layout": "0-2 r4 a8 query value", "name": "all"}]
    trained = striata.train(small(folder, "gentle", {"learning_rate": 1e-4}, layouts=layouts, seeds=[0, 1, 2, 3, 4]))
    accuracy = {name: one.metrics["accuracy"] for name, one in trained.runs.items()}
    wins = {f"all-seed{seed}" for seed in range(5) if accuracy[f"all-seed{seed}"] > accuracy[f"all-no-adapt-seed{seed}"]}
    assert wins
    assert set(trained.refused) == {f"all-seed{seed}" for seed in range(5)} - wins
    assert trained.ensemble is not None
    assert not set(trained.ensemble.runs) & set(trained.refused)


def test_a_study_that_is_not_checked_trains_no_twin_and_says_so_by_its_settings(folder: Path) -> None:
    settings = small(folder, "unchecked", {"learning_rate": 30.0, "check": False}, layouts=["0-2 r4 a8 query value"])
    trained = striata.train(settings)
    assert [one.facts.adapted is not None for one in trained.runs.values()] == [True]
    assert not trained.refused
    with pytest.raises(StudyError, match=r"there adapt\.check is False, here True"):
        striata.train({**settings, "adapt": {**settings["adapt"], "check": True}})


def test_a_candidate_of_a_race_is_both(folder: Path) -> None:
    """Of three learning rates one stays, adapted and not, though of the harmed ones all would have left."""
    race = {"learning_rates": [0.0001, 0.01, 0.03], "survivors": 1, "until": 0.5}
    layouts = [{"layout": "0-2 r4 a8 query value", "name": "all"}]
    settings = small(folder, "raced", {"learning_rate": 30.0}, layouts=layouts)
    trained = striata.train({**settings, "race": race})
    (refusal,) = trained.refused.values()
    assert set(trained.runs) == {refusal.run, refusal.twin}
    assert len(trained.failed) == 4
    assert all("left the race at step" in why for why in trained.failed.values())
