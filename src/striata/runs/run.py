"""A run: a finished member, as a folder that explains itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
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
from .adapter import read_adapter, write_adapter

CALIBRATION = "calibration.json"
_VALIDATION = "validation.parquet"
_ARRAYS = ("tensors", "history", "validation_ids", "validation_labels", "validation_logits", "receipt", "plan")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All there is to know of a finished member.

    Args:
        name: of the run.
        title: what the runs of its layout and recipe are called without their seeds.
        layout: what the study called it.
        seed: of weights, data order and dropout masks.
        recipe: how it was trained.
        plan: what was trained.
        labels: names, in the order of the logits.
        base: the encoder.
        head: of :data:`striata.choices.HEADS`.
        max_length: most tokens of a text.
        columns: names of the data's columns that were asked for.
        base_sha256: over the encoder's weights.
        data_fingerprint: SHA-256 over all rows.
        best_step: when the kept checkpoint was taken.
        steps: taken in all.
        metrics: of the kept checkpoint on all validation rows: accuracy, loss, macro_f1.
        stopped: "max_steps" or "patience".
        seconds: the member's share of the training time.
        versions: of Python and the libraries.
        hardware: device, cores, precision.
        split: rows of the parts.
        study: all settings of the study.
        tensors: the weights, by peft's names.
        history: an entry per step (loss, learning rate) and per evaluation.
        validation_ids: row numbers, (rows,) int64.
        validation_labels: places of the true labels, (rows,) int64.
        validation_logits: (rows, labels) float32.
        receipt: what was live when training began.
        aliases: other layouts of the study that are the same plan, trained by the same recipe.
        control: "uniform" or "reversed" when the layout is such a control of another one, else None.
        control_of: titles of the layouts whose control it is, by the kind of control.
    """

    name: str
    title: str
    layout: str
    seed: int
    recipe: dict[str, Any]
    plan: Plan
    labels: tuple[str, ...]
    base: str
    head: str
    max_length: int
    columns: dict[str, str | None]
    base_sha256: str
    data_fingerprint: str
    best_step: int
    steps: int
    metrics: dict[str, float]
    stopped: str
    seconds: float
    versions: dict[str, str]
    hardware: dict[str, str]
    split: dict[str, int]
    study: dict[str, Any]
    tensors: Mapping[str, np.ndarray]
    history: list[dict[str, float]]
    validation_ids: npt.NDArray[np.int64]
    validation_labels: npt.NDArray[np.int64]
    validation_logits: npt.NDArray[np.float32]
    receipt: dict[str, object]
    aliases: tuple[str, ...] = ()
    control: str | None = None
    control_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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


def write_validation(folder: Path, seen: Validation) -> None:
    """Writes them into a folder, for :func:`read_validation`."""
    import pyarrow as pa
    from pyarrow import parquet

    logits = pa.array(seen.logits.tolist(), pa.list_(pa.float32(), seen.logits.shape[1]))
    parquet.write_table(pa.table({"id": seen.ids, "label": seen.labels, "logits": logits}), folder / _VALIDATION)


def read_validation(folder: Path) -> Validation:
    """What :func:`write_validation` wrote."""
    from pyarrow import parquet

    table = parquet.read_table(folder / _VALIDATION)
    flat = table.column("logits").combine_chunks().flatten().to_numpy()
    return Validation(
        ids=table.column("id").to_numpy(), labels=table.column("label").to_numpy(), logits=flat.reshape(len(table), -1)
    )


def write_run(path: Path, record: RunRecord) -> Run:
    """Writes a run's folder, whole or not at all.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    plain = {f.name: getattr(record, f.name) for f in fields(record) if f.name not in _ARRAYS}
    steps = sorted({key for entry in record.history for key in entry})
    history = pa.table({key: [entry.get(key) for entry in record.history] for key in steps})
    seen = Validation(ids=record.validation_ids, labels=record.validation_labels, logits=record.validation_logits)
    with sealing(path, "run") as folder:
        write_json(folder / "run.json", plain)
        write_json(folder / "plan.json", record.plan.to_json())
        write_json(folder / "receipt.json", record.receipt)
        write_adapter(folder, record.plan, record.tensors)
        parquet.write_table(history, folder / "history.parquet")
        write_validation(folder, seen)
        if np.isfinite(seen.logits).all():  # else the run is kept, and what needs its probabilities says why it cannot
            write_json(folder / CALIBRATION, calibrate(seen.logits, seen.labels).to_json())
    return Run.load(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run on disk.

    Args:
        path: its folder.
        name: of the run.
        plan: what was trained.
        facts: the rest of what :class:`RunRecord` lists, without arrays.
        checksum: stands for all bytes of the folder.
    """

    path: Path
    name: str
    plan: Plan
    facts: Mapping[str, Any]
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
            facts, plan = read_json(folder / "run.json"), read_json(folder / "plan.json")
            assert isinstance(facts, dict)
            assert isinstance(plan, dict)
            return cls(path=folder, name=str(facts["name"]), plan=Plan.from_json(plan), facts=facts, checksum=checksum)
        except (OSError, ValueError, KeyError, AssertionError, PlanError) as error:
            raise RunError(f"run {folder} cannot be read ({error}); it was written by another version of striata") from error

    @property
    def title(self) -> str:
        """What the runs of its layout and recipe are called without their seeds."""
        return str(self.facts["title"])

    @property
    def layout(self) -> str:
        """What the study called the layout."""
        return str(self.facts["layout"])

    @property
    def seed(self) -> int:
        """Of weights, data order and dropout masks."""
        return int(self.facts["seed"])

    @property
    def control(self) -> str | None:
        """ "uniform" or "reversed" when the layout is such a control of another one, else None."""
        return None if self.facts["control"] is None else str(self.facts["control"])

    @property
    def control_of(self) -> Mapping[str, tuple[str, ...]]:
        """Titles of the layouts whose control it is, by the kind of control."""
        return {kind: tuple(titles) for kind, titles in self.facts["control_of"].items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names in the order of the logits."""
        return tuple(self.facts["labels"])

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the kept checkpoint on all validation rows: accuracy, loss, macro_f1."""
        found: Mapping[str, float] = self.facts["metrics"]
        return found

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other layouts of the study that are the same plan, trained by the same recipe."""
        return tuple(self.facts.get("aliases", ()))

    @property
    def columns(self) -> Columns:
        """Names of the columns that the study asked for."""
        return Columns(**self.facts["columns"])

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights, by peft's names."""
        return read_adapter(self.path)

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

        found: list[dict[str, float | None]] = parquet.read_table(self.path / "history.parquet").to_pylist()
        return found
