"""Selection and combination against brute force, scikit-learn and simulations with known truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from threadpoolctl import threadpool_info, threadpool_limits

from striata.choices import METHODS
from striata.ensemble import Rule, choose, combine, nested
from striata.ensemble.greedy import _Search
from striata.errors import EnsembleError
from striata.runs.joined import Pool
from striata.tasks import SINGLE_LABEL

score = SINGLE_LABEL.score


def pool_of(logits: np.ndarray, targets: np.ndarray, trainable: list[int] | None = None) -> Pool:
    count = len(logits)
    return Pool(
        names=tuple(f"run{at:02}" for at in range(count)),
        trainable=tuple(trainable or [100] * count),
        encoders=("encoder",) * count,
        task=SINGLE_LABEL,
        labels=tuple("abcdefgh"[: logits.shape[2]]),
        ids=np.arange(len(targets)) * 3 + 1,
        texts=np.arange(len(targets), dtype=np.uint64),
        targets=targets,
        logits=logits.astype(np.float32),
    )


def noisy(count: int, rows: int, *, classes: int = 3, seed: int = 0, noise: float = 2.0) -> Pool:
    """Runs that see the same truth through noise of their own."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, rows)
    truth = np.eye(classes)[targets] * 2
    return pool_of(truth + rng.normal(0, noise, (count, rows, classes)), targets)


def figure(pool: Pool, weights: dict[str, float], kind: str, by: str) -> float:
    logits = combine(pool.members(list(weights)).logits, list(weights.values()), kind)
    return score(logits, pool.targets, by)


@pytest.mark.parametrize("by", SINGLE_LABEL.rankings)
def test_the_figures_are_scikit_learns(by: str) -> None:
    pool = noisy(1, 200, classes=4)
    logits, targets = pool.logits[0], pool.targets
    expected = {
        "accuracy": (logits.argmax(1) == targets).mean(),
        "macro_f1": f1_score(targets, logits.argmax(1), average="macro"),
        "loss": -log_loss(targets, softmax(logits.astype(float), axis=1)),
    }
    assert score(logits, targets, by) == pytest.approx(expected[by])


def test_a_mean_of_logits_and_of_probabilities() -> None:
    pool = noisy(3, 20)
    weights = np.array([0.5, 0.3, 0.2])
    expected = np.tensordot(weights, pool.logits.astype(float), 1)
    np.testing.assert_allclose(combine(pool.logits, weights), expected, atol=1e-6)
    found = combine(pool.logits, weights, "probabilities")
    expected = np.tensordot(weights, softmax(pool.logits.astype(float), axis=2), 1)
    np.testing.assert_allclose(softmax(found.astype(float), axis=1), expected, atol=1e-6)


@pytest.mark.parametrize("by", SINGLE_LABEL.rankings)
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_greedy_is_never_worse_than_its_best_run(by: str, kind: str) -> None:
    for seed in range(6):
        pool = noisy(6, 40, seed=seed, noise=3)
        chosen = choose(pool, Rule(method="greedy", by=by, combine=kind))
        best = max(figure(pool, {name: 1.0}, kind, by) for name in pool.names)
        assert figure(pool, dict(chosen.weights), kind, by) >= best
        assert sum(chosen.weights.values()) == pytest.approx(1)
        assert len(chosen.weights) <= 4


def test_greedy_nears_the_best_weights_of_all() -> None:
    """The log loss of mean logits is convex in the weights, so that scipy finds its optimum; no selection can be better."""
    found, limits = [], []
    for seed in range(8):
        pool = noisy(4, 60, seed=seed)
        chosen = choose(pool, Rule(method="greedy", by="loss"))
        found.append(figure(pool, dict(chosen.weights), "logits", "loss"))

        def cost(weights: np.ndarray, pool: Pool = pool) -> float:
            mean = np.tensordot(weights, pool.logits.astype(float), 1)
            return -float(log_softmax(mean, axis=1)[np.arange(60), pool.targets].mean())

        adds_up = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
        limits.append(-minimize(cost, np.full(4, 0.25), bounds=[(0, 1)] * 4, constraints=adds_up, method="SLSQP").fun)
    assert (np.array(found) <= np.array(limits) + 1e-5).all()
    np.testing.assert_allclose(found, limits, atol=0.005)


