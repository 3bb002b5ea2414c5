"""striata inside scikit-learn: estimators that fit, search, stack and pickle as scikit-learn's own do."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import compress
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from .api import fit, pack, train
from .automl.layouts import HEAD
from .automl.overview import default_base
from .errors import DataError, EstimatorError, LayoutError, StudyError
from .estimator_model import Opened
from .estimator_rows import read_cell, read_column, read_weights
from .layout import Layout
from .model import Model
from .runs.standings import find_model

COLUMNS = ("join", "pair")
_SEEDS = 2**31 - 1


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What the estimators have in common."""

    _task: ClassVar[str]

    def __init__(
        self,
        *,
        base: str | None = None,
        minutes: float = 5.0,
        budget: int | None = 1_000_000,
        kinds: Sequence[str] | None = None,
        layouts: str | Layout | Sequence[str | Layout] | None = None,
        recipe: Mapping[str, Any] | None = None,
        validation: float = 0.2,
        max_length: int = 256,
        columns: str | None = None,
        random_state: int | np.random.RandomState | None = 0,
        output: str | Path | None = None,
        device: str = "auto",
    ) -> None:
        self.base = base
        self.minutes = minutes
        self.budget = budget
        self.kinds = kinds
        self.layouts = layouts
        self.recipe = recipe
        self.validation = validation
        self.max_length = max_length
        self.columns = columns
        self.random_state = random_state
        self.output = output
        self.device = device

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        several = isinstance(self.columns, str)
        tags.input_tags.one_d_array = not several
        tags.input_tags.two_d_array = several
        tags.input_tags.string = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_archive")

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> npt.NDArray[Any]:
        """Trains on texts and what they have, which is returned as it was read, (rows,), without rows of weight 0."""
        self._check_parameters()
        texts, pairs, targets = self._read_rows(X, y)
        weights = None if sample_weight is None else read_weights(sample_weight, len(targets))
        if weights is not None:
            inside = weights > 0
            targets, weights, texts = targets[inside], weights[inside], list(compress(texts, inside))
            pairs = None if pairs is None else list(compress(pairs, inside))
        data: dict[str, Any] = {"text": texts, "label": self._values(targets)}
        data |= ({"text_pair": pairs} if pairs else {}) | ({} if weights is None else {"weight": weights.tolist()})
        with ExitStack() as stack:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="striata-", ignore_cleanup_errors=True)))
            folder = place / "fit" if self.output is None else Path(self.output)
            try:
                model = self._train(data, folder)
            except (DataError, LayoutError, StudyError) as error:
                raise EstimatorError(str(error)) from error
            archive = pack(model, place / "model.zip", encoder=False).read_bytes()
        self.result_, self._archive, self._opened = None if self.output is None else folder, archive, Opened()
        self._model()
        return targets

    def _values(self, targets: npt.NDArray[Any]) -> list[Any]:
        """What the rows have, as data has it."""
        raise NotImplementedError

    def _checked(self, targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What the rows have, if it is what the estimator learns."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_opened", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_archive" in state:
            self._opened = Opened()

    def _check_parameters(self) -> None:
        if self.columns is not None and self.columns not in COLUMNS:
            raise EstimatorError(f"{self.columns!r} is unknown; expected None, 'join' or 'pair'", argument="columns")
        if not isinstance(self.minutes, Real) or not 0 < self.minutes < np.inf:
            raise EstimatorError(f"{self.minutes!r}: expected a number above 0", argument="minutes")
        if self.base is not None and not isinstance(self.base, str):
            raise EstimatorError(f"{self.base!r}: expected a folder, a Hub name, 'none' or None", argument="base")
        if self.recipe is not None and not self.layouts:
            raise EstimatorError("is for layouts, and there are none; give layouts, or leave it out", argument="recipe")

    def _train(self, data: Mapping[str, list[Any]], folder: Path) -> Path:
        """Fits, and says where the model lies."""
        seed = self.random_state
        if not isinstance(seed, int):
            seed = int(check_random_state(seed).randint(_SEEDS))
        second, weight = (name if name in data else None for name in ("text_pair", "weight"))
        if self.kinds is None and self.layouts is None:
            fitted = fit(
                data, text="text", text_pair=second, label="label", weight=weight, base=self.base, minutes=float(self.minutes),
                budget=self.budget, output=folder, seed=seed, device=self.device, task=self._task,
            )  # fmt: skip
            return fitted.model
        layouts = [self.layouts] if isinstance(self.layouts, str | Layout) else list(self.layouts or ())
        study = {
            "task": self._task,
            "base": default_base() if self.base is None else self.base,
            "head": HEAD,
            "data": {
                "text": "text",
                "text_pair": second,
                "label": "label",
                "weight": weight,
                "validation": self.validation,
                "max_length": self.max_length,
                "seed": seed,
            },
            "budget": self.budget,
            "layouts": [layout.text if isinstance(layout, Layout) else layout for layout in layouts],
            "baselines": {"kinds": list(self.kinds or ()), "refit": True},
            "seeds": [seed],
            "recipe": dict(self.recipe or {}),
            "output": str(folder),
        }
        train(study, data=data, device=self.device)
        return find_model(folder)

    def _read_rows(self, X: Any, y: Any) -> tuple[list[str], list[str] | None, npt.NDArray[Any]]:
        """Texts, second texts and labels of what fit was given."""
        if self.columns is not None:
            table, labels = validate_data(self, X, y, dtype=None)
            texts, pairs = self._of_columns(table)
        else:
            if y is None:
                raise EstimatorError(f"{type(self).__name__} requires y to be passed, but the target y is None")
            texts, pairs = read_column(X), None
            labels = check_array(column_or_1d(y, warn=True), ensure_2d=False, dtype=None, input_name="y")
            check_consistent_length(texts, labels)
        return texts, pairs, self._checked(labels)

    def _of_columns(self, table: npt.NDArray[Any]) -> tuple[list[str], list[str] | None]:
        names = getattr(self, "feature_names_in_", [f"x{at}" for at in range(table.shape[1])])
        rows = [
            [read_cell(value, row, name) for name, value in zip(names, values, strict=True)] for row, values in enumerate(table)
        ]
        if self.columns == "join":
            return ["\n".join(f"{name}: {cell}" for name, cell in zip(names, row, strict=True)) for row in rows], None
        if table.shape[1] != 2:
            raise EstimatorError(f"X has {table.shape[1]} columns; columns='pair' expects two, the first and the second texts")
        return [first for first, _ in rows], [second for _, second in rows]

    def _logits(self, X: Any) -> npt.NDArray[np.float32]:
        """Combined logits, (rows, labels)."""
        check_is_fitted(self)
        if self.columns is None:
            texts, pairs = read_column(X), None
        else:
            texts, pairs = self._of_columns(validate_data(self, X, dtype=None, reset=False))
        try:
            return self._model().logits(texts, pairs)
        except DataError as error:
            raise EstimatorError(str(error), row=error.row) from error

    def _model(self) -> Model:
        return self._opened.open(self._archive, self.base, self.device)


class StriataClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A text classifier with scikit-learn's methods, fitted by :func:`striata.fit` or :func:`striata.train`.

    Where neither `kinds` nor `layouts` is given, :func:`striata.fit` decides what is trained in the time that `minutes` allows.
    Otherwise exactly these baselines and layouts are trained, and the model is the best run, or an ensemble of the best.

    Parameters are checked in :meth:`fit`.

    Args:
        base: encoder, a folder or a Hub name; "none" for none, None for MiniLM.
        minutes: time for everything; has no effect where `kinds` or `layouts` is given.
        budget: most trainable parameters of a member, head included; None for no limit.
        kinds: baselines to fit, of :data:`striata.choices.BASELINES`.
        layouts: one layout or several, by name, text form or :class:`striata.Layout`.
        recipe: how layouts are trained, as in a study file; None for its defaults.
        validation: rows, or a share of them, held out to choose and calibrate by, where `kinds` or `layouts` is given.
        max_length: most tokens of a text for the encoder, likewise.
        columns: None where X is one column of texts. "join": X has any number of columns, numbers too, and a text is all of a
            row's values, each after its column's name. "pair": X has two columns, the first and the second texts.
        random_state: of held-out rows, members and order; a whole number, a `numpy.random.RandomState`, or None for another at
            each call.
        output: folder in which everything that comes out stays, for one fit on the same rows; None for a temporary one.
        device: "cpu", "cuda" or "auto".

    Attributes:
        classes_: the labels, sorted, (labels,).
        n_features_in_: columns that were seen in fit; only where `columns` is given.
        feature_names_in_: their names, where X had names.
        result_: folder of the fit, where `output` is given; None without.

    Pickles hold the parameters and, as bytes, what :func:`striata.pack` writes without the encoder's weights, every byte of which
    is checked before it is used. Where the encoder lies elsewhere than it did, `set_params(base=FOLDER)` says so.
    """

    _task = "single-label"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fits on texts and their labels.

        Args:
            X: texts: a list, array or series of strings, or a table with one column; with `columns`, a table with several.
            y: labels, strings or whole numbers, (rows,).
            sample_weight: how much each row counts in training, (rows,), numbers from 0 on of which only the ratios matter; rows
                of weight 0 are left out. Rows that are held out to choose and calibrate by count alike there. None weighs all
                alike.

        Raises:
            EstimatorError: a parameter, a text or a label is wrong; also a ValueError.
            StriataError: the encoder cannot be used, or the output cannot be written.
        """
        targets = self._fit(X, y, sample_weight)
        self.classes_ = np.unique(targets)
        self._names = [str(label) for label in self.classes_]
        return self

    def _values(self, targets: npt.NDArray[Any]) -> list[Any]:
        names = [str(label) for label in targets]
        if len(set(names)) < 2:
            raise EstimatorError(f"y has one class, {names[0]!r}; a classifier needs two or more")
        return names

    def _checked(self, targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        check_classification_targets(targets)
        return targets

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most likely label of each text, (rows,); raises as :meth:`predict_proba`."""
        logs = self._log_probabilities(X)
        labels: npt.NDArray[Any] = self.classes_[self._model().task.decide(logs)]
        return labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Calibrated probabilities in the order of `classes_`, (rows, labels).

        Raises:
            NotFittedError: before :meth:`fit`.
            EstimatorError: a text is wrong, or the columns are not those of fit.
            EncoderError: the encoder is not where it was; see `base`.
        """
        probabilities: npt.NDArray[np.float64] = np.exp(self._log_probabilities(X))
        return probabilities

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Logarithms of the calibrated probabilities, (rows, labels); of two labels that of the second less the first's, (rows,).

        Raises as :meth:`predict_proba`.
        """
        logs = self._log_probabilities(X)
        scores: npt.NDArray[np.float64] = logs[:, 1] - logs[:, 0] if len(self.classes_) == 2 else logs
        return scores

    def _log_probabilities(self, X: Any) -> npt.NDArray[np.float64]:
        logits = self._logits(X)
        model = self._model()
        order = [model.labels.index(name) for name in self._names]
        return model.task.log_probabilities(logits[:, order] / model.calibration.temperature)


class StriataRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A regressor of texts with scikit-learn's methods, fitted by :func:`striata.fit` or :func:`striata.train`.

    Parameters, what is trained by them, and pickles are those of :class:`StriataClassifier`.

    Attributes:
        n_features_in_: columns that were seen in fit; only where `columns` is given.
        feature_names_in_: their names, where X had names.
        result_: folder of the fit, where `output` is given; None without.
    """

    _task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fits on texts and their numbers.

        Args:
            X: texts: a list, array or series of strings, or a table with one column; with `columns`, a table with several.
            y: numbers, (rows,), not all equal.
            sample_weight: how much each row counts in training, (rows,), numbers from 0 on of which only the ratios matter; rows
                of weight 0 are left out. Rows that are held out to choose by count alike there. None weighs all alike.

        Raises:
            EstimatorError: a parameter, a text or a number is wrong; also a ValueError.
            StriataError: the encoder cannot be used, or the output cannot be written.
        """
        self._fit(X, y, sample_weight)
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """The number of each text, (rows,).

        Raises:
            NotFittedError: before :meth:`fit`.
            EstimatorError: a text is wrong, or the columns are not those of fit.
            EncoderError: the encoder is not where it was; see `base`.
        """
        return self._logits(X)[:, 0].astype(np.float64)

    def predict_intervals(self, X: Any, coverage: float = 0.9) -> npt.NDArray[np.float64]:
        """Low and high ends, (rows, 2), of intervals that hold a text's number at a wanted rate; see
        :mod:`striata.calibration.intervals` for what that promises.

        Args:
            X: as in :meth:`predict`.
            coverage: share of texts whose interval holds their number.

        Raises:
            EstimatorError: as :meth:`predict`, or the coverage cannot be promised with as many held-out rows.
        """
        logits = self._logits(X)
        try:
            return self._model().intervals(logits, coverage)
        except DataError as error:
            raise EstimatorError(str(error)) from error

    def _values(self, targets: npt.NDArray[Any]) -> list[Any]:
        values: list[Any] = targets.tolist()
        return values

    def _checked(self, targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        numbers: npt.NDArray[np.float64] = check_array(targets, ensure_2d=False, dtype=np.float64, input_name="y")
        if len(numbers) == 1:
            raise EstimatorError("there is 1 sample; a regressor needs two or more")
        if (numbers == numbers[0]).all():
            raise EstimatorError(f"y has one number, {numbers[0]:g}; a regressor needs two or more")
        return numbers
