"""What came out of a fit, in one value and a few sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..choices import BASELINES
from ..evidence.worth import best_run, gain, right_together, verdict_of
from ..figures.intervals import Interval, share
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
        accuracy: of the model with its 95 % interval, on rows that nothing was fitted on.
        measured_on: "test" or "validation" rows; on the latter each row is judged by an ensemble that was chosen without it.
        rows: how many these are.
        cheapest_bar: name of the best contender that costs seconds; None where the model is the only one, or is itself it.
        gain: how much more of the validation rows the model gets right than that contender, with its 95 % interval.
        report: the file of its report; None where what that needs is not installed.
        seconds: spent in all calls together.
        cascade: folder of a cascade, in which a contender without an encoder answers the texts it is sure of and the model the
            rest; None where that saves little, or too few rows show that nothing is lost.
        answered_early: share of the validation rows that this contender answers; None without a cascade.
        most_lost: share of all texts; by the cascade fewer are lost, with 95 % confidence; None without one.
    """

    folder: Path
    model: Path
    name: str
    accuracy: Interval
    measured_on: str
    rows: int
    cheapest_bar: str | None
    gain: Interval | None
    report: Path | None = None
    seconds: float = 0.0
    cascade: Path | None = None
    answered_early: float | None = None
    most_lost: float | None = None

    def __repr__(self) -> str:
        low, high = f"{self.accuracy.low:.4f}", f"{self.accuracy.high:.4f}"
        accuracy = f"accuracy {self.accuracy.value:.4f} ({low} to {high}) on {self.rows:,} {self.measured_on} rows"
        return f"Fitted({self.name}: {accuracy}; {self.model})"

    def to_json(self) -> dict[str, object]:
        """All fields, folders as text."""
        return {
            "folder": str(self.folder),
            "model": str(self.model),
            "name": self.name,
            "accuracy": self.accuracy.to_json(),
            "measured_on": self.measured_on,
            "rows": self.rows,
            "cheapest_bar": self.cheapest_bar,
            "gain": None if self.gain is None else self.gain.to_json(),
            "report": None if self.report is None else str(self.report),
            "seconds": self.seconds,
            "cascade": None if self.cascade is None else str(self.cascade),
            "answered_early": self.answered_early,
            "most_lost": self.most_lost,
        }

    @property
    def sentence(self) -> str:
        """Accuracy, interval, and what it is worth beside the best cheap contender."""
        a = self.accuracy
        text = f"{self.name}: {a.value:.2%} ({a.low:.2%} to {a.high:.2%}) right on {self.rows:,} {self.measured_on} rows"
        if self.gain is None or self.cheapest_bar is None:
            return text
        g = self.gain
        points = f"{100 * g.value:+.2f} points ({100 * g.low:+.2f} to {100 * g.high:+.2f}) on validation rows"
        link = {"better": "better than", "worse": "worse than"}.get(verdict_of(g), "not told apart from")
        return f"{text}; {link} {self.cheapest_bar}, which costs seconds: {points}"


def judge_fit(trained: Trained, prepared: Prepared) -> Fitted:
    """The best model of a study: its ensemble, or the best single run where that is better beyond chance on validation rows.

    Args:
        trained: what came out of the study; at least one run.
        prepared: its data.
    """
    pool = join(trained.runs)
    right = {name: pool.right([name])[0] for name in pool.names}
    best = best_run(list(trained.runs.values()))
    assert best is not None
    name, model, hits = best.name, best.path, right[best.name]
    if trained.ensemble is not None:
        together = right_together(trained.ensemble, pool)
        if gain(hits, together).high >= 0:  # the single run was picked as the best of many, which flatters it
            name, model, hits = "ensemble", trained.ensemble.folder, together
    bar = best_run([run for run in trained.runs.values() if run.kind in BASELINES and run.name != name])
    more = None if bar is None else gain(right[bar.name], hits)
    rows, count, where = len(hits), int(hits.sum()), "validation"
    if name in trained.test:
        rows, where = len(prepared.targets["test"]), "test"
        count = round(trained.test[name]["accuracy"] * rows)
    return Fitted(
        folder=trained.folder,
        model=model,
        name=name if name == "ensemble" else f"run {name}",
        accuracy=share(count, rows),
        measured_on=where,
        rows=rows,
        cheapest_bar=None if bar is None else bar.name,
        gain=more,
    )