def test_greedy_finds_the_pair_that_brute_force_finds() -> None:
    """One run is right in 8 of 10 rows; another, right in 6, errs hesitantly elsewhere; a third is right in 7, always where the
    first is."""
    targets = np.zeros(10, np.int64)
    margin = np.array([[1.0] * 8 + [-1] * 2, [-0.5] * 4 + [9] * 6, [1.0] * 7 + [-1] * 3])
    pool = pool_of(np.stack([margin, np.zeros_like(margin)], axis=2), targets)
    pairs = list(itertools.combinations(pool.names, 2))
    best = max(pairs, key=lambda pair: figure(pool, dict.fromkeys(pair, 0.5), "logits", "accuracy"))
    chosen = choose(pool, Rule(method="greedy", size=2))
    assert set(chosen.weights) == set(best) == {"run00", "run01"}
    assert figure(pool, dict(chosen.weights), "logits", "accuracy") == 1
    assert list(choose(pool, Rule(size=1)).weights) == ["run00"]


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_greedy_by_loss_looks_at_scikit_learns_loss_of_the_mean(kind: str) -> None:
    pool = noisy(3, 400, noise=3.0)
    search = _Search(pool, Rule(method="greedy", size=3, by="loss", combine=kind))
    of = softmax(pool.logits.astype(np.float64), 2) if kind == "probabilities" else pool.logits.astype(np.float64)
    weights = np.array([0.5, 0.25, 0.25])
    mean = np.einsum("mrl,m->rl", of, weights)
    probabilities = mean if kind == "probabilities" else softmax(mean, 1)
    assert search.key(weights)[0] == pytest.approx(-log_loss(pool.targets, probabilities), rel=1e-5)


def test_of_equals_greedy_takes_the_fewest() -> None:
    pool = noisy(1, 50)
    copies = pool_of(np.repeat(pool.logits, 5, axis=0), pool.targets)
    assert list(choose(copies, Rule(method="greedy")).weights.values()) == [1.0]


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not (method.merges or method.cascades)])
def test_limits_hold(method: str) -> None:
    base = noisy(7, 80, seed=1)
    pool = pool_of(base.logits, base.targets, trainable=[400, 50, 300, 200, 150, 100, 250])
    cost = dict(zip(pool.names, pool.trainable, strict=True))
    for budget in (60, 500, 1000):
        for size in (1, 3, 7):
            chosen = choose(pool, Rule(method=method, size=size, budget=budget))
            assert 1 <= len(chosen.weights) <= size
            assert sum(cost[name] for name in chosen.weights) <= budget


def test_top_is_the_best_in_order_with_equal_weights() -> None:
    pool = noisy(6, 200, seed=2)
    for by in SINGLE_LABEL.rankings:
        ranked = sorted(pool.names, key=lambda name: -figure(pool, {name: 1.0}, "logits", by))
        chosen = choose(pool, Rule(size=3, by=by))
        figures = [figure(pool, {name: 1.0}, "logits", by) for name in chosen.weights]
        assert figures == [figure(pool, {name: 1.0}, "logits", by) for name in ranked[:3]]
        assert list(chosen.weights.values()) == [1 / 3] * 3


@pytest.mark.parametrize("classes", [2, 4])
def test_a_stack_is_scikit_learns_regression(classes: int) -> None:
    pool = noisy(3, 300, classes=classes, seed=3)
    chosen = choose(pool, Rule(method="stacking", size=3))
    assert chosen.stacking is not None
    features = np.concatenate(list(log_softmax(pool.members(list(chosen.weights)).logits.astype(float), axis=2)), axis=1)
    found = softmax(chosen.apply(pool.by_name()).astype(float), axis=1)
    fits = [LogisticRegression(C=c, max_iter=2000).fit(features, pool.targets) for c in (0.001, 0.01, 0.1, 1.0)]
    distances = [np.abs(fit.predict_proba(features) - found).max() for fit in fits]
    assert min(distances) < 1e-5


def test_a_stack_of_few_rows_is_fitted_on_one_thread_whatever_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, usual = set[int](), LogisticRegression.fit

    def fit(*arguments: object) -> object:
        threads.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return usual(*arguments)

    monkeypatch.setattr(LogisticRegression, "fit", fit)
    with threadpool_limits(2, "blas"):
        choose(noisy(3, 90), Rule(method="stacking", size=3))
    assert threads == {1}


