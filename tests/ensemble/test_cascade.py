"""Cascades: the threshold against brute force and simulated truth, the stages by hand, the folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from striata.calibration.temperature import cross_fitted, fit_temperature
from striata.ensemble import Rule, choose, load_ensemble, nested, rule_of, write_ensemble
from striata.ensemble.cascade import THRESHOLDS, find_threshold
from striata.ensemble.combiner import LEVEL
from striata.ensemble.weighting import choose_weighted
from striata.errors import EnsembleError, StriataError
from striata.figures.pvalues import loss_pvalue
from striata.runs.joined import Pool

from ..study.synthetic import write_synthetic_run, write_synthetic_study
from .test_selection import noisy

NAMES = ("words", "first", "second", "third")


def four(rows: int = 600, *, seed: int = 0, trainable: tuple[int, ...] = (10, 100, 100, 100)) -> Pool:
    """Words, which need no encoder, and three runs on one encoder."""
    pool = noisy(4, rows, seed=seed, noise=1.2)
    return replace(pool, names=NAMES, trainable=trainable, encoders=(None, "e", "e", "e"))


def test_a_threshold_is_what_brute_force_takes() -> None:
    rng = np.random.default_rng(0)
    for loss in (0.01, 0.03, 0.1):
        confidence = rng.beta(3, 1, 400)
        early, late = rng.random(400) < confidence, rng.random(400) < 0.9
        best = None
        for value in THRESHOLDS:
            answered = confidence >= value
            lost, gained = int((answered & late & ~early).sum()), int((answered & early & ~late).sum())
            if loss_pvalue(lost, gained, 400, loss) > 0.05:
                break
            best = (float(value), lost, gained)
        threshold = find_threshold(confidence, early, late, loss)
        assert best == (None if threshold.value is None else (threshold.value, threshold.lost, threshold.gained))
        fits = [np.mean(confidence >= value) for value in THRESHOLDS if (late & ~early & (confidence >= value)).sum()
                - (early & ~late & (confidence >= value)).sum() <= 400 * loss]  # fmt: skip
        assert threshold.unproven == pytest.approx(max(fits))


def test_the_loss_is_larger_than_it_was_to_be_in_less_than_five_of_a_hundred_draws() -> None:
    """Confidence takes four values; below the second one the true loss is just the one that is to be excluded."""
    levels, shares = np.array([0.99, 0.9, 0.8, 0.6]), np.array([0.3, 0.3, 0.2, 0.2])
    early_right, late_right = np.array([0.999, 0.9, 0.8, 0.6]), np.array([0.999, 0.98, 0.9, 0.9])
    true = np.cumsum(shares * (late_right - early_right))
    loss = float(true[1])
    rng = np.random.default_rng(1)
    wrong = some = 0
    draws = 250
    for _ in range(draws):
        level = rng.choice(4, 500, p=shares)
        early, late = rng.random(500) < early_right[level], rng.random(500) < late_right[level]
        value = find_threshold(levels[level], early, late, loss).value
        some += value is not None and value <= 0.99
        wrong += value is not None and true[(levels >= value).sum() - 1] >= loss
    assert some > 0.95 * draws
    assert wrong / draws <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / draws)
    assert wrong > 0  # a bound that is never reached would show nothing


def test_the_stages_answer_as_they_do_by_hand() -> None:
    pool = four()
    chosen = choose(pool, Rule(method="cascade", size=3, loss=0.02))
    cascade = chosen.cascade
    assert cascade is not None
    assert (cascade.early, cascade.rows, cascade.loss) == ("words", 600, 0.02)
    late = choose_weighted(pool, Rule(method="weighted", size=3))
    assert dict(chosen.weights) == late.weights | {"words": late.weights.get("words", 0.0)}
    unseen = nested(pool, Rule(method="weighted", size=3))
    own = pool.by_name()["words"]
    early = softmax(own / fit_temperature(own, pool.targets), axis=1)
    expected = softmax(late.apply(pool.by_name()) / fit_temperature(unseen, pool.targets), axis=1)
    assert cascade.threshold is not None
    sure = early.max(1) >= cascade.threshold
    assert 0 < cascade.answered == sure.sum() < 600
    expected[sure] = early[sure]
    np.testing.assert_allclose(softmax(chosen.apply(pool.by_name()), axis=1), expected, atol=1e-5)
    threshold = find_threshold(
        cross_fitted(own, pool.targets).max(1), own.argmax(1) == pool.targets, unseen.argmax(1) == pool.targets, 0.02
    )
    assert (cascade.threshold, cascade.lost, cascade.gained) == (threshold.value, threshold.lost, threshold.gained)


def test_where_nothing_can_be_shown_nothing_is_answered_early() -> None:
    pool = four(200)
    chosen = choose(pool, Rule(method="cascade", size=3, loss=0.001))
    assert chosen.cascade is not None
    assert (chosen.cascade.threshold, chosen.cascade.answered) == (None, 0)
    np.testing.assert_array_equal(chosen.apply(pool.by_name()), chosen.apply_late(pool.by_name()))
    first, second = chosen.cascade.sentences
    assert "200 validation rows cannot exclude a loss of 0.10%, which takes at least 3,015; a loss of 1.50% they can" in first
    assert f"{chosen.cascade.unproven:.1%} of these rows" in second
    never = find_threshold(np.linspace(0.5, 1, 400), np.zeros(400, bool), np.ones(400, bool), 0.0099)
    assert replace(chosen.cascade, rows=400, loss=0.0099, threshold=never.value).sentences[0].startswith("words answers ")


def test_the_best_run_without_an_encoder_is_first_unless_another_is_named() -> None:
    pool = replace(four(), encoders=(None, "e", None, "small"))
    losses = {name: -pool.task.score(pool.by_name()[name], pool.targets, "loss") for name in ("words", "second")}
    rule = Rule(method="cascade", size=2, loss=0.05)
    free = choose(pool, rule).cascade
    assert free is not None
    assert free.early == min(losses, key=losses.__getitem__)
    named = choose(pool, replace(rule, cheap="third")).cascade
    assert named is not None
    assert named.early == "third"


def test_no_member_behind_shares_the_early_runs_encoder() -> None:
    pool = replace(four(), encoders=("big", "small", "small", "big"))
    chosen = choose(pool, Rule(method="cascade", size=3, loss=0.05, cheap="first"))
    assert set(chosen.weights) == {"words", "first", "third"}


def test_a_budget_is_of_both_stages() -> None:
    pool = four(trainable=(50, 100, 200, 300))
    cost = dict(zip(pool.names, pool.trainable, strict=True))
    for budget in (60, 160, 360, 650):
        chosen = choose(pool, Rule(method="cascade", size=3, budget=budget, loss=0.05))
        assert sum(cost[name] for name in chosen.weights) <= budget
    with pytest.raises(EnsembleError, match="early run words has 50 trained parameters, more than the budget of 49; raise it"):
        choose(replace(pool, trainable=(50, 10, 200, 300)), Rule(method="cascade", size=1, budget=49))


@pytest.mark.parametrize(
    ("encoders", "cheap", "message"),
    [
        (("e", "e", "e", "e"), None, "no run answers without an encoder; a cascade needs a cheap one: put `lexical` among"),
        (
            (None, "e", "e", "e"),
            "word",
            r"^cheap word is no finished run \(did you mean 'words'\?\); expected one of words, first",
        ),
        ((None, "e", "e", "e"), "first", "no run needs another encoder than first, so that a cascade would save nothing"),
        ((None, None, None, None), None, "no run needs an encoder, so that a cascade would save nothing"),
    ],
)
def test_runs_that_make_no_cascade(encoders: tuple[str | None, ...], cheap: str | None, message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        choose(replace(four(60), encoders=encoders), Rule(method="cascade", size=2, cheap=cheap))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": 0.01}, "^loss 0.01 is of a cascade; leave it out, or use method cascade"),
        ({"method": "greedy", "cheap": "words"}, "^cheap words is of a cascade"),
        ({"method": "cascade", "loss": 0.0}, "^loss 0 is no share of rows; expected a value between 0 and 1"),
        ({"method": "cascade", "combine": "probabilities"}, "method cascade averages no outputs"),
    ],
)
def test_settings_that_are_not_a_cascades(settings: dict[str, object], message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        Rule(**settings)  # type: ignore[arg-type]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two runs with adapters, and words."""
    pool = four(400)
    logits = pool.by_name()
    adapters = {("s8", 0): logits["first"], ("s8", 1): logits["second"]}
    path = write_synthetic_study(tmp_path / "out", adapters, pool.targets).path
    write_synthetic_run(
        path, "s8", 0, logits["words"], pool.targets, title="words", kind="lexical", plan=None, base=None, base_sha256=None
    )
    return path


