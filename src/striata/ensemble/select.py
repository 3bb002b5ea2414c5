"""The best runs of a study, combined by the mean of their logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import EnsembleError
from ..evaluate import metrics
from ..files import read_json, write_json
from ..sealed import check_seal, sealing
from ..study.folder import StudyFolder
from ..study.run import Run

RANKINGS = ("accuracy", "macro_f1", "loss")
_FILE = "ensemble.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Runs with weights.

    Args:
        folder: of the ensemble.
        members: weight of each run's logits, by run name; they add up to 1.
        runs: the runs, by name.
        metrics: of the combination on the validation rows: accuracy, loss, macro_f1. The members were chosen by these same
            rows, so the figures flatter.
        trainable: parameters of all members together.
    """

    folder: Path
    members: Mapping[str, float]
    runs: Mapping[str, Run]
    metrics: Mapping[str, float]
    trainable: int


def select(runs: Sequence[Run], size: int, by: str) -> list[Run]:
    """The best runs on validation rows, best first.

    Args:
        runs: to choose from.
        size: how many.
        by: "accuracy", "macro_f1" or "loss"; equal runs are ordered by loss, then by name.

    Raises:
        EnsembleError: there are fewer runs, or `by` is unknown.
    """
    if by not in RANKINGS:
        raise EnsembleError(f"cannot rank runs by '{by}'; expected one of {', '.join(RANKINGS)}")
    if not 1 <= size <= len(runs):
        raise EnsembleError(f"an ensemble of {size} was asked for, but there are {len(runs)} finished runs; change the size")
    sign = 1 if by == "loss" else -1
    return sorted(runs, key=lambda run: (sign * run.metrics[by], run.metrics["loss"], run.name))[:size]


def combine(logits: npt.NDArray[np.floating], weights: Sequence[float]) -> npt.NDArray[np.float32]:
    """Weighted mean of logits (members, rows, labels) -> (rows, labels)."""
    mean: npt.NDArray[np.float32] = np.einsum("mrl,m->rl", logits.astype(np.float64), np.asarray(weights)).astype(np.float32)
    return mean


def write_ensemble(path: str | Path, *, size: int = 4, by: str = "accuracy") -> Ensemble:
    """Combines the best runs of a study and writes `ensemble` into its folder.

    Args:
        path: the study's folder.
        size: how many runs.
        by: validation figure that decides.

    Raises:
        EnsembleError: there are too few runs, or they cannot be combined.
        StudyError, RunError: the folder is no study's, or a run is damaged.
    """
    folder = StudyFolder.open(path)
    chosen = select(folder.runs(), size, by)
    check_same(chosen)
    validation = [run.validation() for run in chosen]
    weights = [1 / size] * size
    mean = combine(np.stack([v.logits for v in validation]), weights)
    measured = metrics(mean, validation[0].labels, chosen[0].labels)
    with sealing(folder.path / "ensemble", "ensemble") as target:
        write_json(
            target / _FILE,
            {
                "combination": "mean of logits",
                "by": by,
                "members": {
                    run.name: {"weight": weight, "folder": f"../runs/{run.name}", "checksum": run.checksum}
                    for run, weight in zip(chosen, weights, strict=True)
                },
                "labels": list(chosen[0].labels),
                "metrics": {"accuracy": measured.accuracy, "loss": measured.log_loss, "macro_f1": measured.macro_f1},
            },
        )
    return load_ensemble(folder.path / "ensemble")


def load_ensemble(path: str | Path) -> Ensemble:
    """Opens an ensemble and checks it and its runs.

    Raises:
        EnsembleError: it is missing or damaged, or a run is not the one that was chosen.
        RunError: a run is missing or damaged.
    """
    folder = Path(path)
    check_seal(folder, "ensemble", EnsembleError)
    content = read_json(folder / _FILE)
    assert isinstance(content, dict)
    members = content["members"]
    assert isinstance(members, dict)
    runs: dict[str, Run] = {}
    weights: dict[str, float] = {}
    for name, member in members.items():
        assert isinstance(member, dict)
        run = Run.load(folder / str(member["folder"]))
        if run.checksum != member["checksum"]:
            raise EnsembleError(
                f"run {name} is not the one ensemble {folder} was made of; make it again with `striata ensemble {folder.parent}`"
            )
        runs[name], weights[name] = run, float(str(member["weight"]))
    check_same(list(runs.values()))
    found = content["metrics"]
    assert isinstance(found, dict)
    return Ensemble(
        folder=folder,
        members=weights,
        runs=runs,
        metrics={key: float(str(value)) for key, value in found.items()},
        trainable=sum(run.plan.trainable for run in runs.values()),
    )


def check_same(runs: Sequence[Run]) -> None:
    """Checks that runs can be combined.

    Raises:
        EnsembleError: they differ in labels, encoder, texts or validation rows.
    """
    first = runs[0]
    for run in runs[1:]:
        for key in ("labels", "base_sha256", "head", "max_length", "data_fingerprint"):
            if run.facts[key] != first.facts[key]:
                raise EnsembleError(
                    f"runs {first.name} and {run.name} differ in {key} ({first.facts[key]!r}, {run.facts[key]!r}); expected "
                    "runs of one encoder over the same data"
                )