def test_a_stack_learns_whom_to_trust() -> None:
    """One run knows the label, one always says the next one, two guess."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 600)
    noise = rng.normal(0, 1, (4, 600, 3))
    noise[0] += 2 * np.eye(3)[targets]
    noise[1] += 2 * np.eye(3)[(targets + 1) % 3]
    pool = pool_of(noise, targets)
    half = np.arange(600) < 300
    chosen = choose(pool.rows(half), Rule(method="stacking", size=4))
    unseen = pool.rows(~half)
    accuracy = score(chosen.apply(unseen.by_name()), unseen.targets, "accuracy")
    single = max(score(each, unseen.targets, "accuracy") for each in unseen.logits)
    assert accuracy > single + 0.05
    assert min(chosen.weights["run00"], chosen.weights["run01"]) > 2 * max(chosen.weights["run02"], chosen.weights["run03"])


def equal_members(seed: int, *, runs: int = 20, rows: int = 100, accuracy: float = 0.7) -> Pool:
    """Runs that are right independently of each other with one probability, and equally sure of everything."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, rows)
    right = rng.random((runs, rows)) < accuracy
    said = np.where(right, targets, 1 - targets)
    return pool_of(np.eye(2)[said] + rng.normal(0, 1e-3, (runs, rows, 2)), targets)


def test_the_nested_estimate_is_unbiased_where_picking_flatters() -> None:
    flattering, honest = [], []
    for seed in range(200):
        pool = equal_members(seed)
        rule = Rule(size=1)
        chosen = choose(pool, rule)
        flattering.append(figure(pool, dict(chosen.weights), "logits", "accuracy"))
        honest.append(score(nested(pool, rule), pool.targets, "accuracy"))
    error = np.sqrt(0.7 * 0.3 / 100 / 200)
    assert abs(np.mean(honest) - 0.7) < 3 * error
    assert np.mean(flattering) > 0.7 + 10 * error


@pytest.mark.parametrize(("method", "draws"), [("greedy", 20), ("stacking", 8)])
def test_the_nested_estimate_is_the_accuracy_on_new_rows(method: str, draws: int) -> None:
    """Of runs that are all equally good."""
    honest, true, flattering = [], [], []
    for seed in range(draws):
        pool = noisy(6, 1100, seed=seed)
        known = np.arange(1100) < 100
        seen, unseen = pool.rows(known), pool.rows(~known)
        rule = Rule(method=method, size=3)
        honest.append(score(nested(seen, rule), seen.targets, "accuracy"))
        chosen = choose(seen, rule)
        flattering.append(score(chosen.apply(seen.by_name()), seen.targets, "accuracy"))
        true.append(score(chosen.apply(unseen.by_name()), unseen.targets, "accuracy"))
    error = np.sqrt(np.mean(true) * (1 - np.mean(true)) / 100 / draws)
    assert abs(np.mean(honest) - np.mean(true)) < 3 * error
    assert np.mean(flattering) > np.mean(true) + 2 * error


ERRORS = [
    ({"by": "f1"}, "unknown ranking figure 'f1'; expected accuracy, macro_f1, loss, .* or spearman"),
    ({"method": "gredy"}, r"method 'gredy' \(did you mean 'greedy'\?\); expected top, .*, cascade or soup"),
    ({"combine": "votes"}, "unknown combination 'votes'; expected logits or probabilities"),
    (
        {"method": "stacking", "combine": "probabilities"},
        "combine probabilities: method stacking averages no outputs; leave it out",
    ),
    ({"size": 0}, "an ensemble of 0 was asked for; expected at least 1"),
    ({"size": 9}, "an ensemble of 9 was asked for, but there are 3 finished runs"),
    ({"budget": 99}, "no run is within the ensemble's budget of 99 trainable parameters; the smallest has 100"),
    ({"budget": 99, "method": "greedy"}, "no run is within"),
]


@pytest.mark.parametrize(("rule", "message"), ERRORS)
def test_what_cannot_be_chosen_is_said(rule: dict[str, object], message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        choose(noisy(3, 20), Rule(**rule))  # type: ignore[arg-type]


def test_too_few_rows_are_said() -> None:
    pool = noisy(3, 30)
    rare = pool_of(pool.logits, np.where(np.arange(30) < 3, 2, np.arange(30) % 2))
    with pytest.raises(EnsembleError, match="label 'c' has 3 validation rows; method stacking needs at least 4 of each label"):
        nested(rare, Rule(method="stacking", size=2))
    with pytest.raises(EnsembleError, match="label 'c' has 0 validation rows"):
        choose(pool_of(pool.logits, np.arange(30) % 2), Rule(method="stacking", size=2))
    with pytest.raises(EnsembleError, match="cannot be estimated with one validation row"):
        nested(noisy(3, 1), Rule(size=2))
