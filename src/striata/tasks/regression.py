"""A number for each text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..figures.scores import Metrics, Scores, rank_correlation

Floats = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.float64]
Float = TypeVar("Float", bound=np.floating)
NUMBER = "number"
"""What stands in the place of a label: the one output of a head."""
_FINEST = 1e-5  # standard deviation of numbers, as a share of their mean


def plain_number(value: float | np.floating) -> float:
    """A number of 32 bits as the shortest decimal that is it: 0.1 for 0.100000001; others as they are."""
    return float(str(value)) if isinstance(value, np.float32) else float(value)


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers in standard deviations from their mean, as heads learn them.

    Args:
        mean: in the numbers' own unit.
        deviation: likewise, above 0.
    """

    mean: float
    deviation: float

    def standard(self, targets: Numbers) -> npt.NDArray[np.float32]:
        """Targets as they are learned."""
        return ((targets - self.mean) / self.deviation).astype(np.float32)

    def restored(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits in the numbers' own unit."""
        return (logits.astype(np.float64) * self.deviation + self.mean).astype(np.float32)

    def folded(self, tensors: Mapping[str, Any], layer: str) -> dict[str, Any]:
        """Weights of a head whose last layer gives numbers in their own unit.

        Args:
            tensors: by name.
            layer: name of the last layer, before which comes what peft puts there, and behind it `.weight` and `.bias`.
        """
        (weight,) = [name for name in tensors if f".{name}".endswith(f".{layer}.weight")]
        result, bias = dict(tensors), weight.removesuffix("weight") + "bias"
        result[weight] = (tensors[weight].astype(np.float64) * self.deviation).astype(np.float32)
        result[bias] = (tensors[bias].astype(np.float64) * self.deviation + self.mean).astype(np.float32)
        return result


class Regression:
    """A number: targets are float64 (rows,), logits (..., 1) are the answers, both in the numbers' own unit, and the loss is the
    mean squared error. See :class:`striata.tasks.Task` for what the methods are."""

    name = "regression"
    loss = "mse"
    one_label = False
    ordered = False
    calibrated = False
    numeric = True
    rankings: tuple[str, ...] = ("rmse", "mae", "r2", "spearman", "loss")

    def order(self, values: Iterable[str], declared: Sequence[str] | None, source: str) -> tuple[str, ...]:
        """The one output's name.

        Raises:
            DataError: all rows have one number, or differ by less than answers of 32 bits can.
        """
        numbers = np.array([float(value) for value in values])
        deviation = float(numbers.std()) if len(numbers) else 0.0
        if not deviation:
            shown = f" ({numbers[0]:g})" if len(numbers) else ""
            raise DataError(f"{source} has one number for all rows{shown}; a regression needs at least two different ones")
        if deviation < _FINEST * abs(numbers.mean()):
            raise DataError(
                f"{source} has numbers around {numbers.mean():.9g} that differ by {deviation:.3g} only, which answers of 32 bits "
                f"do not tell apart; subtract {numbers.mean():.6g} from all of them"
            )
        return (NUMBER,)

    def encode(self, values: Sequence[str], labels: Sequence[str], *, source: str, rows: npt.NDArray[np.int64]) -> Numbers:
        """The numbers, (rows,) float64.

        Raises:
            DataError: a row has no number.
        """
        numbers = np.zeros(len(values))
        for at, value in enumerate(values):
            try:
                numbers[at] = float(value)
            except ValueError:
                raise DataError(
                    f"{source}: row {rows[at]} (counted from 0) has label '{value}'; expected a number", row=int(rows[at])
                ) from None
        return numbers

    def scale(self, targets: Numbers, weights: Numbers | None = None) -> Scale:
        """Mean and standard deviation of training targets, (rows,), by which they are learned.

        Args:
            targets: not all equal.
            weights: how much each row counts, (rows,); None where all count alike.
        """
        mean = float(np.average(targets, weights=weights))
        return Scale(mean, float(np.sqrt(np.average((targets - mean) ** 2, weights=weights))))

    def parts(self, value: str) -> tuple[str, ...]:
        """None: a number names no label."""
        return ()

    def spell(self, targets: npt.NDArray[Any], labels: Sequence[str]) -> list[str]:
        """The shortest texts that give the numbers back."""
        return [repr(plain_number(value)) for value in targets]

    def decide(self, outputs: Floats) -> Numbers:
        """The numbers that logits (..., 1) are, (...)."""
        numbers: Numbers = outputs[..., 0].astype(np.float64)
        return numbers

    def errors(self, logits: Floats, targets: Numbers) -> Numbers:
        """What is answered less what is true, (rows,)."""
        return self.decide(logits) - targets

    def log_likelihoods(self, logits: Floats, targets: Numbers, *, scale: float = 1.0) -> Numbers:
        """Minus the squared error of each row: up to a constant, what a normal distribution of variance 1/2 says."""
        return -((self.decide(logits) * scale - targets) ** 2)

    def scores(self, logits: Floats, targets: Numbers) -> Scores:
        """RMSE, MAE, R², Spearman's rank correlation, and the mean squared error as the loss, as scikit-learn and scipy have
        them; the correlation with constant numbers, and R² of wrong answers to them, are 0."""
        errors = self.errors(logits, targets)
        squared, spread = float((errors**2).mean()), float(((targets - targets.mean()) ** 2).mean())
        return Scores(
            rmse=squared**0.5,
            mae=float(np.abs(errors).mean()),
            r2=1 - squared / spread if spread else float(not squared),
            spearman=rank_correlation(self.decide(logits), targets),
            loss=squared,
        )

    def metrics(self, logits: Floats, targets: Numbers, labels: Sequence[str]) -> Metrics:
        """The scores alone."""
        return Metrics(rows=len(targets), scores=self.scores(logits, targets), per_label={}, confusion=[], labels=tuple(labels))

    def score(self, logits: Floats, targets: Numbers, by: str) -> float:
        """One of the scores, larger for better logits.

        Raises:
            DataError: it is a score of other tasks.
        """
        if by not in self.rankings:
            raise DataError(f"{by} is no figure of task {self.name}; expected one of {', '.join(self.rankings)}", argument="by")
        value = self.scores(logits, targets)[by]
        return value if by in ("r2", "spearman") else -value

    def whole(self, inside: npt.NDArray[np.bool_], decided: Numbers) -> npt.NDArray[np.bool_]:
        """Raises DataError, as all that needs labels."""
        self._without("label sets")

    def right(self, logits: Floats, targets: Numbers) -> npt.NDArray[np.bool_]:
        """Raises DataError, as all that needs labels."""
        self._without("right rows")

    def probabilities(self, logits: npt.NDArray[Float]) -> npt.NDArray[Float]:
        """Raises DataError, as all that needs labels."""
        self._without("probabilities")

    def log_probabilities(self, logits: Floats) -> Numbers:
        """Raises DataError, as all that needs labels."""
        self._without("probabilities")

    def as_one_label(self, logits: Floats, targets: Numbers) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Raises DataError, as all that needs labels."""
        self._without("labels")

    def _without(self, what: str) -> NoReturn:
        raise DataError(f"the task is {self.name}, which has no {what}; its answers are numbers, see docs/tasks.md")


REGRESSION = Regression()
