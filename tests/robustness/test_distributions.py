"""The two-sample test, copies, words, and accuracy without labels, against references and known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import binom, chisquare
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from striata.data.copies import conflicting, find_copies, words
from striata.robustness.accuracy_estimate import (
    by_mean_confidence,
    certainty,
    check_estimate,
    confidence,
    estimate_accuracy,
    fit_threshold,
)
from striata.robustness.twosample import _fit_and_apply, _wins, two_sample
from striata.robustness.wording import compare_wording


def test_p_values_are_uniform_where_nothing_shifted() -> None:
    found = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        values = rng.standard_normal((130, 8)) * rng.uniform(0.1, 5, 8) + rng.standard_t(3, (130, 1))
        found.append(two_sample(values[:50], values[50:], permutations=99, seed=seed).p_value)
    p = np.array(found)
    assert (p <= 0.05).sum() <= binom.ppf(0.999, 400, 0.05)
    assert chisquare(np.histogram(p, bins=np.linspace(0.005, 1.005, 11))[0]).pvalue > 1e-3


def test_a_planted_shift_is_found_and_bounded() -> None:
    missed = above = 0
    for seed in range(40):
        rng = np.random.default_rng(1000 + seed)
        first, second = rng.standard_normal((300, 20)), rng.standard_normal((300, 20))
        second[:, 0] += 0.6
        missed += two_sample(first, second, permutations=99, seed=seed).p_value > 0.05
        second = rng.standard_normal((300, 20))
        second[:120, :5] += 6  # a share of 0.4 is foreign
        bound = two_sample(first, second, permutations=19, seed=seed).foreign
        above += bound > 0.4
        assert bound > 0.1
    assert missed <= 1
    assert above <= binom.ppf(0.999, 40, 0.05)


def test_the_pieces_are_what_scikit_learn_says() -> None:
    rng = np.random.default_rng(3)
    x, new, members = rng.standard_normal((60, 7)), rng.standard_normal((25, 7)), (rng.random((60, 3)) < 0.4).astype(float)
    found = _fit_and_apply(x, members, new)
    np.testing.assert_allclose(found, Ridge(alpha=0.1 * 60).fit(x, members).predict(new), atol=1e-10)
    truth = (rng.random((25, 3)) < 0.5).astype(float)
    wins, pairs = _wins(np.round(found, 1), truth)  # rounded, so that there are ties
    for at in range(3):
        assert wins[at] / pairs[at] == pytest.approx(roc_auc_score(truth[:, at], np.round(found[:, at], 1)))


def test_more_permutations_change_neither_the_statistic_nor_the_first_of_them() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((70, 6)), rng.standard_normal((45, 6)) + 0.12
    second[:20] = first[:20]  # ties, which another order of summation would break
    counts = (19, 60, 199, 250)
    found = {count: two_sample(first, second, permutations=count, seed=7) for count in counts}
    draws = np.random.default_rng(7)  # the reference: folds, then one permutation after another
    fold = draws.permutation(np.arange(115) % 5)
    member = np.repeat([0.0, 1.0], [70, 45])
    members = np.column_stack([member, *(draws.permutation(member) for _ in range(max(counts)))])
    x = np.concatenate([first, second])
    x = (x - x.mean(0)) / x.std(0)
    wins, pairs = np.zeros(members.shape[1]), np.zeros(members.shape[1])
    for at in range(5):
        train, inside = fold != at, fold == at
        scores = np.round(Ridge(alpha=0.1 * train.sum()).fit(x[train], members[train]).predict(x[inside]), 10)
        for column in range(members.shape[1]):
            truth = members[inside, column]
            met = truth.sum() * (1 - truth).sum()
            wins[column] += met * roc_auc_score(truth, scores[:, column])
            pairs[column] += met
    auc = wins / pairs
    for count, test in found.items():
        assert test.auc == found[19].auc
        assert test.foreign == found[19].foreign
        np.testing.assert_array_equal(test.scores, found[19].scores)
        assert test.p_value == pytest.approx((1 + (auc[1 : count + 1] >= auc[0] - 1e-9).sum()) / (1 + count))
    assert found[19].auc == pytest.approx(auc[0])


def jaccard(one: str, two: str) -> float:
    a, b = words(one), words(two)
    first, second = ({tuple(each[i : i + 3]) for i in range(max(1, len(each) - 2))} for each in (a, b))
    return len(first & second) / len(first | second)


def edited(text: str, rng: np.random.Generator, edits: int) -> str:
    found = text.split()
    for _ in range(edits):
        found[int(rng.integers(len(found)))] = f"new{rng.integers(10**6)}"
    return " ".join(found)


def test_copies_are_those_that_brute_force_finds() -> None:
    rng = np.random.default_rng(0)
    others = [" ".join(f"w{i}" for i in rng.integers(0, 3000, int(rng.integers(4, 60)))) for _ in range(300)]
    texts = [edited(others[int(rng.integers(300))], rng, int(rng.integers(0, 6))).upper() for _ in range(300)]
    found = {copy.row: copy for copy in find_copies(texts, others)}
    for row, text in enumerate(texts):
        best = max(jaccard(text, other) for other in others)
        assert (row in found) == (best >= 0.7), (row, best)
        if row in found:
            assert found[row].similarity == pytest.approx(best)
            assert found[row].exact == (text.casefold() == others[found[row].other])
    assert 100 < len(found) < 300


def test_short_texts_and_many_equal_ones() -> None:
    assert [(c.row, c.exact) for c in find_copies(["Hello  World", "!", "?"], ["hello world", "?"])] == [(0, True), (2, True)]
    assert find_copies(["a b c d"], ["e f g h"]) == []
    assert len(find_copies(["same old text here"] * 500, ["Same old text here!"] * 500)) == 500
    pairs = conflicting(["same old text"] * 400 + ["other words here"], ["a"] * 399 + ["b", "a"])
    assert [(pair.row, pair.other, pair.exact) for pair in pairs] == [(0, 399, True)]
    text = " ".join(f"w{i}" for i in range(30))
    found = conflicting([text, text + " more", text + " and more", "x y z"], ["a", "b", "a", "b"])
    assert [(pair.row, pair.other, pair.exact) for pair in found] == [(0, 1, False), (1, 2, False)]


def test_words_are_compared_beside_chance() -> None:
    rng = np.random.default_rng(0)

    def texts(count: int, first: int) -> list[str]:
        return [" ".join(f"w{i}" for i in first + rng.integers(0, 200, 20)) for _ in range(count)]

    known = texts(400, 0)
    lengths = np.full(400, 20), np.full(200, 20)
    same = compare_wording(known, texts(200, 0), lengths, seed=0)
    assert same.divergence_other == pytest.approx(same.divergence_known, rel=0.5)  # about chi-square with 199 degrees, twice
    assert same.length_p_value == 1.0
    other = compare_wording(known, texts(200, 150), (lengths[0], lengths[1] + 30), seed=0)
    assert other.unseen_other == pytest.approx(0.75, abs=0.03)
    assert other.unseen_known < 0.01
    assert other.divergence_other > 0.5 > 10 * other.divergence_known
    assert other.length_p_value < 1e-6
    assert (other.tokens_known, other.tokens_other) == (20, 50)
    assert all(int(word[1:]) >= 150 for word in other.words)
    one = compare_wording(["a a b b"] * 2, ["a b b b"], (np.array([4, 4]), np.array([4])), seed=0)
    assert one.divergence_other == pytest.approx(jensenshannon([0.5, 0.5], [0.25, 0.75], base=2) ** 2)
    assert one.words == ("b",)


def drawn(rng: np.random.Generator, rows: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a calibrated model, and whether it is right."""
    logits = rng.standard_normal((rows, 4)) * sharpness
    truth = (softmax(logits, axis=1).cumsum(1) > rng.random((rows, 1))).argmax(1)
    return logits, logits.argmax(1) == truth


