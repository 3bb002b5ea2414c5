"""The runs of a study, best first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..disk.documents import Document, Exact, strictly
from ..disk.workplace import restore
from ..errors import StudyError
from ..figures.scores import special_figures
from ..shown import Shown
from .facts import Figures
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
class Standing:
    """One run in the leaderboard.

    Args:
        run: name.
        kind: of the run, see :class:`striata.runs.facts.RunFacts`.
        layout: what the study called it.
        seed: of the run.
        trainable: parameters, head included.
        lora: of these, in adapters.
        accuracy: on the validation rows.
        loss: likewise.
        macro_f1: likewise.
        test_accuracy: on the test rows; None without.
        best_step: when the kept checkpoint was taken.
        steps: taken in all.
        seconds: the run's share of the training time.
        shared_seconds: of these, what other runs count too.
        texts_per_second: answered on the validation rows; None where it was not measured.
        aliases: other layouts that are the same plan, trained by the same recipe.
        special: figures on the validation rows that only some tasks have, by name.
    """

    run: str
    kind: str
    layout: str
    seed: int
    trainable: int
    lora: int
    accuracy: float
    loss: float
    macro_f1: float
    test_accuracy: float | None
    best_step: int
    steps: int
    seconds: float
    shared_seconds: float
    texts_per_second: float | None
    aliases: tuple[str, ...]
    special: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        test = "" if self.test_accuracy is None else f", {self.test_accuracy:.4f} on test rows"
        return f"Standing({self.run}, {self.kind}: accuracy {self.accuracy:.4f}{test}, {self.trainable:,} parameters)"


class Leaderboard(list[Standing], Shown):
    """Runs, best first."""


def leaderboard(folder: StudyFolder) -> Leaderboard:
    """The finished runs by validation accuracy, then loss.

    Raises:
        RunError: a run is damaged.
        StudyError: none is finished.
    """
    runs = folder.finished()
    tests = test_metrics(folder, runs)
    rows = [_standing(run, tests.get(run.name)) for run in runs]
    return Leaderboard(sorted(rows, key=lambda row: (-row.accuracy, row.loss, row.run)))


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


def _standing(run: Run, test: Mapping[str, float] | None) -> Standing:
    facts = run.facts
    return Standing(
        run=run.name,
        kind=run.kind,
        layout=facts.layout,
        seed=facts.seed,
        trainable=facts.trainable,
        lora=facts.lora,
        accuracy=run.metrics["accuracy"],
        loss=run.metrics["loss"],
        macro_f1=run.metrics["macro_f1"],
        test_accuracy=None if test is None else test["accuracy"],
        best_step=facts.best_step,
        steps=facts.steps,
        seconds=facts.seconds,
        shared_seconds=facts.shared_seconds,
        texts_per_second=facts.texts_per_second,
        aliases=facts.aliases,
        special=special_figures(run.metrics),
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
