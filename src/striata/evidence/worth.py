"""Whether a fine-tuned encoder, or an ensemble, is worth its cost: each beside the best contender that costs seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..choices import BASELINES
from ..figures.intervals import LEVEL, Interval, paired_difference
from ..runs.joined import Pool, join
from ..runs.run import Run, Validation
from ..runs.standings import total_seconds
from .sentences import counted, duration, points, speed

FINE_TUNED = ("adapter", "soup")  # kinds of runs that are a fine-tuned encoder
ENSEMBLE = "ensemble"
Right = npt.NDArray[np.bool_]


class Combined(Protocol):
    """What is to be known of an ensemble, such as :class:`striata.ensemble.Ensemble`."""

    @property
    def runs(self) -> Mapping[str, Run]: ...
    def validation(self) -> Validation: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Something that answers texts, with what it is right on and what it costs.

    Args:
        name: of the run, or "ensemble".
        number: of how many it is the best on the validation rows; of an ensemble, how many runs it has.
        accuracy: on the validation rows; an ensemble's by members that were chosen without the row.
        trainable: parameters.
        seconds: of training; of an ensemble, of all its runs, with what they share counted once.
        texts_per_second: answered while it was validated; of an ensemble, were its runs to answer one after another, though
            they may share a pass; None where it was not measured.
    """

    name: str
    number: int
    accuracy: float
    trainable: int
    seconds: float
    texts_per_second: float | None

    @property
    def cost(self) -> str:
        """Seconds, parameters and speed in words."""
        least = "at least " if self.name == ENSEMBLE else ""
        answers = "" if self.texts_per_second is None else f", {least}{speed(self.texts_per_second)} texts a second"
        return f"{duration(self.seconds)} to train, {counted(self.trainable, 'parameter')}{answers}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A contender beside the best one that costs seconds, on the same validation rows.

    Args:
        contender: the one.
        bar: the other.
        difference: of their accuracies, with its interval.
        verdict: "better", "worse" or "not told apart": whether the interval holds 0.
        sentence: all of it in words, with what either costs.
    """

    contender: Contender
    bar: Contender
    difference: Interval
    verdict: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a study's best fine-tuned encoder and its ensemble gain over its best baseline.

    Args:
        bar: the best baseline; None where the study has none.
        gains: of the fine-tuned encoder, then of the ensemble, of those that there are.
        rows: of validation.
        sentences: what a user needs to know first.
    """

    bar: Contender | None
    gains: tuple[Gain, ...]
    rows: int
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return asdict(self)


def measure_worth(runs: Sequence[Run], ensemble: Combined | None = None, *, confidence: float = LEVEL) -> Worth:
    """The best fine-tuned encoder and the ensemble of a study beside its best baseline.

    Args:
        runs: the finished runs, at least one.
        ensemble: of these runs, or None.
        confidence: of the intervals.

    Raises:
        RunError: runs cannot be joined on their validation rows.
    """
    baselines = [run for run in runs if run.kind in BASELINES]
    tuned = [run for run in runs if run.kind in FINE_TUNED]
    bar, encoder = best_run(baselines), best_run(tuned)
    rows = runs[0].facts.split["validation"]
    if bar is None:
        return Worth(bar=None, gains=(), rows=rows, sentences=(_NO_BAR,))
    pool = join({run.name: run for run in (bar, encoder) if run is not None})
    right = pool.right([bar.name])[0]
    the_bar = contender_of(bar, right, len(baselines))
    contenders = []
    if encoder is not None:
        hits = pool.right([encoder.name])[0]
        contenders.append((contender_of(encoder, hits, len(tuned)), hits))
    if ensemble is not None and len(ensemble.runs) > 1:
        hits = right_together(ensemble, pool)
        contenders.append((_ensemble(list(ensemble.runs.values()), float(hits.mean())), hits))
    gains = tuple(_gain(one, the_bar, gain(right, hits, confidence), len(right), confidence) for one, hits in contenders)
    sentences = [one.sentence for one in gains]
    if encoder is None:
        sentences.insert(0, f"No encoder is fine-tuned here; the best baseline is {the_bar.name}: {_accuracy(the_bar)}.")
    sentences.append(f"{the_bar.name} costs {the_bar.cost}.")
    return Worth(bar=the_bar, gains=gains, rows=len(right), sentences=tuple(sentences))


