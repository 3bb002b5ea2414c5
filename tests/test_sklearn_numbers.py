"""The regressor, held to scikit-learn's own checks and used in its own tools."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

import striata
from striata.baselines import wordfit
from striata.errors import EstimatorError
from striata.sklearn import StriataRegressor

ADDED = np.random.default_rng(0).normal(0, 2, 12)  # what each word adds to a text's number


@pytest.fixture(autouse=True)
def _few_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """One strength instead of seven, which is most of a fit's time."""
    monkeypatch.setattr(wordfit, "RIDGES", (10.0,))


def words(**changes: Any) -> StriataRegressor:
    """The cheapest estimator that learns."""
    return StriataRegressor(**{"base": "none", "kinds": ("lexical",), **changes})


def rows(count: int = 60, *, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts whose words add up to their number."""
    drawn = np.random.default_rng(seed).integers(0, len(ADDED), (count, 5))
    return [" ".join(f"word{word}" for word in row) for row in drawn], 100 + ADDED[drawn].sum(1)


@pytest.fixture(scope="module")
def fitted() -> StriataRegressor:
    return words().fit(*rows())


def test_the_common_checks_of_regressors_pass() -> None:
    """Those that a classifier's do not cover; all of the common ones pass but for weights, as there."""
    own = [(estimator, check) for estimator, check in estimator_checks_generator(words(columns="join")) if _is_own(check)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for estimator, check in own:
            check(clone(estimator))
    assert len(own) > 6


def _is_own(check: Any) -> bool:
    name = check.func.__name__
    return "regressor" in name or name in ("check_supervised_y_no_nan", "check_requires_y_none", "check_fit2d_1sample")


def test_numbers_are_the_models_and_the_score_is_r2(fitted: StriataRegressor, tmp_path: Path) -> None:
    texts, numbers = rows()
    estimator = words(output=tmp_path / "out").fit(pd.Series(texts), numbers)
    assert estimator.result_ == tmp_path / "out"
    unseen, truth = rows(30, seed=1)
    expected = striata.load(tmp_path / "out").predict(unseen)
    np.testing.assert_allclose(estimator.predict(unseen), np.array(expected, np.float64), rtol=1e-6)
    np.testing.assert_array_equal(fitted.predict(unseen), estimator.predict(unseen))
    assert estimator.predict(unseen).dtype == np.float64
    assert estimator.score(unseen, truth) == pytest.approx(r2_score(truth, estimator.predict(unseen)))
    assert estimator.score(unseen, truth) > 0.8
    weights = np.arange(30.0)
    assert estimator.score(unseen, truth, weights) == pytest.approx(
        r2_score(truth, estimator.predict(unseen), sample_weight=weights)
    )
    ends = estimator.predict_intervals(unseen, 0.8)
    np.testing.assert_allclose(ends.mean(1), estimator.predict(unseen))
    with pytest.raises(EstimatorError, match=r"intervals with coverage 0\.99 need at least 99 validation rows"):
        estimator.predict_intervals(unseen, 0.99)


def test_it_works_in_searches_pipelines_and_votes(fitted: StriataRegressor) -> None:
    texts, numbers = rows(40)
    search = GridSearchCV(words(), {"validation": [0.2, 0.3]}, cv=2).fit(texts, numbers)
    assert search.score(texts, numbers) > 0.7
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    piped = Pipeline([("lower", lower), ("model", words())]).fit([text.upper() for text in texts], numbers)
    assert piped.score(texts, numbers) > 0.7
    assert cross_val_score(words(), texts, numbers, cv=2).shape == (2,)
    votes = VotingRegressor([("striata", words()), ("peer", make_pipeline(TfidfVectorizer(), Ridge()))]).fit(texts, numbers)
    mean = (votes.estimators_[0].predict(texts) + votes.estimators_[1].predict(texts)) / 2
    np.testing.assert_allclose(votes.predict(texts), mean)
    assert clone(fitted).get_params() == fitted.get_params()
    opened = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(opened.predict(texts), fitted.predict(texts))


def test_weights_are_relative_and_rows_of_weight_0_are_not_there() -> None:
    texts, numbers = rows(90)
    numbers = numbers + np.repeat([0.0, 50.0, 5.0], 30)
    weights = np.repeat([1.0, 0.0, 4.0], 30)
    inside = np.flatnonzero(weights)
    weighted = words().fit(texts, numbers, sample_weight=weights)
    fewer = words().fit([texts[at] for at in inside], numbers[inside], sample_weight=2 * weights[inside])
    plain = words().fit([texts[at] for at in inside], numbers[inside])
    unseen = rows(20, seed=1)[0]
    np.testing.assert_allclose(weighted.predict(unseen), fewer.predict(unseen), rtol=1e-5)
    assert np.abs(weighted.predict(unseen) - plain.predict(unseen)).max() > 0.1


def test_what_is_wrong_is_said_in_one_line_and_is_a_value_error() -> None:
    texts, numbers = rows(12)
    wrong: list[tuple[dict[str, Any], Any, Any, str]] = [
        ({"minutes": 0}, texts, numbers, "minutes 0: expected a number above 0"),
        ({}, texts, [3.0] * 12, "y has one number, 3; a regressor needs two or more"),
        ({}, texts, ["a"] * 12, "could not convert string to float"),
        ({}, texts, [np.nan, *numbers[1:]], "Input y contains NaN"),
        ({}, texts, numbers[:5], "inconsistent numbers of samples"),
    ]
    for changes, given, targets, message in wrong:
        with pytest.raises(ValueError, match=re.escape(message)):
            words(**changes).fit(given, targets)
