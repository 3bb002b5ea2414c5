"""A run: a finished member, as a folder that explains itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..calibration import Calibration, calibrate
from ..data import Columns
from ..disk.files import read_json, write_json
from ..disk.sealed import check_seal, sealing
from ..errors import PlanError, RunError
from ..layout import Plan
from ..tasks import Task, task_named
from .adapter import read_adapter
from .facts import RunFacts

CALIBRATION = "calibration.json"
_VALIDATION = "validation.parquet"
PLAN = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A run or an ensemble on the validation rows.

    Args:
        ids: row numbers, (rows,) int64.
        labels: places of the true labels, (rows,) int64.
        logits: (rows, labels) float32.
    """

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]


def write_validation(folder: Path, validation: Validation) -> None:
    """Writes them into a folder, for :func:`read_validation`."""
    import pyarrow as pa
    from pyarrow import parquet

    logits = pa.array(validation.logits.tolist(), pa.list_(pa.float32(), validation.logits.shape[1]))
    table = pa.table({"id": validation.ids, "label": validation.labels, "logits": logits})
    parquet.write_table(table, folder / _VALIDATION)


def read_validation(folder: Path) -> Validation:
    """What :func:`write_validation` wrote."""
    from pyarrow import parquet

    table = parquet.read_table(folder / _VALIDATION)
    flat = table.column("logits").combine_chunks().flatten().to_numpy()
    return Validation(
        ids=table.column("id").to_numpy(), labels=table.column("label").to_numpy(), logits=flat.reshape(len(table), -1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A finished run that is not on disk yet.

    Args:
        facts: what `run.json` will say.
        plan: what was trained; None for kinds without adapters.
        receipt: what was live when training began; None for kinds without adapters.
        history: an entry per step (loss, learning rate) and per evaluation; empty for what is not trained in steps.
        validation: logits for all validation rows.
    """

    facts: RunFacts
    plan: Plan | None
    receipt: Mapping[str, object] | None
    history: Sequence[Mapping[str, float]]
    validation: Validation


def write_run(path: Path, record: RunRecord, write_weights: Callable[[Path], None] | None) -> Run:
    """Writes a run's folder, whole or not at all.

    Args:
        path: of the folder; what is there is replaced.
        record: of the run.
        write_weights: writes whatever the run's kind predicts with into the folder it is given. For adapters that is
            :func:`striata.runs.adapter.write_adapter`, so that peft opens the folder; any other kind writes files of its own (no
            pickles: safetensors, JSON, Parquet), which the folder's checksums then cover. None when there is nothing to write.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    steps = sorted({key for entry in record.history for key in entry})
    history = pa.table({key: [entry.get(key) for entry in record.history] for key in steps})
    validation = record.validation
    with sealing(path, "run") as folder:
        write_json(folder / "run.json", record.facts.model_dump(mode="json"))
        if record.plan is not None:
            write_json(folder / PLAN, record.plan.to_json())
        if record.receipt is not None:
            write_json(folder / "receipt.json", record.receipt)
        if write_weights is not None:
            write_weights(folder)
        parquet.write_table(history, folder / "history.parquet")
        write_validation(folder, validation)
        if np.isfinite(validation.logits).all():  # else the run is kept, and what needs its probabilities says why it cannot
            write_json(folder / CALIBRATION, calibrate(validation.logits, validation.labels).to_json())
    return Run.load(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run of any kind on disk.

    Args:
        path: its folder.
        facts: what its `run.json` says.
        plan: what was trained; None for kinds without adapters, see :attr:`adapter_plan`.
        checksum: stands for all bytes of the folder.
    """

    path: Path
    facts: RunFacts
    plan: Plan | None
    checksum: str

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Opens a run and checks every byte of it.

        Raises:
            RunError: it is missing, unfinished or damaged.
        """
        folder = Path(path)
        checksum = check_seal(folder, "run", RunError)
        try:
            facts = RunFacts.model_validate(read_json(folder / "run.json"))
            plan: Any = read_json(folder / PLAN) if (folder / PLAN).is_file() else None
            return cls(path=folder, facts=facts, plan=None if plan is None else Plan.from_json(plan), checksum=checksum)
        except (OSError, ValueError, PlanError) as error:
            reason = " ".join(str(error).split())
            raise RunError(f"run {folder} cannot be read ({reason}); it was written by another version of striata") from error

    @property
    def name(self) -> str:
        """Of the run."""
        return self.facts.name

    @property
    def kind(self) -> str:
        """How it predicts: "adapter", "soup", or a kind without adapters."""
        return self.facts.kind

    @property
    def title(self) -> str:
        """What the runs of its layout and recipe are called without their seeds."""
        return self.facts.title

    @property
    def seed(self) -> int:
        """Of weights, data order and dropout masks."""
        return self.facts.seed

    @property
    def trainable(self) -> int:
        """Parameters trained, head included."""
        return self.facts.trainable

    @property
    def adapter_plan(self) -> Plan:
        """The plan of a run with adapters.

        Raises:
            RunError: the run's kind has none.
        """
        if self.plan is None:
            raise RunError(f"run {self.path} is of kind '{self.kind}', which has no adapters; give one of kind adapter or soup")
        return self.plan

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, plan and recipe: what two runs share that differ in nothing but their names and seeds."""
        return self.facts.identity("" if self.plan is None else self.plan.hash)

    @property
    def task(self) -> Task:
        """What a label is.

        Raises:
            RunError: it is none that is known here.
        """
        return task_named(self.facts.task)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names in the order of the logits."""
        return self.facts.labels

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the kept checkpoint on all validation rows: accuracy, loss, macro_f1."""
        return self.facts.metrics

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other layouts of the study that are the same plan, trained by the same recipe."""
        return self.facts.aliases

    @property
    def columns(self) -> Columns:
        """Names of the columns that the study asked for."""
        return self.facts.columns

    def tensors(self) -> dict[str, np.ndarray]:
        """The adapters' and the head's weights, by peft's names.

        Raises:
            RunError: the run's kind has no adapters.
        """
        return read_adapter(self.path, self.adapter_plan)

    def validation(self) -> Validation:
        """Logits for the validation rows, with row numbers."""
        return read_validation(self.path)

    def calibration(self) -> Calibration:
        """Temperature and what it does, fitted on the validation rows; computed for runs of before it was kept."""
        file = self.path / CALIBRATION
        if file.is_file():
            value: Any = read_json(file)
            return Calibration.from_json(value)
        seen = self.validation()
        return calibrate(seen.logits, seen.labels)

    def history(self) -> list[dict[str, float | None]]:
        """An entry per step and per evaluation; None where an entry lacks a figure."""
        from pyarrow import parquet

        entries: list[dict[str, float | None]] = parquet.read_table(self.path / "history.parquet").to_pylist()
        return entries