_NO_BAR = (
    "Whether the encoder is worth its cost is not known: this study has no baselines, which cost seconds. Write "
    "`baselines: auto` into its file, and run `striata train` again."
)


def best_run(runs: Sequence[Run]) -> Run | None:
    """The run that is right most often on the validation rows, of equals the one with fewer parameters; None without any."""
    return max(runs, key=lambda run: (run.metrics["accuracy"], -run.trainable, run.name), default=None)


def right_together(ensemble: Combined, pool: Pool) -> Right:
    """Where an ensemble is right, each row by members that were chosen without it, (rows,), in the order of a pool's rows."""
    seen = ensemble.validation()
    decided = pool.task.right(seen.logits, seen.labels)
    order = np.argsort(seen.ids, kind="stable")
    right: Right = decided[order][np.searchsorted(seen.ids[order], pool.ids)]
    return right


def gain(bar: Right, hits: Right, confidence: float = LEVEL) -> Interval:
    """How much more of the same rows one is right on than the other, with its interval.

    Args:
        bar: where the other is right, (rows,).
        hits: where the one is.
        confidence: of the interval.
    """
    return paired_difference(int((bar & ~hits).sum()), int((hits & ~bar).sum()), len(hits), level=confidence)


def verdict_of(difference: Interval) -> str:
    """ "better", "worse" or "not told apart": whether an interval holds 0."""
    return "better" if difference.low > 0 else "worse" if difference.high < 0 else "not told apart"


def contender_of(run: Run, right: Right, number: int) -> Contender:
    """A run as a contender, the best of a number."""
    return Contender(
        name=run.name,
        number=number,
        accuracy=float(right.mean()),
        trainable=run.trainable,
        seconds=run.facts.seconds,
        texts_per_second=run.facts.texts_per_second,
    )


def _ensemble(runs: Sequence[Run], accuracy: float) -> Contender:
    speeds = [run.facts.texts_per_second for run in runs]
    known = [speed for speed in speeds if speed]
    return Contender(
        name=ENSEMBLE,
        number=len(runs),
        accuracy=accuracy,
        trainable=sum(run.trainable for run in runs),
        seconds=total_seconds([run.facts for run in runs]),
        texts_per_second=1 / sum(1 / speed for speed in known) if len(known) == len(runs) else None,
    )


def _gain(one: Contender, bar: Contender, difference: Interval, rows: int, confidence: float) -> Gain:
    verdict = verdict_of(difference)
    return Gain(
        contender=one,
        bar=bar,
        difference=difference,
        verdict=verdict,
        sentence=_sentence(one, bar, difference, verdict, rows, confidence),
    )


def _sentence(one: Contender, bar: Contender, difference: Interval, verdict: str, rows: int, confidence: float) -> str:
    if one.name == ENSEMBLE:
        subject = f"The ensemble of {one.number} runs"
    else:
        best = f", the best of {one.number}" if one.number > 1 else ""
        subject = f"The fine-tuned encoder ({one.name}{best})"
    link = {"better": "is better than", "worse": "is worse than"}.get(verdict, "is not told apart from")
    best = f"the best of {bar.number} baselines" if bar.number > 1 else "the baseline"
    interval = f"{points(difference.low)} to {points(difference.high)}"
    return (
        f"{subject} {link} {bar.name}, {best}, by {counted(rows, 'validation row')}: {_accuracy(one)} against "
        f"{bar.accuracy:.2%}, {points(difference.value)} points ({confidence:.0%} interval {interval}). It costs {one.cost}."
    )


def _accuracy(one: Contender) -> str:
    return f"{one.accuracy:.2%} right"
