"""Whether a fine-tuned encoder, or an ensemble, is worth its cost: each beside the best contender that costs seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from ..choices import BASELINES, RANKINGS
from ..figures.intervals import LEVEL, Interval, paired_difference
from ..figures.scores import in_words
from ..runs.joined import Pool, join
from ..runs.refusal import accepted
from ..runs.run import Run, Validation
from ..runs.standings import deciding_figure, total_seconds
from .measure import RIGHT, Measure, Rows, measure_of
from .paired import compare_numbers
from .sentences import counted, duration, shown_difference, speed, unit_of

FINE_TUNED = ("adapter", "soup")  # kinds of runs that are a fine-tuned encoder
ENSEMBLE = "ensemble"


class Combined(Protocol):
    """What is to be known of an ensemble, such as :class:`striata.ensemble.Ensemble`."""

    @property
    def runs(self) -> Mapping[str, Run]: ...
    def validation(self) -> Validation: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Something that answers texts, with how good it is and what it costs.

    Args:
        name: of the run, or "ensemble".
        number: of how many it is the best on the validation rows; of an ensemble, how many runs it has.
        figure: that is compared, of :data:`striata.choices.RANKINGS`.
        value: of it on the validation rows; an ensemble's by members that were chosen without the row.
        trainable: parameters.
        seconds: of training; of an ensemble, of all its runs, with what they share counted once.
        texts_per_second: answered while it was validated; of an ensemble, were its runs to answer one after another, though
            they may share a pass; None where it was not measured.
    """

    name: str
    number: int
    figure: str
    value: float
    trainable: int
    seconds: float
    texts_per_second: float | None

    @property
    def quality(self) -> str:
        """The figure in words."""
        return f"{self.value:.2%} right" if self.figure == RIGHT.figure else in_words({self.figure: self.value})

    def to_json(self) -> dict[str, object]:
        """All fields, with the figure by its name."""
        return asdict(self) | {self.figure: self.value}

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
        difference: of their figures, the contender's less the other's, with its interval.
        verdict: "better", "worse" or "not told apart": whether the interval holds 0.
        sentence: all of it in words, with what either costs.
    """

    contender: Contender
    bar: Contender
    difference: Interval
    verdict: str
    sentence: str

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return asdict(self) | {"contender": self.contender.to_json(), "bar": self.bar.to_json()}


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
        bar = None if self.bar is None else self.bar.to_json()
        return asdict(self) | {"bar": bar, "gains": [gain.to_json() for gain in self.gains]}


def measure_worth(runs: Sequence[Run], ensemble: Combined | None = None, *, confidence: float = LEVEL) -> Worth:
    """The best fine-tuned encoder and the ensemble of a study beside its best baseline.

    Args:
        runs: the finished runs, at least one; those that the validation check refuses do not count.
        ensemble: of these runs, or None.
        confidence: of the intervals.

    Raises:
        RunError: runs cannot be joined on their validation rows.
    """
    baselines = [run for run in runs if run.kind in BASELINES]
    tuned = [run for run in accepted(runs) if run.kind in FINE_TUNED]
    bar, encoder = best_run(baselines), best_run(tuned)
    rows = runs[0].facts.split["validation"]
    if bar is None:
        return Worth(bar=None, gains=(), rows=rows, sentences=(_NO_BAR,))
    measure = measure_of(bar)
    pool = join({run.name: run for run in (bar, encoder) if run is not None})
    of_bar = measure.of_runs(pool, [bar.name])[0]
    the_bar = _contender(bar, measure.value(float(of_bar.mean())), measure, len(baselines))
    contenders = []
    if encoder is not None:
        own = measure.of_runs(pool, [encoder.name])[0]
        contenders.append((_contender(encoder, measure.value(float(own.mean())), measure, len(tuned)), own))
    if ensemble is not None and len(ensemble.runs) > 1:
        own = rows_together(ensemble, pool, measure)
        contenders.append((_ensemble(list(ensemble.runs.values()), measure.value(float(own.mean())), measure), own))
    gains = tuple(
        _gain(one, the_bar, gain(of_bar, own, confidence, measure), measure, len(own), confidence) for one, own in contenders
    )
    sentences = [one.sentence for one in gains]
    if encoder is None:
        sentences.insert(0, f"No encoder is fine-tuned here; the best baseline is {the_bar.name}: {the_bar.quality}.")
    sentences.append(f"{the_bar.name} costs {the_bar.cost}.")
    return Worth(bar=the_bar, gains=gains, rows=len(of_bar), sentences=tuple(sentences))


_NO_BAR = (
    "Whether the encoder is worth its cost is not known: this study has no baselines, which cost seconds. Write "
    "`baselines: auto` into its file, and run `striata train` again."
)


def best_run(runs: Sequence[Run]) -> Run | None:
    """The run with the best validation figure of those that the study orders its runs by, of equals the one with fewer
    parameters; None without any."""
    if not runs:
        return None
    by = deciding_figure(runs[0].facts.study)
    return max(runs, key=lambda run: (RANKINGS[by].merit(run.metrics[by]), -run.trainable, run.name))


def rows_together(ensemble: Combined, pool: Pool, measure: Measure = RIGHT) -> Rows:
    """How good an ensemble's answers are, each row's by members that were chosen without it, (rows,), in the order of a pool's
    rows."""
    seen = ensemble.validation()
    own = measure.of_rows(pool.task, seen.logits, seen.labels)
    order = np.argsort(seen.ids, kind="stable")
    rows: Rows = own[order][np.searchsorted(seen.ids[order], pool.ids)]
    return rows


def gain(bar: Rows, own: Rows, confidence: float = LEVEL, measure: Measure = RIGHT) -> Interval:
    """How much better one is than the other on the same rows, in the unit of the figure that is compared, with its interval.

    Args:
        bar: how good the other's answers are, (rows,).
        own: how good the one's are.
        confidence: of the interval.
        measure: by which.
    """
    if measure is RIGHT:
        return paired_difference(int((bar & ~own).sum()), int((own & ~bar).sum()), len(own), level=confidence)
    return measure.in_unit(compare_numbers(own, bar, confidence), float(own.mean()), float(bar.mean()))


def verdict_of(gained: Interval) -> str:
    """ "better", "worse" or "not told apart": whether the interval of a gain holds 0."""
    return "better" if gained.low > 0 else "worse" if gained.high < 0 else "not told apart"


def _contender(run: Run, value: float, measure: Measure, number: int) -> Contender:
    """A run as a contender, the best of a number."""
    return Contender(
        name=run.name,
        number=number,
        figure=measure.figure,
        value=value,
        trainable=run.trainable,
        seconds=run.facts.seconds,
        texts_per_second=run.facts.texts_per_second,
    )


def _ensemble(runs: Sequence[Run], value: float, measure: Measure) -> Contender:
    speeds = [run.facts.texts_per_second for run in runs]
    known = [speed for speed in speeds if speed]
    return Contender(
        name=ENSEMBLE,
        number=len(runs),
        figure=measure.figure,
        value=value,
        trainable=sum(run.trainable for run in runs),
        seconds=total_seconds([run.facts for run in runs]),
        texts_per_second=1 / sum(1 / speed for speed in known) if len(known) == len(runs) else None,
    )


def _gain(one: Contender, bar: Contender, gained: Interval, measure: Measure, rows: int, confidence: float) -> Gain:
    verdict, difference = verdict_of(gained), measure.difference(gained)
    return Gain(
        contender=one,
        bar=bar,
        difference=Interval(value=difference.value, low=difference.low, high=difference.high),
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
    value, low, high = (shown_difference(part, one.figure) for part in (difference.value, difference.low, difference.high))
    against = f"{bar.value:.2%}" if bar.figure == RIGHT.figure else RANKINGS[bar.figure].shown(bar.value)
    return (
        f"{subject} {link} {bar.name}, {best}, by {counted(rows, 'validation row')}: {one.quality} against "
        f"{against}, {value} {unit_of(one.figure)} ({confidence:.0%} interval {low} to {high}). It costs {one.cost}."
    )
