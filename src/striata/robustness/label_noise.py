"""Confident learning (Northcutt, Jiang and Chuang 2021) on out-of-sample probabilities, by cleanlab."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..data.equal import equal_texts
from ..figures.folds import deal_folds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_FOLDS = 5


def find_suspicious(labels: Ints, probabilities: Floats) -> tuple[Ints, Floats]:
    """The rows whose label is probably wrong.

    A row is suspicious when it is among the least likely of its label, as many as the confident joint says are wrong, and the
    model prefers another label.

    Args:
        labels: places of the labels given, (rows,).
        probabilities: of a model that did not see the row's label, (rows, labels).

    Returns:
        Places of the rows, most suspicious first, and for all rows the quality of the label: (1 + probability of the label -
        highest probability of another) / 2.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels with few rows, which the audit of the data shows already
        suspicious = find_label_issues(labels, probabilities, return_indices_ranked_by="normalized_margin", n_jobs=1)
        quality = get_label_quality_scores(labels, probabilities, method="normalized_margin", adjust_pred_probs=False)
    return np.asarray(suspicious, np.int64), np.asarray(quality, np.float64)


def cross_fitted(vectors: npt.NDArray[np.floating], labels: Ints, texts: Sequence[str], count: int, *, seed: int) -> Floats:
    """Probabilities of a logistic regression fitted on the other four fifths of the rows.

    Equal texts are always in one fifth: a row's twin would teach its label.

    Args:
        vectors: (rows, size).
        labels: places of the labels, (rows,).
        texts: of the rows.
        count: number of labels.
        seed: of the fifths.

    Returns:
        (rows, count); 0 for a label that the other rows do not have.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fold = deal_folds(labels, _FOLDS, seed, equal_texts(texts))
    result = np.zeros((len(labels), count))
    for at in np.unique(fold):
        inside = fold == at
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        model.fit(vectors[~inside], labels[~inside])
        result[np.ix_(inside, model.classes_)] = model.predict_proba(vectors[inside])
    return result
