"""The runs of a study, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..disk.files import read_json
from ..errors import StudyError
from .run import Run
from .study_folder import StudyFolder

TEST = "test.json"


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
        aliases: other layouts that are the same plan, trained by the same recipe.
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
    aliases: tuple[str, ...]


def leaderboard(folder: StudyFolder) -> list[Standing]:
    """The finished runs by validation accuracy, then loss.

    Raises:
        RunError: a run is damaged.
        StudyError: none is finished.
    """
    runs = folder.runs()
    if not runs:
        raise StudyError(f"{folder.path} has no finished run yet; run `striata train` with its study")
    tests = test_metrics(folder, runs)
    rows = [_standing(run, tests.get(run.name)) for run in runs]
    return sorted(rows, key=lambda row: (-row.accuracy, row.loss, row.run))


def _standing(run: Run, test: Mapping[str, Any] | None) -> Standing:
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
        aliases=facts.aliases,
    )


def test_metrics(folder: StudyFolder, runs: Sequence[Run]) -> dict[str, Mapping[str, float]]:
    """Figures on the test rows by run name, of those `runs` they were measured on; empty without.

    Raises:
        StudyError: the file cannot be read.
    """
    file = folder.path / TEST
    if not file.exists():
        return {}
    try:
        found: Any = read_json(file)
        same = {name: entry["metrics"] for name, entry in found.items() if entry["checksum"] in {r.checksum for r in runs}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{file} cannot be read ({error}); delete it and run `striata train` again") from error
    return same
