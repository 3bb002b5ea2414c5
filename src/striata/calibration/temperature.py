"""Probabilities that mean what they say: temperature, reliability, and when not to answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..figures.folds import deal_folds
from ..tasks import SINGLE_LABEL, Task, likeliest
from .conformal import Floats, Places, SetFigures, check_share, fewest_rows, label_sets, set_figures, set_threshold

BINS = 15
COVERAGES = (0.9, 0.95, 0.99)
PRECISIONS = (0.9, 0.95, 0.98, 0.99)
CONFIDENCE = 0.9  # that a threshold's precision is as promised
_SHARES = 20  # thresholds that are tried: those that answer 5 %, 10 %, ... of the rows
LIMIT = float(np.log(20.0))  # of a temperature's logarithm


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A bar of the reliability diagram: the rows whose largest probability lies between two values.

    Args:
        lower: not included, but in the first.
        upper: included.
        rows: how many.
        confidence: their mean largest probability; None without rows.
        accuracy: share of them predicted right; None without rows.
    """

    lower: float
    upper: float
    rows: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How good probabilities are.

    Args:
        loss: mean cross entropy in nats.
        brier: mean over rows of the summed squared difference from the truth, from 0 to 2.
        ece: expected calibration error: mean distance between confidence and accuracy over the bins, weighted by their rows.
        bins: the reliability diagram, bins of equal width.
    """

    loss: float
    brier: float
    ece: float
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self) | {"bins": [asdict(bar) for bar in self.bins]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """From which probability on a model answers, so that its answers are right at a wanted rate.

    Args:
        precision: wanted share of right answers.
        threshold: smallest calibrated probability of an answer.
        answered: share of the validation rows that reach it.
    """

    precision: float
    threshold: float
    answered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the validation rows say about a model's probabilities.

    Args:
        temperature: logits are divided by it.
        rows: validation rows it was fitted on.
        before: of the logits as they are.
        after: with temperature, each row with one that was fitted without it, so that the figures do not flatter.
        answers: thresholds for usual precisions, those that can be promised.
        sets: label sets at usual coverages, those that can be promised.
        temperatures: where rows have several labels, by which each label's logits are divided (`temperature` is then 1).
        thresholds: likewise, calibrated probabilities from which on each label is given.
    """

    temperature: float
    rows: int
    before: Quality
    after: Quality
    answers: tuple[Answers, ...]
    sets: tuple[SetFigures, ...]
    temperatures: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()

    @property
    def divisors(self) -> npt.NDArray[np.float64]:
        """What logits are divided by: one number (), or one for each of several labels, (labels,)."""
        return np.asarray(self.temperatures or self.temperature, np.float64)

    def scaled(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits of which the task's probabilities are calibrated, (rows, labels)."""
        divisors: npt.NDArray[np.float32] = self.divisors.astype(np.float32)
        return logits / divisors

    def decide(self, logits: npt.NDArray[np.float32], task: Task) -> Places:
        """The answer to each row, by the labels' own thresholds where they have some, else by calibrated probabilities where they
        decide."""
        return self.decide_scaled(self.scaled(logits) if self.thresholds or task.ordered else logits, task)

    def decide_scaled(self, scaled: npt.NDArray[np.float32], task: Task) -> Places:
        """The answer to each row, as :meth:`decide` has it, of logits that are divided already."""
        if not self.thresholds:
            return task.decide(scaled)
        decided: Places = (task.probabilities(scaled) >= np.asarray(self.thresholds)).astype(np.int64)
        return decided

    @property
    def shown(self) -> str:
        """Its temperature, or those of the labels, in words."""
        if not self.temperatures:
            return f"temperature {self.temperature:.3f}"
        return f"a temperature for each label, {min(self.temperatures):.3f} to {max(self.temperatures):.3f}"

    def to_json(self) -> dict[str, Any]:
        """All fields; those of several labels only where there are some."""
        several = {"temperatures": list(self.temperatures), "thresholds": list(self.thresholds)} if self.temperatures else {}
        return several | {
            "temperature": self.temperature,
            "rows": self.rows,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "answers": [asdict(answers) for answers in self.answers],
            "sets": [figures.to_json() for figures in self.sets],
        }


def quality(probabilities: Floats, targets: Places) -> Quality:
    """Measures probabilities.

    Args:
        probabilities: (rows, labels).
        targets: places of the true labels, (rows,), or 0 or 1 for each label, (rows, labels).
    """
    p = np.asarray(probabilities, np.float64)
    if targets.ndim == 2:
        return _quality_of_several(p, targets)
    rows = np.arange(len(targets))
    of_truth = p[rows, targets]
    squares = p**2
    squares[rows, targets] = (of_truth - 1) ** 2
    bins = reliability(p, targets)
    gaps = [b.rows * abs(b.confidence - b.accuracy) for b in bins if b.confidence is not None and b.accuracy is not None]
    return Quality(
        loss=-float(np.log(np.maximum(of_truth, np.finfo(np.float64).tiny)).mean()),
        brier=float(squares.sum(1).mean()),
        ece=float(sum(gaps) / len(targets)),
        bins=bins,
    )


def _quality_of_several(p: npt.NDArray[np.float64], targets: Places) -> Quality:
    """As :func:`quality`: means over rows and labels, a label of a row being what is right when the row has it."""
    of_truth = np.where(targets > 0, p, 1 - p)
    bins = _bins(p.ravel(), targets.ravel())
    gaps = [b.rows * abs(b.confidence - b.accuracy) for b in bins if b.confidence is not None and b.accuracy is not None]
    return Quality(
        loss=-float(np.log(np.maximum(of_truth, np.finfo(np.float64).tiny)).mean()),
        brier=float(((1 - of_truth) ** 2).mean()),
        ece=float(sum(gaps) / targets.size),
        bins=bins,
    )


def reliability(probabilities: Floats, targets: Places) -> tuple[Bin, ...]:
    """The reliability diagram: rows by their largest probability, in bins of equal width; arguments as :func:`quality`."""
    return _bins(probabilities.max(1), likeliest(probabilities) == targets)


def _bins(confidence: Floats, right: npt.NDArray[Any]) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    sums = np.bincount(place, weights=confidence, minlength=BINS)
    hits = np.bincount(place, weights=right, minlength=BINS)
    return tuple(
        Bin(
            lower=float(edges[at]),
            upper=float(edges[at + 1]),
            rows=int(count),
            confidence=float(sums[at] / count) if count else None,
            accuracy=float(hits[at] / count) if count else None,
        )
        for at, count in enumerate(counts)
    )


def fit_temperature(
    logits: Floats, targets: Places, task: Task = SINGLE_LABEL, weights: npt.NDArray[np.float64] | None = None
) -> float:
    """The temperature with the smallest log loss (Guo et al. 2017, arXiv:1706.04599), between 1/20 and 20.

    A standard normal prior on its logarithm, which weighs as much as about one row, keeps it finite when every row is right.

    Args:
        logits: (rows, labels).
        targets: places of the true labels, (rows,).
        task: what a label is.
        weights: how much each row counts, as if it were there so many times, (rows,); None where all count once.
    """
    from scipy.optimize import minimize_scalar  # here, because it takes long to load and reading a study needs none of it

    def cost(log_temperature: float) -> float:
        fit = task.log_likelihoods(logits, targets, scale=float(np.exp(-log_temperature)))
        return float(-(fit if weights is None else fit * weights).sum() + log_temperature**2 / 2)

    best = minimize_scalar(cost, bounds=(-LIMIT, LIMIT), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def cross_fitted(logits: Floats, targets: Places, task: Task = SINGLE_LABEL) -> npt.NDArray[np.float64]:
    """Calibrated probabilities, (rows, labels), each row with a temperature that was fitted without it."""
    result = logits.astype(np.float64)
    if len(targets) < 2:
        return task.probabilities(result)
    number = deal_folds(targets)
    for fold in range(number.max() + 1):
        held = number == fold
        result[held] = task.probabilities(result[held] / fit_temperature(logits[~held], targets[~held], task))
    return result


def calibrate_one_label(logits: Floats, targets: Places, task: Task, *, temperature: float | None = None) -> Calibration:
    """Fits and measures on validation rows; see :func:`striata.calibration.calibrate`.

    Args:
        logits: (rows, labels).
        targets: places of the true labels, (rows,).
        task: what a label is.
        temperature: of logits that need none to be fitted; None fits one.

    Raises:
        DataError: there are no rows, or a logit is not finite.
    """
    check_logits(logits, targets)
    fitted = temperature is None
    temperature = fit_temperature(logits, targets, task) if temperature is None else temperature
    scaled = logits.astype(np.float64) / temperature
    decided = task.decide(scaled)
    before, sets = as_they_are(logits, targets, task, decided)
    sharp = task.probabilities(scaled)
    answers = [answer_threshold(sharp, targets, precision, decided) for precision in PRECISIONS]
    if fitted:
        del scaled, sharp  # with thousands of labels they are large
        sharp = cross_fitted(logits, targets, task)
    return Calibration(
        temperature=temperature,
        rows=len(targets),
        before=before,
        after=quality(sharp, targets),
        answers=tuple(threshold for threshold in answers if threshold is not None),
        sets=sets,
    )


def check_logits(logits: Floats, targets: Places) -> None:
    """Refuses what nothing can be fitted on.

    Raises:
        DataError: there are no rows, or a logit is not finite.
    """
    if not len(targets):
        raise DataError("no validation rows to calibrate on; expected at least one")
    bad = ~np.isfinite(logits).all(1)
    if bad.any():
        raise DataError(f"the logits of {int(bad.sum())} validation rows are not finite, the first of row {int(bad.argmax())}")


def as_they_are(logits: Floats, targets: Places, task: Task, decided: Places) -> tuple[Quality, tuple[SetFigures, ...]]:
    """The quality of probabilities without a temperature, and their label sets."""
    plain = task.probabilities(logits.astype(np.float64))
    possible = [coverage for coverage in COVERAGES if fewest_rows(coverage) <= len(targets)]
    thresholds = [(coverage, set_threshold(plain, targets, coverage)) for coverage in possible]
    figures = [
        set_figures(task.whole(label_sets(plain, threshold, several=not task.one_label), decided), targets, coverage)
        for coverage, threshold in thresholds
    ]
    return quality(plain, targets), tuple(figures)


def answer_threshold(probabilities: Floats, targets: Places, precision: float, decided: Places | None = None) -> Answers | None:
    """The smallest probability from which on answers are right at a wanted rate, with 90 % confidence.

    Thresholds that answer 5 %, 10 %, ... 100 % of the rows are tried; one passes when the exact lower bound (Clopper and
    Pearson) of its precision does, corrected for the twenty tries (Bonferroni). The plain share of right answers would flatter:
    the threshold is picked on these same rows.

    Args:
        probabilities: calibrated, of the validation rows, (rows, labels).
        targets: places of their true labels, (rows,).
        precision: wanted share of right answers, in (0, 1).
        decided: places of the answers, (rows,); None for the likeliest labels.

    Returns:
        None when no threshold passes.

    Raises:
        DataError: the precision is not between 0 and 1.
    """
    from scipy.stats import beta

    check_share(precision, "precision")
    decided = likeliest(probabilities) if decided is None else decided
    confidence = probabilities[np.arange(len(decided)), decided]
    order = np.argsort(-confidence, kind="stable")
    hits = np.cumsum((decided == targets)[order])
    for step in range(_SHARES, 0, -1):
        threshold = float(confidence[order[max(1, len(order) * step // _SHARES) - 1]])
        answered = int((confidence >= threshold).sum())
        right = int(hits[answered - 1])
        if beta.ppf((1 - CONFIDENCE) / _SHARES, right, answered - right + 1) >= precision:
            return Answers(precision=precision, threshold=threshold, answered=answered / len(order))
    return None
