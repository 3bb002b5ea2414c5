"""`striata check --machines`: hours and money, from what the study costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ..command import run
from ..study.small import study_of


def test_hours_and_money_follow_from_the_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of(tmp_path, seeds=[0, 1], recipe={"max_steps": 10**9, "epochs": 2, "evaluate_every": 1000})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    on_two = ("check", tmp_path / "study.yaml", "--machines", 2, "--speed", 1000, "--price", 3, "--rows", 1_000_000)
    assert run(*on_two, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    foreseen, cost = document["machines"], document["members"][0]["cost"]
    tokens_a_step = cost["training_tokens"] / cost["steps"]
    evaluations = -(-250_000 // 1000)  # two passes over a million rows in batches of eight
    validation = cost["validation_tokens"] / -(-cost["steps"] // 1000)
    seconds = 3 * (3 * 250_000 * tokens_a_step + evaluations * validation) / 1000  # three members a machine
    assert foreseen["stacks"] == 2
    assert foreseen["members"] == 3
    assert foreseen["hours"] == pytest.approx((seconds + 60) / 3600, rel=1e-3)
    assert foreseen["money"] == pytest.approx(2 * 3 * foreseen["hours"])
    assert foreseen["best_interval"] is None
    assert run(*on_two, "--failures", 0.01) == 0
    out, err = capsys.readouterr()
    assert "2 machines: 2 stacks of up to 3 members at a time, " in out
    assert "least is lost every" in err
