"""What came out of a fit, in one value and a few sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..baselines import BASELINES as METHODS
from ..choices import BASELINES, RANKINGS
from ..evidence.measure import RIGHT, measure_of
from ..evidence.sentences import shown_difference, unit_of
from ..evidence.worth import best_run, gain, rows_together, verdict_of
from ..figures.intervals import LEVEL, Interval, share
from ..figures.scores import in_words
from ..runs.joined import join
from ..shown import Shown
from ..steps import Trained
from ..study import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted(Shown):
    """The best model of a fit.

    Args:
        folder: of the fit, which is a study's folder.
        model: folder of the best model, a run's or the ensemble's; :func:`striata.load` opens it.
        name: what the model is called.
        value: of the figure that stands for it, accuracy or of numbers rmse, with its 95 % interval, on rows that nothing was
            fitted on.
        measured_on: "test" or "validation" rows; on the latter each row is judged by an ensemble that was chosen without it.
        rows: how many these are.
        cheapest_bar: name of the best contender that costs seconds; None where the model is the only one, or is itself it.
        gain: how much better the model is than that contender on the validation rows, with its 95 % interval: by how much the
            share it gets right is larger, or of numbers the rmse smaller.
        report: the file of its report; None where what that needs is not installed.
        seconds: spent in all calls together.
        limit: seconds that there were for it.
        cascade: folder of a cascade, in which a contender without an encoder answers the texts it is sure of and the model the
            rest; None where that saves little, or too few rows show that nothing is lost.
        answered_early: share of the validation rows that this contender answers; None without a cascade.
        most_lost: share of all texts; by the cascade fewer are lost, with 95 % confidence; None without one.
        encoder: whether an encoder took part in anything that was fitted.
        figure: which one that is, of :data:`striata.choices.RANKINGS`.
    """

    folder: Path
    model: Path
    name: str
    value: Interval
    measured_on: str
    rows: int
    cheapest_bar: str | None
    gain: Interval | None
    report: Path | None = None
    seconds: float = 0.0
    limit: float = 0.0
    cascade: Path | None = None
    answered_early: float | None = None
    most_lost: float | None = None
    encoder: bool = True
    figure: str = RIGHT.figure

    def __repr__(self) -> str:
        low, high = (RANKINGS[self.figure].shown(end) for end in (self.value.low, self.value.high))
        value = f"{in_words({self.figure: self.value.value})} ({low} to {high}) on {self.rows:,} {self.measured_on} rows"
        return f"Fitted({self.name}: {value}; {self.model})"

    @property
    def accuracy(self) -> Interval:
        """The share of rows that are right, of a task with labels.

        Raises:
            AttributeError: the task has none.
        """
        if self.figure != RIGHT.figure:
            raise AttributeError(f"a fit of numbers has no accuracy; its value is its {RANKINGS[self.figure].title}")
        return self.value

    def to_json(self) -> dict[str, object]:
        """All fields, folders as text."""
        return {
            "folder": str(self.folder),
            "model": str(self.model),
            "name": self.name,
            self.figure: self.value.to_json(),
            "measured_on": self.measured_on,
            "rows": self.rows,
            "cheapest_bar": self.cheapest_bar,
            "gain": None if self.gain is None else self.gain.to_json(),
            "report": None if self.report is None else str(self.report),
            "seconds": self.seconds,
            "limit": self.limit,
            "encoder": self.encoder,
            "cascade": None if self.cascade is None else str(self.cascade),
            "answered_early": self.answered_early,
            "most_lost": self.most_lost,
        }

    @property
    def sentence(self) -> str:
        """The figure, its interval, and what it is worth beside the best cheap contender."""
        a, where = self.value, f"on {self.rows:,} {self.measured_on} rows"
        if self.figure == RIGHT.figure:
            text = f"{self.name}: {a.value:.2%} ({a.low:.2%} to {a.high:.2%}) right {where}"
        else:
            low, high = (RANKINGS[self.figure].shown(end) for end in (a.low, a.high))
            text = f"{self.name}: {in_words({self.figure: a.value})} ({low} to {high}) {where}"
        if not self.encoder:
            text += "; no encoder took part"
        if self.gain is None or self.cheapest_bar is None:
            return text
        g = self.gain
        more = g if self.figure == RIGHT.figure else Interval(value=-g.value, low=-g.high, high=-g.low)
        value, low, high = (shown_difference(part, self.figure) for part in (more.value, more.low, more.high))
        points = f"{value} {unit_of(self.figure)} ({low} to {high}) on validation rows"
        link = {"better": "better than", "worse": "worse than"}.get(verdict_of(g), "not told apart from")
        cheap = "" if self.name.removeprefix("run ") in BASELINES else ", which costs seconds"
        return f"{text}; {link} {self.cheapest_bar}{cheap}: {points}"


def judge_fit(trained: Trained, prepared: Prepared) -> Fitted:
    """The best model of a study: its ensemble, or the best single run where that is better beyond chance on validation rows.

    Args:
        trained: what came out of the study; at least one run.
        prepared: its data.
    """
    pool, measure = join(trained.runs), measure_of(next(iter(trained.runs.values())))
    right = {name: measure.of_runs(pool, [name])[0] for name in pool.names}
    best = best_run(list(trained.runs.values()))
    assert best is not None
    name, model, hits = best.name, best.path, right[best.name]
    if trained.ensemble is not None:
        together = rows_together(trained.ensemble, pool, measure)
        if gain(hits, together, LEVEL, measure).high >= 0:  # the single run was picked as the best of many, which flatters it
            name, model, hits = "ensemble", trained.ensemble.folder, together
    bar = best_run([run for run in trained.runs.values() if run.kind in BASELINES and run.name != name])
    more = None if bar is None else gain(right[bar.name], hits, LEVEL, measure)
    rows, where = len(hits), "validation"
    value = share(int(hits.sum()), rows) if measure is RIGHT else measure.over_rows(hits)
    if name in trained.test:
        rows, where = len(prepared.targets["test"]), "test"
        numbers = trained.test_intervals.get(name)
        value = share(round(trained.test[name][RIGHT.figure] * rows), rows) if numbers is None else numbers
    return Fitted(
        folder=trained.folder,
        model=model,
        name=name if name == "ensemble" else f"run {name}",
        value=value,
        measured_on=where,
        rows=rows,
        cheapest_bar=None if bar is None else bar.name,
        gain=None if more is None else Interval(value=more.value, low=more.low, high=more.high),
        encoder=any(run.kind not in BASELINES or METHODS[run.kind].embedded for run in trained.runs.values()),
        figure=measure.figure,
    )
