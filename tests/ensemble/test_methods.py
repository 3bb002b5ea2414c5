"""Every method through one door."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest

from striata.choices import COMBINATIONS, METHODS
from striata.ensemble import Ensemble, Rule, choose, combine_runs, write_ensemble
from striata.ensemble.combiner import SCALES
from striata.errors import EnsembleError
from striata.runs.joined import join

from ..study.synthetic import write_synthetic_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    logits = np.eye(3)[labels] * 2 + rng.normal(0, 2, (3, 90, 3))
    runs = {("s8", seed): each.astype(np.float32) for seed, each in enumerate(logits)}
    return write_synthetic_study(tmp_path / "out", runs, labels).path


def test_what_the_tables_name_is_there() -> None:
    assert set(SCALES) == set(COMBINATIONS)
    page = (Path(__file__).parents[2] / "docs" / "ensembles.md").read_text()
    for name, choice in METHODS.items():
        assert callable(resolve_name(choice.maker))
        assert f"| `{name}` |" in page


@pytest.mark.parametrize("method", [name for name, choice in METHODS.items() if not (choice.merges or choice.cascades)])
def test_a_method_chooses_what_its_maker_does(study: Path, method: str) -> None:
    made = combine_runs(study, method=method, size=2)
    assert isinstance(made, Ensemble)
    expected = choose(join(made.runs), Rule(method=method, size=len(made.runs)))
    assert (made.method, made.combination, dict(made.members)) == (method, expected.kind, dict(expected.weights))
    assert made.to_json()["members"] == made.members == write_ensemble(study, method=method, size=2).members
    assert made.way == METHODS[method].text
    assert any(line.startswith(f"together: validation accuracy {made.metrics['accuracy']:.4f}") for line in made.lines())


def test_a_cascades_settings_reach_it(study: Path) -> None:
    with pytest.raises(EnsembleError, match="s8-seed9 is no finished run"):
        combine_runs(study, method="cascade", size=2, cheap="s8-seed9")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "stack"}, r"unknown method 'stack' \(did you mean 'stacking'\?\)"),
        ({"method": "top", "rank": 4}, "rank 4 is of merged weights; leave it out, or use method soup"),
        ({"method": "soup", "combine": "probabilities"}, "combine probabilities: method soup averages no outputs"),
        ({"method": "soup", "out": "elsewhere"}, "method soup is of one study and writes into its folder"),
        ({"method": "soup", "size": 0}, "an ensemble of 0 was asked for"),
        ({"method": "soup", "rank": 0, "size": 2}, "rank 0 was asked for; expected at least 1"),
    ],
)
def test_what_is_not_the_methods_is_said(study: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        combine_runs(study, **settings)  # type: ignore[arg-type]
    with pytest.raises(EnsembleError, match="method soup merges weights into one run"):
        write_ensemble(study, method="soup", size=2)