def test_thresholds_leave_out_as_many_rows_as_are_wrong() -> None:
    logits, right = drawn(np.random.default_rng(0), 500, 3)
    certain = certainty(logits)
    p = softmax(logits, axis=1)
    np.testing.assert_allclose(certain, (p * np.log(p)).sum(1), atol=1e-12)
    assert (certain >= fit_threshold(certain, right)).sum() == right.sum()
    assert fit_threshold(certain, np.zeros(500, bool)) == np.inf
    assert certainty(np.array([[1000.0, -1000.0]])).tolist() == [0.0]


def test_accuracy_is_estimated_where_texts_get_harder() -> None:
    rng = np.random.default_rng(1)

    def judged(rows: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
        """A model that is wrong where it is unsure, but for one row in twenty."""
        certain = certainty(rng.standard_normal((rows, 4)) * sharpness)
        return certain, (certain > -0.4) ^ (rng.random(rows) < 0.05)

    (certain, right), (harder, truth) = judged(4000, 5), judged(4000, 3)
    found = estimate_accuracy(certain, right, harder, seed=0)
    assert right.mean() - truth.mean() > 0.1  # or there would be nothing to estimate
    assert abs(found.value - truth.mean()) < 0.05
    assert abs(check_estimate(certain, right, seed=0) - right.mean()) < 0.03


def test_mean_confidence_is_right_for_a_calibrated_model_where_the_threshold_is_not() -> None:
    rng = np.random.default_rng(1)
    (logits, right), (harder, truth) = drawn(rng, 4000, 5), drawn(rng, 4000, 3)
    assert right.mean() - truth.mean() > 0.05
    assert abs(by_mean_confidence(confidence(logits), right, confidence(harder)) - truth.mean()) < 0.03
    assert estimate_accuracy(certainty(logits), right, certainty(harder), seed=0).high < truth.mean()  # a limit, as documented
    np.testing.assert_allclose(confidence(logits), softmax(logits, axis=1).max(1))


def test_the_interval_holds_the_accuracy_where_nothing_shifted() -> None:
    rng = np.random.default_rng(2)
    expected = drawn(rng, 200_000, 3)[1].mean()
    covered = 0
    for seed in range(200):
        logits, right = drawn(rng, 300, 3)
        found = estimate_accuracy(certainty(logits), right, certainty(drawn(rng, 300, 3)[0]), seed=seed, draws=150)
        covered += found.low <= expected <= found.high
    assert covered >= binom.ppf(1e-3, 200, 0.93)
