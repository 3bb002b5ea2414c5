"""Texts explained, by any method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from ..choices import EXPLANATIONS
from ..errors import DataError, did_you_mean
from ..model import Model
from ..model.explanation import Explanation, NearRow
from ..tasks import likeliest
from .integration import integrate
from .nearest import near_rows
from .readers import differentiable, readers_of
from .removal import remove_each
from .stages import Stage, contrast, stages_of
from .words import Weights, Words


def explain_texts(
    model: Model,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    method: str = "auto",
    label: str | None = None,
    steps: int | None = None,
    rows: int = 5,
) -> list[Explanation]:
    """Why each text gets its label; see :meth:`striata.Model.explain`."""
    EXPLANATIONS.check(method, DataError)
    if label is not None and label not in model.labels:
        expected = f"expected one of {', '.join(model.labels)}"
        raise DataError(f"'{label}' is no label of the model{did_you_mean(label, model.labels)}; {expected}", argument="label")
    for name, value in (("steps", steps), ("rows", rows)):
        if value is not None and value < 1:
            raise DataError(f"{value}: expected at least 1", argument=name)
    if not texts:
        return []
    logits = model.logits(texts, pairs)
    probabilities, answers = model.probabilities(logits), model.named(logits)
    places = _explained_places(model, logits) if label is None else [model.labels.index(label)] * len(texts)
    stages = stages_of(model, texts, pairs)
    near = near_rows(model, texts, pairs, rows) if method == "neighbours" else [()] * len(texts)
    explained = []
    for at, stage in enumerate(stages):
        place, text, pair = places[at], texts[at], None if pairs is None else pairs[at]
        make = partial(
            Explanation, text=text, pair=pair, label=model.labels[place], predicted=answers[at],
            probability=float(probabilities[at, place]), several=not model.task.one_label,
        )  # fmt: skip
        if method == "neighbours":
            score = logits[at].astype(np.float64) / model.calibration.divisors @ contrast(place, len(model.labels), model.task)
            explained.append(_near(make, float(score), near[at]))
        elif method == "leave-one-out" or (method == "auto" and not differentiable(model, stage.names)):
            explained.append(_without_each(make, model, stage, place, Words(text, pair)))
        else:
            explained.append(_integrated(make, model, stage, place, Words(text, pair), steps))
    return explained


def _explained_places(model: Model, logits: npt.NDArray[np.float32]) -> list[int]:
    """The label that each text gets; of several the likeliest of those that it gets, or of all where it gets none."""
    decided = model.decide(logits)
    if not model.task.one_label:
        decided = likeliest(model.probabilities(logits) + decided)  # one that is given comes before all that are not
    places: list[int] = decided.tolist()
    return places


def _near(make: Callable[..., Explanation], score: float, rows: tuple[NearRow, ...]) -> Explanation:
    return make(method="neighbours", words=(), score=score, empty=None, error=None, steps=0, rows=rows)


def _without_each(make: Callable[..., Explanation], model: Model, stage: Stage, label: int, words: Words) -> Explanation:
    weights = Weights(words)
    weights.values, weights.read, score = remove_each(model, stage, label, words)
    return make(method="leave-one-out", words=weights.result(), score=score, empty=None, error=None, steps=0)


def _integrated(
    make: Callable[..., Explanation], model: Model, stage: Stage, label: int, words: Words, steps: int | None
) -> Explanation:
    one = integrate(readers_of(model, stage.names, words), stage, label, words, steps)
    return make(
        method="exact" if one.exact else "gradients", words=one.weights.result(), score=one.score, empty=one.empty,
        error=one.error, steps=0 if one.exact else one.steps,
    )  # fmt: skip
