"""The runs of a study, best first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from ..choices import RANKINGS
from ..disk.documents import Document, Exact, strictly
from ..disk.workplace import restore
from ..errors import StudyError
from ..figures.scores import Figured, in_words
from ..shown import Shown
from ..tasks import task_named
from .facts import Figures
from .refusal import refusals
from .run import Run
from .study_folder import SETTINGS, StudyFolder

TEST = "test.json"


class _Tested(Exact):
    checksum: str
    metrics: Figures


class _Tests(Exact):
    runs: dict[str, _Tested]


_TESTS = Document(kind="test figures", parse=strictly(_Tests), error=StudyError, advice="delete it and run `striata train` again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(Figured):
    """One run in the leaderboard.

    Args:
        run: name.
        kind: of the run, see :class:`striata.runs.facts.RunFacts`.
        layout: what the study called it.
        seed: of the run.
        trainable: parameters, head included.
        lora: of these, in adapters.
        by: the figure that orders the leaderboard, of :data:`striata.choices.RANKINGS`.
        figures: on the validation rows, by name.
        test: on the test rows, likewise; None without.
        best_step: when the kept checkpoint was taken.
        steps: taken in all.
        seconds: the run's share of the training time.
        shared_seconds: of these, what other runs count too.
        texts_per_second: answered on the validation rows; None where it was not measured.
        aliases: other layouts that are the same plan, trained by the same recipe.
        refused_for: the run without adaptation that stands in its place, where the validation check refuses it; else None.
    """

    run: str
    kind: str
    layout: str
    seed: int
    trainable: int
    lora: int
    by: str
    figures: Mapping[str, float]
    test: Mapping[str, float] | None
    best_step: int
    steps: int
    seconds: float
    shared_seconds: float
    texts_per_second: float | None
    aliases: tuple[str, ...]
    refused_for: str | None = None

    def __repr__(self) -> str:
        test = "" if self.test_value is None else f", {RANKINGS[self.by].shown(self.test_value)} on test rows"
        figure = in_words({self.by: self.value})
        return f"Standing({self.run}, {self.kind}: {figure}{test}, {self.trainable:,} parameters)"

    @property
    def value(self) -> float:
        """Of the figure that orders, on the validation rows."""
        return self.figures[self.by]

    @property
    def test_value(self) -> float | None:
        """Likewise on the test rows; None without."""
        return None if self.test is None else self.test[self.by]

    @property
    def merit(self) -> float:
        """The value as a number of which more is better."""
        return RANKINGS[self.by].merit(self.value)

    @property
    def test_accuracy(self) -> float | None:
        """On the test rows, of a task with labels; None without."""
        return None if self.test is None else self.test["accuracy"]

    def to_json(self) -> dict[str, object]:
        """All of it, with the figures by their names."""
        fields = asdict(self)
        figures, test = fields.pop("figures"), fields.pop("test")
        fields |= self.common | {"value": self.value, "test_value": self.test_value, "special": self.special}
        return fields | ({} if "accuracy" not in figures else {"test_accuracy": test and test["accuracy"]})


class Leaderboard(list[Standing], Shown):
    """Runs, best first."""


def leaderboard(folder: StudyFolder) -> Leaderboard:
    """The finished runs by the validation figure that the study's recipe names, then by loss; those that the validation check
    refuses come last.

    Raises:
        RunError: a run is damaged.
        StudyError: none is finished.
    """
    runs = folder.finished()
    tests, by = test_metrics(folder, runs), deciding_figure(folder.settings())
    twins = {name: refusal.twin for name, refusal in refusals(runs).items()}
    rows = [_standing(run, by, tests.get(run.name), twins.get(run.name)) for run in runs]
    return Leaderboard(sorted(rows, key=lambda row: (row.refused_for is not None, -row.merit, row.loss, row.run)))


def deciding_figure(settings: Mapping[str, Any]) -> str:
    """The figure by which a study's checkpoints are chosen, and its runs ordered, of :data:`striata.choices.RANKINGS`.

    Args:
        settings: of the study, as its folder and its runs keep them.
    """
    recipe, rankings = settings.get("recipe"), task_named(settings.get("task", "single-label")).rankings
    named = recipe.get("best_by") if isinstance(recipe, Mapping) else None
    return named if named in rankings else rankings[0]


def best_first(runs: Iterable[Run], by: str) -> list[Run]:
    """Runs by a validation figure, then by loss."""
    merit = RANKINGS[by].merit
    return sorted(runs, key=lambda run: (-merit(run.metrics[by]), run.metrics["loss"]))


def find_model(path: str | Path) -> Path:
    """The folder of a model: of a study its ensemble, or its best run where it has none; any other folder as it is.

    Raises:
        RunError: a run of the study is damaged.
        StudyError: the study has no finished run.
    """
    folder = Path(path)
    restore(folder)
    if not (folder / SETTINGS).is_file():
        return folder
    ensemble = folder / "ensemble"
    restore(ensemble)
    if ensemble.is_dir():
        return ensemble
    study = StudyFolder.open(folder)
    return study.run_folder(leaderboard(study)[0].run)


def _standing(run: Run, by: str, test: Mapping[str, float] | None, refused_for: str | None) -> Standing:
    facts = run.facts
    return Standing(
        run=run.name,
        kind=run.kind,
        layout=facts.layout,
        seed=facts.seed,
        trainable=facts.trainable,
        lora=facts.lora,
        by=by,
        figures=run.metrics,
        test=test,
        best_step=facts.best_step,
        steps=facts.steps,
        seconds=facts.seconds,
        shared_seconds=facts.shared_seconds,
        texts_per_second=facts.texts_per_second,
        aliases=facts.aliases,
        refused_for=refused_for,
    )


class Timed(Protocol):
    """What has taken time, some of it together with others: :class:`Standing`, :class:`striata.runs.facts.RunFacts`."""

    @property
    def seconds(self) -> float: ...
    @property
    def shared_seconds(self) -> float: ...


def total_seconds(runs: Iterable[Timed]) -> float:
    """Training time of several runs of a study, with what they share counted once."""
    listed = list(runs)
    alone = sum(run.seconds - run.shared_seconds for run in listed)
    return alone + max((run.shared_seconds for run in listed), default=0.0)


def test_metrics(folder: StudyFolder, runs: Sequence[Run]) -> dict[str, Mapping[str, float]]:
    """Figures on the test rows by run name, of those `runs` they were measured on; empty without.

    Raises:
        StudyError: the file cannot be read.
    """
    file = folder.path / TEST
    if not file.exists():
        return {}
    checksums = {run.checksum for run in runs}
    return {name: entry.metrics for name, entry in _TESTS.read(file).runs.items() if entry.checksum in checksums}


def write_test_metrics(folder: StudyFolder, runs: Sequence[Run], metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Keeps figures on the test rows, for :func:`test_metrics`.

    Args:
        folder: of the study.
        runs: that were measured.
        metrics: accuracy, loss and macro_f1 by run name.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    tested = {run.name: {"checksum": run.checksum, "metrics": dict(metrics[run.name])} for run in runs}
    _TESTS.write(folder.path / TEST, {"runs": tested})
