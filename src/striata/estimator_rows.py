"""What scikit-learn's callers hand over, read: texts, weights, cells of a table."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array

from .data import texts_alone
from .errors import EstimatorError, StriataError


def read_column(X: Any) -> list[str]:
    """One column of texts, from whatever holds it.

    Raises:
        EstimatorError: it is something else.
    """
    if getattr(X, "ndim", 1) == 2 and X.shape[1] == 1:
        X = X.iloc[:, 0] if hasattr(X, "iloc") else X[:, 0]
    if isinstance(X, str):
        raise EstimatorError("X is one string; expected a list of texts")
    try:
        texts = None if getattr(X, "ndim", 1) > 1 else texts_alone(X)
    except StriataError as error:
        raise EstimatorError(str(error)) from error
    if texts is None:
        raise EstimatorError("X has several columns; expected one column of texts, or columns='join' or columns='pair'")
    if not texts:
        raise EstimatorError("X has 0 rows; expected texts")
    for at, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            what = "is empty" if isinstance(text, str) else f"is a {type(text).__name__}"
            raise EstimatorError(f"X: row {at} (counted from 0) {what}; expected a text", row=at)
    return [str(text) for text in texts]


def read_weights(sample_weight: Any, rows: int) -> npt.NDArray[np.float64]:
    """Weights of rows, (rows,), not all 0.

    Raises:
        EstimatorError: they are something else.
    """
    if isinstance(sample_weight, Real):
        sample_weight = np.full(rows, sample_weight)
    weights: npt.NDArray[np.float64] = check_array(
        sample_weight, ensure_2d=False, allow_nd=True, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (rows,):
        raise EstimatorError(f"sample_weight has shape {weights.shape}; expected ({rows},), one weight for each row")
    if (weights < 0).any():
        raise EstimatorError(f"sample_weight of row {int((weights < 0).argmax())} is negative; expected numbers from 0 on")
    if not weights.any():
        raise EstimatorError("sample_weight is zero for every row; expected a weight above 0 for some")
    return weights


def read_cell(value: Any, row: int, name: str) -> str:
    """A value as a part of a text.

    Raises:
        EstimatorError: it is neither a string nor a number.
    """
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    if value is None or not isinstance(value, str | int | np.integer | np.bool_):
        what = "is missing" if value is None else f"is a {type(value).__name__}"
        raise EstimatorError(f"X: row {row} (counted from 0) of column {name} {what}; expected a string or a number", row=row)
    return str(value)