def test_what_is_written_is_read(study: Path) -> None:
    made = write_ensemble(study, method="cascade", size=2, loss=0.03)
    again = load_ensemble(study / "ensemble")
    assert again.combiner == made.combiner
    assert (again.combination, again.way) == ("cascade", "a cheap run answers what it is sure of, a weighted ensemble the rest")
    assert again.cascade is not None
    assert again.cascade.early == "words-seed0"
    assert 0 < again.cascade.share < 1
    logits = {name: run.validation().logits for name, run in again.runs.items()}
    assert int(again.cascade.sure(logits["words-seed0"]).sum()) == again.cascade.answered
    rule = Rule(method="cascade", size=2, by="accuracy", loss=0.03)
    assert rule_of(study) == rule
    assert rule.settings == {"method": "cascade", "size": 2, "by": "accuracy", "loss": 0.03}
    assert "loss" not in Rule(method="greedy").settings
    assert again.to_json()["cascade"] == json.loads(json.dumps(again.to_json()["cascade"]))
    assert [line for line in again.lines() if line in again.cascade.sentences] == list(again.cascade.sentences)


def test_its_stages_are_calibrated_and_it_is_not_calibrated_again(study: Path) -> None:
    made = write_ensemble(study, method="cascade", size=2, loss=0.03)
    calibration = made.calibration()
    assert calibration.temperature == 1
    assert calibration.before == calibration.after
    seen = made.validation()
    right = softmax(seen.logits.astype(float), axis=1)[np.arange(400), seen.labels]
    assert calibration.after.loss == pytest.approx(-np.log(right).mean())
    assert made.nested["loss"] == pytest.approx(calibration.after.loss)


def test_a_damaged_cascade_is_named(study: Path) -> None:
    made = write_ensemble(study, method="cascade", size=2, loss=0.03)
    file = made.folder / "ensemble.json"
    content = file.read_text()
    file.write_text(content.replace('"early": "words-seed0"', '"early": "words-seed1"'))
    with pytest.raises(StriataError, match=r"is damaged: ensemble\.json is not what was written"):
        load_ensemble(made.folder)
