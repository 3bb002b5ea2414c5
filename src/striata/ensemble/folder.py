"""An ensemble's folder: names, weights, figures, calibration."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..calibration import Calibration, calibrate
from ..choices import COMBINATIONS, METHODS, RANKINGS
from ..disk.sealed import Seal, read_sealed, sealing
from ..disk.workplace import restore
from ..errors import EnsembleError
from ..figures.scores import in_words, special_figures
from ..runs.run import Run, Validation, read_calibration, read_validation, write_calibration, write_validation
from ..runs.study_folder import SETTINGS
from ..shown import Shown
from ..tasks import Task, check_labels, outputs_in_words
from .combiner import Cascade, Combiner, Stacking
from .content import ENSEMBLE, FILE
from .library import open_library
from .rule import LOSS, Rule, figure_of
from .select import FOLDS, choose, nested


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble(Shown):
    """Runs with weights.

    Args:
        folder: of the ensemble.
        seal: its manifest.
        method: how the members were chosen, of :data:`striata.choices.METHODS`.
        by: the validation figure that decided.
        combiner: what is done with the members' logits.
        runs: the runs, by name.
        labels: names, in the order of the combined logits.
        metrics: of the combination on the validation rows: accuracy, loss, macro_f1. The members were chosen by these same
            rows, so the figures flatter.
        nested: likewise, each row by an ensemble that was chosen without it (five folds), so that choosing does not flatter.
        single: likewise, of the best single run, chosen without the row.
        studies: number of validation rows of each study its runs are of, by the study's name.
        rows: how many validation rows: of several studies those that all of them have.
        trainable: parameters of all members together.
    """

    folder: Path
    seal: Seal
    method: str
    by: str
    combiner: Combiner
    runs: Mapping[str, Run]
    labels: tuple[str, ...]
    metrics: Mapping[str, float]
    nested: Mapping[str, float]
    single: Mapping[str, float]
    studies: Mapping[str, int]
    rows: int
    trainable: int

    def __repr__(self) -> str:
        figure = f"{in_words({self.headline: self.nested[self.headline]})} on {self.rows:,} rows it was not chosen by"
        return f"Ensemble({len(self.runs)} runs by {self.method}, {outputs_in_words(self.task, self.labels)}: {figure})"

    @property
    def task(self) -> Task:
        """What a label is."""
        return next(iter(self.runs.values())).task

    @property
    def headline(self) -> str:
        """The figure that stands for it, of :data:`striata.choices.RANKINGS`: accuracy, or of numbers rmse."""
        return self.task.rankings[0]

    @property
    def members(self) -> Mapping[str, float]:
        """Weight of each run, by name; they add up to 1."""
        return self.combiner.weights

    @property
    def combination(self) -> str:
        """What is combined: "logits", "probabilities", "stacking", or "cascade"."""
        return self.combiner.kind

    @property
    def cascade(self) -> Cascade | None:
        """Who answers which texts; None for an ensemble whose members all answer all."""
        return self.combiner.cascade

    @property
    def way(self) -> str:
        """How the members were chosen, in words."""
        return METHODS[self.method].text

    def validation(self) -> Validation:
        """Combined logits for the validation rows, each row by an ensemble that was chosen without it."""
        return read_validation(self.seal)

    def calibration(self) -> Calibration:
        """Temperature and what it does, fitted on :meth:`validation`; 1 for a cascade, whose stages have temperatures of their
        own.

        Raises:
            EnsembleError: its answers are numbers.
        """
        check_labels(self.task, f"ensemble {self.folder}: a calibration", EnsembleError)
        return read_calibration(self.seal)

    def to_json(self) -> dict[str, object]:
        """Folder, members and figures."""
        return {
            "folder": str(self.folder),
            "method": self.method,
            "combination": self.combination,
            "members": dict(self.members),
            "metrics": dict(self.metrics),
            "nested": dict(self.nested),
            "single": dict(self.single),
            "studies": dict(self.studies),
            "rows": self.rows,
            "trainable": self.trainable,
            "cascade": None if self.cascade is None else asdict(self.cascade),
        } | ({} if self.task.numeric else {"calibration": self.calibration().to_json()})

    def lines(self) -> list[str]:
        """For people: members, the figure that flatters and the one that does not, the calibration."""
        sizes = ", ".join(f"{rows:,} of {name}" for name, rows in self.studies.items())
        shared = f"{self.rows:,} validation rows are shared by all studies ({sizes}); the figures are of these"
        if self.task.numeric:
            return [*([shared] if len(self.studies) > 1 else []), *self._lines_of_numbers()]
        accuracy, calibration = self.nested["accuracy"], self.calibration()
        error = (accuracy * (1 - accuracy) / self.rows) ** 0.5
        before, after, cost = calibration.before, calibration.after, f"{self.trainable:,} trained parameters"
        return [
            *([shared] if len(self.studies) > 1 else []),
            *(
                f"{name}  weight {weight:.3g}, validation accuracy {self.runs[name].metrics['accuracy']:.4f}"
                for name, weight in self.members.items()
            ),
            *(() if self.cascade is None else self.cascade.sentences),
            f"together: validation accuracy {self.metrics['accuracy']:.4f}, {cost}, in {self.folder}",
            f"chosen without the rows it is measured on: {accuracy:.4f} (standard error {error:.4f})",
            f"the best single run, chosen likewise: {self.single['accuracy']:.4f}",
            f"{calibration.shown}: calibration error {before.ece:.4f} -> {after.ece:.4f}, "
            f"Brier score {before.brier:.4f} -> {after.brier:.4f}",
        ]

    def _lines_of_numbers(self) -> list[str]:
        def shown(figures: Mapping[str, float]) -> str:
            return in_words(special_figures(figures))

        return [
            *(
                f"{name}  weight {weight:.3g}, validation {in_words({self.headline: self.runs[name].metrics[self.headline]})}"
                for name, weight in self.members.items()
            ),
            f"together: validation {shown(self.metrics)}, {self.trainable:,} trained parameters, in {self.folder}",
            f"chosen without the rows it is measured on: {shown(self.nested)}",
            f"the best single run, chosen likewise: {shown(self.single)}",
        ]

    @property
    def remark(self) -> str:
        """What to think of these figures."""
        what = RANKINGS[self.headline].title
        return f"the {what} together flatters: the members were chosen on these same validation rows; rely on the one below it"


def write_ensemble(
    *paths: str | Path,
    out: str | Path | None = None,
    size: int = 4,
    by: str | None = None,
    method: str = "top",
    combine: str = "logits",
    budget: int | None = None,
    loss: float = LOSS,
    cheap: str | None = None,
) -> Ensemble:
    """Chooses among the runs of a study, or of several, and writes what was chosen.

    Runs of several studies may be on different encoders; they have the same labels and share validation rows, which are joined by
    their texts where the studies' data differ.

    Args:
        paths: folders of the studies.
        out: the ensemble's folder; None for `ensemble` in the folder of the one study.
        size: how many runs; for method "greedy" the most.
        by: validation figure that decides, of :data:`striata.choices.RANKINGS`; None for the task's first.
        method: of :data:`striata.choices.METHODS`, but none that merges weights.
        combine: of :data:`striata.choices.COMBINATIONS`, for a method that averages.
        budget: most trainable parameters of all members together; None for no limit.
        loss: for a cascade: share of rows; it loses fewer against its late stage alone.
        cheap: for a cascade: the run that answers first; None for the best of those that need no encoder.

    Raises:
        EnsembleError: there are too few runs or shared rows, or `out` is missing or no place for an ensemble.
        StudyError, RunError: a folder is no study's, a run is damaged, or runs cannot be joined.
    """
    rule = Rule(method=method, size=size, by=by, combine=combine, budget=budget, loss=loss, cheap=cheap)
    library = open_library(paths)
    target = _target(paths, out)
    pool = library.pool
    unseen = nested(pool, rule)
    combiner = choose(pool, rule)
    single = nested(pool, Rule(size=1, by=by, budget=budget))

    def scores(logits: npt.NDArray[np.float32]) -> dict[str, float]:
        return pool.task.scores(logits, pool.targets).to_json()

    content = {
        "method": method,
        "combination": combiner.kind,
        "by": figure_of(rule, pool.task),
        "size": size,
        "budget": budget,
        "members": {
            name: {"weight": weight, "folder": _way(target, library.runs[name].path), "checksum": library.runs[name].checksum}
            for name, weight in combiner.weights.items()
        },
        "labels": list(pool.labels),
        "studies": dict(library.studies),
        "rows": len(pool.targets),
        "folds": FOLDS,
        "metrics": scores(combiner.apply(pool.by_name())),
        "nested": scores(unseen),
        "single": scores(single),
    }
    if combiner.stacking is not None:
        content["stacking"] = combiner.stacking.to_json(pool.labels)
    if combiner.cascade is not None:
        content["cascade"] = {**asdict(combiner.cascade), "cheap": cheap}
    with sealing(target, "ensemble") as folder:
        ENSEMBLE.write(folder / FILE, content)
        if not pool.task.numeric:
            temperature = None if combiner.cascade is None else 1.0
            write_calibration(folder, calibrate(unseen, pool.targets, pool.task, temperature=temperature))
        write_validation(folder, Validation(ids=pool.ids, texts=pool.texts, labels=pool.targets, logits=unseen))
    return load_ensemble(target)


def _target(paths: Sequence[str | Path], out: str | Path | None) -> Path:
    """Where an ensemble of studies goes."""
    if out is None:
        if len(paths) > 1:
            raise EnsembleError(
                "is missing; an ensemble of several studies belongs to none of them, so give it a folder", argument="out"
            )
        return Path(paths[0]) / "ensemble"
    target = Path(out)
    if len(paths) > 1 and (target.resolve().parent / SETTINGS).is_file():
        raise EnsembleError(
            f"{target} is in a study's folder, and an ensemble of several studies belongs to none of them; give a folder outside",
            argument="out",
        )
    if target.exists() and not (target / FILE).is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise EnsembleError(f"{target} is there and is no ensemble's folder; give another name", argument="out")
    return target


def _way(folder: Path, run: Path) -> str:
    """A run's path from an ensemble's folder; the whole path where there is no such way."""
    try:
        return Path(os.path.relpath(run.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return str(run.resolve())


def rule_of(path: str | Path) -> Rule | None:
    """How the ensemble in a study's folder was chosen; None where there is none, or none that can be read.

    Args:
        path: the study's folder.
    """
    try:
        content = ENSEMBLE.read(Path(path) / "ensemble" / FILE)
        combine = content.combination if content.combination in COMBINATIONS else "logits"
        rule = Rule(method=content.method, size=content.size, by=content.by, combine=combine, budget=content.budget)
        return rule if content.cascade is None else replace(rule, loss=content.cascade.loss, cheap=content.cascade.cheap)
    except EnsembleError:
        return None


def copy_ensemble(ensemble: Ensemble, path: Path, places: Mapping[str, str]) -> None:
    """Writes an ensemble once more, for runs that lie elsewhere from there.

    Args:
        ensemble: opened.
        path: of the new folder.
        places: each run's folder by the run's name, from the new folder.

    Raises:
        EnsembleError: a file of it is damaged.
        StriataError: the place cannot be written.
    """
    content = ensemble.seal.read(FILE, ENSEMBLE.read)
    members = {name: member.model_copy(update={"folder": places[name]}) for name, member in content.members.items()}
    with sealing(path, "ensemble") as folder:
        ensemble.seal.copy(folder, but=[FILE])
        ENSEMBLE.write(folder / FILE, content.model_copy(update={"members": members}).model_dump(mode="json"))


def load_ensemble(path: str | Path) -> Ensemble:
    """Opens an ensemble and checks it and its runs.

    Raises:
        EnsembleError: it is missing or damaged, or a run is not the one that was chosen.
        RunError: a run is missing or damaged.
    """
    folder = Path(path)
    return read_sealed(folder, "ensemble", EnsembleError, partial(_load, folder))


def _load(folder: Path, seal: Seal) -> Ensemble:
    content = seal.read(FILE, ENSEMBLE.read)
    runs: dict[str, Run] = {}
    for name, member in content.members.items():
        place = folder / member.folder
        restore(place)
        if not place.is_dir():
            raise EnsembleError(
                f"the runs of ensemble {folder} are not where they were when it was made: {name} should be at {place}; the "
                "folder holds only names and weights: copy the whole study, or make one folder of all with `striata pack`",
                path=str(place),
            )
        run = Run.load(place)
        if run.checksum != member.checksum:
            command = "ensemble" if content.cascade is None else "cascade"
            raise EnsembleError(
                f"run {name} is not the one {command} {folder} was made of; make it again with `striata {command}`"
            )
        runs[name] = run
    try:
        stacking = None if content.stacking is None else Stacking.from_json(content.stacking.model_dump(), content.labels)
    except KeyError as error:
        ENSEMBLE.refuse(folder / FILE, ValueError(f"field stacking: {error} is missing"))
    return Ensemble(
        folder=folder,
        seal=seal,
        method=content.method,
        by=content.by,
        combiner=Combiner(
            kind=content.combination,
            weights={name: member.weight for name, member in content.members.items()},
            stacking=stacking,
            cascade=None if content.cascade is None else content.cascade.restored(),
        ),
        runs=runs,
        labels=content.labels,
        metrics=content.metrics,
        nested=content.nested,
        single=content.single,
        studies=content.studies,
        rows=content.rows,
        trainable=sum(run.trainable for run in runs.values()),
    )
