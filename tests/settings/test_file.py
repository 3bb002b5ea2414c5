"""Study files, and the members they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from striata.errors import LayoutError, StudyError
from striata.settings import load_study
from striata.study import plan_members


def test_the_study_file(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("base: roberta-base\ndata: {train: a.csv}\nlayouts: [s1]\noutput: x\nbase: bert\n")
    with pytest.raises(StudyError, match="key 'base' is given twice"):
        load_study(file)
    file.write_text("base: roberta-base\ndata: {train: a.csv}\nlayouts: [s1]\noutput: x\nbugdet: 3\n")
    with pytest.raises(StudyError, match=r"study\.yaml: unknown key 'bugdet' \(did you mean 'budget'\?\)"):
        load_study(file)
    with pytest.raises(StudyError, match=r"cannot read study file .*studdy\.yaml: .*did you mean 'study\.yaml'"):
        load_study(tmp_path / "studdy.yaml")
    file.write_text("base: roberta-base\ndata: {train: a.csv}\nlayouts: [s1]\noutput: x\n")
    changed = load_study(file, ["recipe.max_steps=7", "recipe.learning_rate=1e-3", "layouts=[s1, s2]", "data.validation=0.5"])
    assert (changed.recipe.max_steps, changed.recipe.learning_rate, changed.layouts) == (7, 1e-3, ("s1", "s2"))
    for setting, message in (
        ("recipe.warmup=2500", r"expected fewer warmup steps than max_steps \(2500\), not 2500"),
        ("recipe.max_step=7", "unknown key 'recipe.max_step'"),
        ("x", "expected KEY=VALUE"),
        ("base.x=1", "no group"),
    ):
        with pytest.raises(StudyError, match=message):
            load_study(file, [setting])


@pytest.mark.parametrize(
    "name", ["depth-layouts", "depth-layouts-uniform", "starter", "dropout", "demo-layouts", "agnews-minilm", "agnews-depth"]
)
def test_the_ready_studies_are_planned(name: str) -> None:
    study = load_study(Path(__file__).parents[2] / "studies" / f"{name}.yaml")
    found = plan_members(study, 8 if name == "demo-layouts" else 4)
    aliases = {member.name: member.aliases for member in found if member.aliases}
    if name == "depth-layouts-uniform":  # nine layouts, but only five models
        assert len(found) == 5
        assert aliases == {"as-run-s2-seed0": ("as-run-s3", "as-run-s7"), "as-run-s4-seed0": ("as-run-s6", "as-run-s8")}
    elif name == "agnews-depth":  # nine layouts with two controls each; two of the uniform ones are one model
        assert len(found) == (9 * 3 - 1) * 3
        assert aliases == {f"s2-uniform-seed{seed}": ("s3:uniform",) for seed in range(3)}
    else:
        assert len(found) == len(study.layouts) * len(study.seeds)
        assert not aliases


def named(study: dict[str, Any], labels: int = 3) -> dict[str, tuple[str, ...]]:
    """Members of a study with their aliases."""
    return {member.name: member.aliases for member in plan_members(load_study(study), labels)}


def test_controls_are_added_once(tmp_path: Path) -> None:
    study = {"base": "roberta-base", "data": {"train": "a.csv"}, "output": "x"}
    both = named({**study, "layouts": ["s8", "s0"], "controls": ["uniform", "reversed"], "seeds": [0, 1]})
    # s0 is uniform: its controls are s0 itself, and say nothing.
    assert list(both) == [f"{name}-seed{seed}" for name in ("s8", "s8-uniform", "s8-reversed", "s0") for seed in (0, 1)]
    assert not any(both.values())
    own = [
        {"layout": "s8", "name": "fast", "recipe": {"learning_rate": 0.01}},
        "s8:uniform",
        "s8",
        "0-5 r4 query | 6-11 r8 query",
    ]
    found = plan_members(load_study({**study, "layouts": own, "controls": ["uniform"]}), 3)
    text = f"layout-{found[4].plan.hash[:8]}"
    assert [member.name.removesuffix("-seed0") for member in found] == [
        "fast", "fast-uniform", "s8-uniform", "s8", text, f"{text}-uniform",
    ]  # fmt: skip
    assert [member.recipe.learning_rate for member in found[:3]] == [0.01, 0.01, 1e-4]
    assert found[1].plan.hash == found[2].plan.hash  # other recipes: two members
    with pytest.raises(StudyError, match="two members are named s8-uniform-seed0"):
        named({**study, "layouts": ["s8", {"layout": "s1", "name": "s8-uniform"}], "controls": ["uniform"]})
    with pytest.raises(StudyError, match=r"controls\.0 is 'unifrm'; expected uniform, reversed or no-adapt"):
        load_study({**study, "layouts": ["s8"], "controls": ["unifrm"]})
    with pytest.raises(StudyError, match="two members are named s8-seed0"):
        named({**study, "layouts": ["s8", "s8"]})


def test_run_names_fit_into_a_folder_with_their_control_and_seed() -> None:
    study = {"base": "roberta-base", "data": {"train": "a.csv"}, "output": "x", "controls": ["uniform"]}
    named({**study, "layouts": [{"layout": "s8", "name": "x" * 186}]})
    with pytest.raises(LayoutError, match=r"run name 'x{40}...' cannot be a folder's; expected at most 200"):
        named({**study, "layouts": [{"layout": "s8", "name": "x" * 187}]})
