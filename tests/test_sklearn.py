"""The scikit-learn estimator, held to scikit-learn's own checks and used in its own tools."""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import striata
from striata.baselines import wordfit
from striata.errors import EstimatorError
from striata.sklearn import StriataClassifier

from .study.small import make_base

FAILURES = {  # checks of scikit-learn's that are known to fail, with the reason
    "check_sample_weight_equivalence_on_dense_data": "some of the repeated rows are held out to choose by",
}
SKIPPED = {"check_array_api_input": "for estimators that compute with arrays of other libraries"}


@pytest.fixture(autouse=True)
def _few_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """One strength instead of four, which is most of a fit's time."""
    monkeypatch.setattr(wordfit, "STRENGTHS", (1.0,))


def words(**changes: Any) -> StriataClassifier:
    """The cheapest estimator that learns."""
    return StriataClassifier(**{"base": "none", "kinds": ("lexical",), **changes})


def rows(count: int = 60, *, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts of three labels that show in their words."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return [" ".join(f"w{label}{word} u{other}" for word, other in rng.integers(0, 6, (4, 2))) for label in labels], labels


@pytest.fixture(scope="module")
def fitted() -> StriataClassifier:
    texts, labels = rows()
    return words().fit(texts, np.array(["cold", "mild", "warm"])[labels])


def test_all_common_checks_pass_but_those_that_are_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(words(columns="join"), expected_failed_checks=FAILURES, on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(FAILURES)
    assert {result["check_name"] for result in results if result["status"] == "skipped"} <= set(SKIPPED)
    assert len({result["check_name"] for result in results if result["status"] == "passed"}) > 40
    tags = StriataClassifier().__sklearn_tags__().input_tags
    assert (tags.string, tags.one_d_array, tags.two_d_array) == (
        True,
        True,
        False,
    )  # so that it alone would check next to nothing


def test_probabilities_are_the_models_in_the_order_of_the_classes(fitted: StriataClassifier, tmp_path: Path) -> None:
    texts, labels = rows()
    names = np.array(["warm", "cold", "mild"])[labels]
    estimator = words(output=tmp_path / "out").fit(texts, names)
    assert estimator.result_ == tmp_path / "out"
    model = striata.load(tmp_path / "out")
    unseen = rows(20, seed=1)[0]
    order = [model.labels.index(name) for name in estimator.classes_]
    assert estimator.classes_.tolist() == ["cold", "mild", "warm"]
    probabilities = estimator.predict_proba(unseen)
    np.testing.assert_allclose(probabilities, model.predict_proba(unseen)[:, order], atol=1e-6)
    np.testing.assert_allclose(estimator.decision_function(unseen), np.log(probabilities), atol=1e-9)
    assert estimator.predict(unseen).tolist() == model.predict(unseen)
    assert estimator.score(texts, names) == np.mean(estimator.predict(texts) == names) > 0.9
    weights = np.arange(60.0)
    assert estimator.score(texts, names, weights) == np.average(estimator.predict(texts) == names, weights=weights)


def test_one_column_is_read_from_whatever_holds_it(fitted: StriataClassifier) -> None:
    texts, _ = rows(6, seed=1)
    expected = fitted.predict_proba(texts)
    frame = pd.DataFrame({"text": texts})
    for held in (tuple(texts), np.array(texts), np.array(texts, object), frame["text"], frame, frame.to_numpy()):
        np.testing.assert_array_equal(fitted.predict_proba(held), expected)


def test_columns_are_joined_or_paired_by_their_names() -> None:
    texts, labels = rows()
    frame = pd.DataFrame({"title": ["same"] * 60, "body": texts, "year": np.arange(60)})
    joined = words(columns="join").fit(frame, labels)
    plain = words().fit([f"title: same\nbody: {text}\nyear: {at}" for at, text in enumerate(texts)], labels)
    np.testing.assert_array_equal(
        joined.predict_proba(frame[:5]), plain.predict_proba([f"title: same\nbody: {texts[at]}\nyear: {at}" for at in range(5)])
    )
    assert joined.feature_names_in_.tolist() == ["title", "body", "year"]
    with pytest.raises(ValueError, match="feature names"):
        joined.predict(frame[["body", "title", "year"]])
    pair = words(columns="pair").fit(frame[["title", "body"]], labels)
    assert pair.score(frame[["title", "body"]], labels) > 0.9
    with pytest.raises(EstimatorError, match="X has 3 columns; columns='pair' expects two"):
        words(columns="pair").fit(frame, labels)
    with pytest.raises(ValueError, match="contains NaN"):
        joined.predict(frame[:2].assign(body=["a", None]))
    with pytest.raises(EstimatorError, match=r"row 1 .* of column x0 is missing"):
        words(columns="join").fit([["a", 1], [None, 2]], [0, 1])


def test_it_works_in_searches_pipelines_votes_and_calibration() -> None:
    texts, labels = rows(30)
    search = GridSearchCV(words(), {"validation": [0.2, 0.3], "random_state": [3]}, cv=2).fit(texts, labels)
    assert search.best_estimator_.random_state == 3
    assert search.score(texts, labels) > 0.9
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    piped = Pipeline([("lower", lower), ("model", words())]).fit([text.upper() for text in texts], labels)
    assert piped.score(texts, labels) > 0.9
    assert cross_val_score(words(), texts, labels, cv=2).mean() > 0.9
    assert cross_val_predict(words(), texts, labels, cv=2, method="predict_proba").shape == (30, 3)
    calibrated = CalibratedClassifierCV(words(), cv=2).fit(texts, labels)
    assert calibrated.score(texts, labels) > 0.9
    other = make_pipeline(TfidfVectorizer(), LogisticRegression())
    votes = VotingClassifier([("striata", words()), ("peer", other)], voting="soft").fit(texts, labels)
    mean = (votes.estimators_[0].predict_proba(texts) + votes.estimators_[1].predict_proba(texts)) / 2
    np.testing.assert_allclose(votes.predict_proba(texts), mean)
    frame = pd.DataFrame({"text": texts, "noise": 0})
    chosen = make_pipeline(ColumnTransformer([("text", "passthrough", ["text"])]), words()).fit(frame, labels)
    assert chosen.score(frame, labels) > 0.9


def test_weights_are_routed_to_fit_and_score() -> None:
    texts, labels = rows()
    weights = np.where(np.arange(60) < 30, 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = words().set_score_request(sample_weight=True).set_fit_request(sample_weight=True)
        scores = cross_validate(
            routed, texts, labels, cv=2, params={"sample_weight": weights}, return_estimator=True, return_indices=True
        )
        for score, estimator, places in zip(scores["test_score"], scores["estimator"], scores["indices"]["test"], strict=True):
            held = [texts[at] for at in places]
            assert score == estimator.score(held, labels[places], sample_weight=weights[places])
    VotingClassifier([("striata", words())]).fit(texts, labels, sample_weight=weights)


def test_weights_are_relative_and_rows_of_weight_0_are_not_there() -> None:
    texts, labels = rows(90)
    weights = np.repeat([1.0, 0.0, 4.0], 30)
    inside = weights > 0
    weighted = words().fit(texts, labels, sample_weight=weights)
    fewer = words().fit([texts[at] for at in np.flatnonzero(inside)], labels[inside], sample_weight=2 * weights[inside])
    plain = words().fit([texts[at] for at in np.flatnonzero(inside)], labels[inside])
    unseen = rows(20, seed=1)[0]
    np.testing.assert_allclose(weighted.predict_proba(unseen), fewer.predict_proba(unseen), rtol=1e-6)
    assert np.abs(weighted.predict_proba(unseen) - plain.predict_proba(unseen)).max() > 1e-4
    for wrong, message in [
        (np.zeros(90), "zero for every row"),
        (weights - 1, "row 30 is negative"),
        (weights[:5], r"expected \(90,\)"),
    ]:
        with pytest.raises(EstimatorError, match=message):
            words().fit(texts, labels, sample_weight=wrong)


def test_a_pickle_is_small_and_names_no_code_but_the_estimator(fitted: StriataClassifier) -> None:
    data = pickle.dumps(fitted)
    opened = pickle.loads(data)
    texts, _ = rows(10, seed=2)
    np.testing.assert_array_equal(opened.predict_proba(texts), fitted.predict_proba(texts))
    assert len(data) < 50_000
    names = []

    class Noting(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            names.append(f"{module}.{name}")
            return super().find_class(module, name)

    Noting(io.BytesIO(data)).load()
    assert [name for name in names if not name.startswith("numpy.")] == ["striata.sklearn.StriataClassifier"]


def test_a_damaged_pickle_is_refused(fitted: StriataClassifier) -> None:
    opened = pickle.loads(pickle.dumps(fitted))
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(opened._archive)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if name.endswith("run.json") else b""))
    opened._archive = changed.getvalue()
    with pytest.raises(striata.StriataError, match=r"run\.json"):
        opened.predict(["a text"])


def test_layouts_on_an_encoder_are_trained_and_the_encoder_may_move(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    texts = [" ".join(f"w{word}" for word in rng.integers(20 * label, 20 * label + 4, 6)) for label in labels]
    recipe = {"learning_rate": 0.03, "batch_size": 8, "max_steps": 20, "evaluate_every": 10, "precision": "fp32"}
    layouts = ["0-2 r2 query", striata.Layout.parse("0-2 r2 value")]
    estimator = StriataClassifier(base=str(base), layouts=layouts, recipe=recipe, max_length=32, output=tmp_path / "out").fit(
        texts, labels
    )
    expected = striata.load(tmp_path / "out").predict_proba(texts)
    assert "ensemble" in repr(estimator._model())
    np.testing.assert_allclose(estimator.predict_proba(texts), expected, atol=1e-6)
    assert estimator.decision_function(texts).shape == (60,)
    data = pickle.dumps(estimator)
    inside = zipfile.ZipFile(io.BytesIO(estimator._archive)).namelist()
    assert not [name for name in inside if "/encoders/" in name and name.endswith(".safetensors")]
    base.rename(tmp_path / "elsewhere")
    opened = pickle.loads(data)
    with pytest.raises(striata.errors.EncoderError, match="roberta does not exist"):
        opened.predict(texts)
    np.testing.assert_array_equal(
        opened.set_params(base=str(tmp_path / "elsewhere")).predict_proba(texts), estimator.predict_proba(texts)
    )


def test_without_kinds_and_layouts_a_fit_decides(tmp_path: Path) -> None:
    texts, labels = rows()
    estimator = StriataClassifier(base="none", minutes=1, output=tmp_path / "out").fit(texts, labels)
    assert (tmp_path / "out" / "study.yaml").is_file()
    assert estimator.score(texts, labels) > 0.9
    assert clone(estimator).get_params() == estimator.get_params()


def test_what_is_wrong_is_said_in_one_line_and_is_a_value_error() -> None:
    texts, labels = rows(12)
    wrong: list[tuple[dict[str, Any], Any, Any, str]] = [
        ({"columns": "both"}, texts, labels, "columns 'both' is unknown; expected None, 'join' or 'pair'"),
        ({"minutes": 0}, texts, labels, "minutes 0: expected a number above 0"),
        ({"base": 5}, texts, labels, "base 5: expected a folder"),
        ({"recipe": {"max_steps": 5}}, texts, labels, "recipe is for layouts, and there are none"),
        ({"kinds": ("lexicon",)}, texts, labels, "lexicon"),
        ({"layouts": "s8"}, texts, labels, "encoder"),
        ({}, "one text", labels, "X is one string"),
        ({}, [*texts[:3], "", *texts[4:]], labels, "X: row 3 (counted from 0) is empty"),
        ({}, [*texts[:3], 5, *texts[4:]], labels, "X: row 3 (counted from 0) is a int"),
        ({}, pd.DataFrame({"a": texts, "b": texts}), labels, "X has several columns"),
        ({}, [], [], "X has 0 rows"),
        ({}, texts, ["only"] * 12, "y has one class, 'only'"),
        ({}, texts, np.linspace(0, 1, 12), "Unknown label type"),
        ({}, texts, labels[:5], "inconsistent numbers of samples"),
    ]
    for changes, given, targets, message in wrong:
        with pytest.raises(ValueError, match=re.escape(message)) as raised:
            words(**changes).fit(given, targets)
        if isinstance(raised.value, striata.StriataError):
            assert "\n" not in str(raised.value)
