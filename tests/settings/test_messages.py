"""What a study file may say in short, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from striata.errors import StriataError, StudyError
from striata.settings import Study, load_study
from striata.study.members import plan_members

PLAIN: dict[str, Any] = {"base": "roberta-base", "data": {"train": "a.csv"}, "layouts": ["s8"], "output": "x"}


def study(**settings: Any) -> Study:
    return load_study({**PLAIN, **settings})


@pytest.mark.parametrize(
    ("short", "whole"),
    [
        ({"layouts": "s8"}, {"layouts": ["s8"]}),
        ({"layouts": {"layout": "s8", "name": "a"}}, {"layouts": [{"layout": "s8", "name": "a"}]}),
        ({"data": "train.csv"}, {"data": {"train": "train.csv"}}),
        ({"seeds": 3}, {"seeds": [0, 1, 2]}),
        ({"controls": "uniform"}, {"controls": ["uniform"]}),
        ({"budget": "1M"}, {"budget": 1_000_000}),
        ({"budget": "1.5m"}, {"budget": 1_500_000}),
        ({"budget": "900k"}, {"budget": 900_000}),
        ({"ensemble": True}, {"ensemble": {}}),
        ({"ensemble": False}, {"ensemble": {"size": 1}}),
        ({"ensemble": {"budget": "2M"}}, {"ensemble": {"budget": 2_000_000}}),
        ({"search": True}, {"search": {}}),
        ({"search": False}, {"search": None}),
        ({"recipe": {"optimizer": "sgd"}}, {"recipe": {"optimizer": {"name": "sgd", "momentum": 0.9}}}),
        ({"recipe": {"optimizer": "adamw"}}, {"recipe": {"optimizer": {"name": "adamw", "betas": [0.9, 0.999], "eps": 1e-8}}}),
        ({"recipe": {"optimizer": {"name": "lion"}}}, {}),
        ({"base": "~/encoders/x"}, {"base": str(Path.home() / "encoders/x")}),
        ({"output": "~/runs"}, {"output": str(Path.home() / "runs")}),
    ],
)
def test_short_forms(short: dict[str, Any], whole: dict[str, Any]) -> None:
    assert study(**short) == study(**whole)
    assert load_study(study(**short).to_dict()) == study(**whole)


@pytest.mark.parametrize(
    ("before", "setting", "after"),
    [
        ({"data": "a.csv"}, "data.max_length=64", {"data": {"train": "a.csv", "max_length": 64}}),
        (
            {"recipe": {"optimizer": "sgd"}},
            "recipe.optimizer.momentum=0.5",
            {"recipe": {"optimizer": {"name": "sgd", "momentum": 0.5}}},
        ),
        ({"ensemble": True}, "ensemble.size=2", {"ensemble": {"size": 2}}),
        ({}, "ensemble=false", {"ensemble": {"size": 1}}),
        ({"search": False}, "search.trials=3", {"search": {"trials": 3}}),
        ({}, "seeds=[4, 5]", {"seeds": [4, 5]}),
    ],
)
def test_settings_of_the_command_line_widen_short_forms(before: dict[str, Any], setting: str, after: dict[str, Any]) -> None:
    given = {**PLAIN, **before}
    assert load_study(given, [setting]) == study(**after)
    assert given == {**PLAIN, **before}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": "1X"}, "budget is '1X'; expected a number of parameters such as 900k or 1M or null"),
        ({"budget": True}, "budget is True; expected a number of parameters"),
        ({"layouts": [8]}, "layouts.0 is 8; expected a layout's name, text form or file or a group of keys"),
        (
            {"layouts": 8},
            "layouts is 8; expected one layout or a list, each a layout's name, text form or file or a group of keys",
        ),
        ({"seeds": 0}, "seeds is 0; expected how many or a list, each a whole number from 0 on"),
        ({"seeds": [0, -1]}, "seeds.1 is -1; expected a whole number from 0 on"),
        ({"seeds": [1, 1]}, "seeds; expected values that are all different"),
        ({"data": 3}, "data is 3; expected a path or a Hub name or a group of keys"),
        (
            {"data": {"train": "a", "validation": 1.5}},
            "data.validation is 1.5; expected a whole number above 0, a fraction between 0 and 1 or",
        ),
        ({"ensemble": "yes please"}, "ensemble is 'yes please'; expected true or false or a group of keys"),
        ({"head": "nativ"}, "head is 'nativ'; expected native, linear or mean (did you mean 'native'?)"),
        ({"head": 3}, "head is 3; expected native, linear or mean"),
        ({"recipe": {"max_steps": True}}, "recipe.max_steps is True; expected a whole number above 0"),
        ({"recipe": {"learning_rate": "fast"}}, "recipe.learning_rate is 'fast'; expected a number above 0"),
        ({"recipe": {"learning_rate": float("nan")}}, "recipe.learning_rate is nan; expected a number above 0"),
        ({"recipe": {"validation_rows": "some"}}, "recipe.validation_rows is 'some'; expected a whole number above 0 or all"),
        ({"recipe": {"class_weights": {"Sports": -1}}}, "recipe.class_weights.Sports is -1; expected a number above 0"),
        (
            {"recipe": {"optimizer": "adam_w"}},
            "recipe.optimizer is 'adam_w'; expected lion, adamw, adam or sgd (did you mean 'adamw'?)",
        ),
        ({"recipe": {"optimizer": 3}}, "recipe.optimizer is 3; expected its name or a group of keys"),
        ({"recipe": {"optimizer": {"name": ["sgd"]}}}, "recipe.optimizer.name; expected lion, adamw, adam or sgd"),
        (
            {"recipe": {"optimizer": {"name": "adamw", "momentum": 0.9}}},
            "recipe.optimizer; expected no 'momentum', which is no setting of adamw; its own are betas and eps",
        ),
        (
            {"recipe": {"optimizer": {"name": "sgd", "betas": [0.9, 0.9]}}},
            "expected no 'betas', which is no setting of sgd; its own are momentum",
        ),
        (
            {"recipe": {"optimizer": {"name": "lion", "betas": [0.9]}}},
            "recipe.optimizer.betas; expected two numbers from 0 to below 1",
        ),
        ({"recipe": {"optimizer": {"momentum": 0.9}}}, "key 'recipe.optimizer.name' is missing; for instance `name: adamw`"),
        ({"search": {"sections": [3, 1]}}, "search.sections; expected two values, the lower one first"),
        ({"search": {"ranks": [2, 2]}}, "search.ranks; expected values that are all different"),
        ({"ensemble": {"method": "soup"}}, "ensemble.method is 'soup'; expected a method that combines runs"),
        (
            {"layouts": [{"layout": "s8", "name": ".hidden"}]},
            "layouts.0.name is '.hidden'; expected at most 200 letters, digits, '.', '_' or '-'",
        ),
        (
            {"layouts": [{"layout": "s8", "recipe": {"lr": 1}}]},
            "layouts: 's8': unknown key 'recipe.lr' (here it is `recipe.learning_rate`)",
        ),
        ({"layouts": [{"layout": "s8", "recipe": 3}]}, "layouts.0.recipe is 3; expected a group of keys"),
        ({"base": ["x"] * 100}, "base; expected a path or a Hub name"),
        ({"head": "x" * 1000}, f"head is '{'x' * 79}...; expected native"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as refused:
        study(**settings)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("group", "key", "hint"),
    [
        ("recipe", "lr", "here it is `recipe.learning_rate`"),
        ("recipe", "num_train_epochs", "here it is `recipe.epochs`"),
        ("recipe", "per_device_train_batch_size", "here it is `recipe.batch_size`"),
        ("recipe", "warmup_ratio", "here it is `recipe.warmup`"),
        ("recipe", "eval-steps", "here it is `recipe.evaluate_every`"),
        ("recipe", "momentum", "here it is `recipe.optimizer.momentum`"),
        ("recipe", "lern_rate", "did you mean 'learning_rate'?"),
        ("", "lr", "here it is `recipe.learning_rate`"),
        ("", "learning_rate", "here it is `recipe.learning_rate`"),
        ("", "max_length", "here it is `data.max_length`"),
        ("", "max_seq_length", "here it is `data.max_length`"),
        ("", "layout", "did you mean 'layouts'?"),
        ("", "seed", "did you mean 'seeds'?"),
        ("", "model_name_or_path", "here it is `base`"),
        ("data", "label_column", "here it is `data.label`"),
        ("search", "rank", "did you mean 'ranks'?"),
        ("search", "target", "did you mean 'targets'?"),
    ],
)
def test_a_foreign_or_misplaced_key_is_recognised(group: str, key: str, hint: str) -> None:
    settings = {group: {key: 1}} if group else {key: 1}
    with pytest.raises(StudyError, match="unknown key") as refused:
        study(**settings)
    name = f"{group}.{key}" if group else key
    assert f"unknown key '{name}' ({hint})" in str(refused.value)
    assert refused.value.key == name


def test_all_missing_and_all_unknown_keys_are_in_one_message() -> None:
    with pytest.raises(StudyError) as refused:
        load_study({"data": "a.csv"})
    assert str(refused.value) == (
        "study: keys 'base', 'output' and 'layouts' are missing; for instance `base: FacebookAI/roberta-base`, "
        "`output: runs/mine` and `layouts: [s8]`"
    )
    with pytest.raises(StudyError, match=r"study: key 'layouts' is missing; for instance `layouts: .s8.`"):
        load_study({"base": "x", "output": "y"})
    with pytest.raises(StudyError, match=r"unknown keys 'bse' \(did you mean 'base'\?\) and 'recipe.lr' \(here it is "):
        load_study({"bse": "x", "recipe": {"lr": 1}, "output": "y"})


@pytest.mark.parametrize("key", ["base", "data", "layouts", "output", "data.text", "search.ranks", "head", "recipe", "seeds"])
@pytest.mark.parametrize("value", ["x" * 900_000, f"0x{'f' * 6000}", "0x1" + "0" * 240, "[" * 60, '"\\ud800"', '"\\e[31m\\0"'])
def test_any_value_is_planned_or_is_one_short_line(key: str, value: str) -> None:
    study = {"base": "roberta-base", "data": "t.csv", "layouts": "s1", "output": "out", "search": False}
    try:
        plan_members(load_study(study, [f"{key}={value}"]), 3)
    except StriataError as error:
        assert "\n" not in str(error)
        assert len(str(error)) <= 4_000


def test_of_many_unknown_keys_the_first_are_named() -> None:
    with pytest.raises(StudyError, match=r"unknown keys 'layouts\.0\.ts', .*'layouts\.9\.ts' and 990 more;") as wrong:
        study(layouts=[{"layout": "s1", "ts": 1}] * 1000)
    assert len(str(wrong.value)) < 500
    with pytest.raises(StudyError, match=r"unknown keys 'k1', .* 'k10' and 19,990 more; expected one of"):
        study(**{f"k{i}": 1 for i in range(1, 20_000)}, k0=1)


def test_too_many_members_are_refused_at_once() -> None:
    study = {"base": "roberta-base", "data": "t.csv", "output": "out"}
    layouts = [f"0-5 r{1 + i % 8} d0.{i // 8 + 1} query" for i in range(64)]
    with pytest.raises(StudyError, match="64 layouts and controls with 1,000 seeds are more than 10,000 members"):
        plan_members(load_study({**study, "layouts": layouts, "seeds": 1000}), 3)
    with pytest.raises(StudyError, match="layouts; expected one layout or a list"):
        load_study({**study, "layouts": ["s1"] * 1001})


def test_a_data_file_or_a_folder_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"train.csv is a data file; expected a study file, in which it stands as "):
        load_study(tmp_path / "train.csv")
    with pytest.raises(StudyError, match=r"cannot read study file .*: Is a directory"):
        load_study(tmp_path)
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(StudyError, match="holds nothing; expected keys such as"):
        load_study(tmp_path / "empty.yaml")


def test_an_error_says_which_key_and_file(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("base: x\nlayouts: s8\noutput: y\nrecipe: {clip: no}\n")
    with pytest.raises(StudyError) as refused:
        load_study(file)
    assert (refused.value.key, refused.value.path, refused.value.argument) == ("recipe.clip", str(file), None)
    with pytest.raises(StudyError, match=r"^settings x: expected KEY=VALUE") as refused:
        load_study(file, ["x"])
    assert refused.value.argument == "settings"
