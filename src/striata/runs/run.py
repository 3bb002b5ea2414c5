"""A run: a finished member, as a folder that explains itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..calibration import Calibration, calibrate
from ..data import Columns
from ..disk.documents import Document, read_columns, strictly
from ..disk.sealed import Seal, read_sealed, sealing
from ..errors import RunError
from ..figures.scores import in_words
from ..layout import Plan
from ..shown import Shown
from ..tasks import Task, check_labels, outputs_in_words, task_named
from .adapter import read_adapter
from .facts import ReceiptFacts, RunFacts

_ADVICE = "restore the folder from a copy, or delete it and train again"
_RUN = Document(kind="run", parse=strictly(RunFacts), error=RunError, advice=_ADVICE, sealed=True)
_PLAN = Document(kind="plan", parse=Plan.from_json, error=RunError, advice=_ADVICE, sealed=True)
_RECEIPT: Document[ReceiptFacts] = Document(
    kind="receipt", parse=strictly(ReceiptFacts), error=RunError, advice=_ADVICE, sealed=True
)
_CALIBRATION = Document(kind="calibration", parse=strictly(Calibration), error=RunError, advice=_ADVICE, sealed=True)
RUN = "run.json"
_FILES = {"run": RUN, "plan": "plan.json", "receipt": "receipt.json", "calibration": "calibration.json"}
T = TypeVar("T")
_HISTORY, _VALIDATION = "history.parquet", "validation.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """A run or an ensemble on the validation rows.

    Args:
        ids: row numbers, (rows,) int64.
        texts: what stands for the rows' texts in other data too, (rows,) uint64; see
            :meth:`striata.data.table.Table.text_hashes`.
        labels: places of the true labels, (rows,) int64; where rows have several, 0 or 1 for each, (rows, labels) int64; numbers
            as float64.
        logits: (rows, labels) float32.
    """

    ids: npt.NDArray[np.int64]
    texts: npt.NDArray[np.uint64]
    labels: npt.NDArray[Any]
    logits: npt.NDArray[np.float32]


def write_validation(folder: Path, validation: Validation) -> None:
    """Writes them into a folder, for :func:`read_validation`."""
    import pyarrow as pa
    from pyarrow import parquet

    def lists(values: npt.NDArray[Any]) -> Any:
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])

    labels = validation.labels if validation.labels.ndim == 1 else lists(validation.labels)
    logits = lists(validation.logits.astype(np.float32, copy=False))
    table = pa.table({"id": validation.ids, "text_hash": validation.texts, "label": labels, "logits": logits})
    parquet.write_table(table, folder / _VALIDATION)


def read_validation(seal: Seal) -> Validation:
    """What :func:`write_validation` wrote.

    Raises:
        RunError: it cannot be read.
    """
    import pyarrow as pa

    lists = r"fixed_size_list<element: {}>\[\d+\]"
    labels, logits = rf"int64|double|{lists.format('int64')}", lists.format("float")
    columns = {"id": "int64", "text_hash": "uint64", "label": labels, "logits": logits}
    table = seal.read(_VALIDATION, lambda file: read_columns(file, columns, _RUN))

    def array(name: str) -> npt.NDArray[Any]:
        column = table.column(name)
        if not pa.types.is_fixed_size_list(column.type):
            plain: npt.NDArray[Any] = column.to_numpy()
            return plain
        return np.asarray(column.combine_chunks().flatten().to_numpy()).reshape(len(table), -1)

    return Validation(ids=array("id"), texts=array("text_hash"), labels=array("label"), logits=array("logits"))


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Writes it into a folder, for :func:`read_calibration`."""
    _CALIBRATION.write(folder / _FILES["calibration"], calibration.to_json())


def read_calibration(seal: Seal) -> Calibration:
    """What :func:`write_calibration` wrote.

    Raises:
        RunError: it is missing or cannot be read.
    """
    return seal.read(_FILES["calibration"], _CALIBRATION.read)


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
        _RUN.write(folder / _FILES["run"], record.facts.model_dump(mode="json"))
        if record.plan is not None:
            _PLAN.write(folder / _FILES["plan"], record.plan.to_json())
        if record.receipt is not None:
            _RECEIPT.write(folder / _FILES["receipt"], record.receipt)
        if write_weights is not None:
            write_weights(folder)
        parquet.write_table(history, folder / _HISTORY)
        write_validation(folder, validation)
        task = task_named(record.facts.task)
        if (
            np.isfinite(validation.logits).all() and not task.numeric
        ):  # else the run is kept, and what needs its probabilities says why it cannot
            write_calibration(folder, calibrate(validation.logits, validation.labels, task))
    return Run.load(path)


@dataclass(frozen=True, kw_only=True)
class Run(Shown):
    """A finished run of any kind on disk.

    Opening it reads its facts; every other file is read, and every byte of it checked, when it is asked for.

    Args:
        path: its folder.
        facts: what its `run.json` says.
        seal: its manifest.
        encoder_at: where its encoder lies now; None where it lay when the run was trained.
        tokenizer_at: likewise of the tokenizer; None beside the encoder.
    """

    path: Path
    facts: RunFacts
    seal: Seal
    encoder_at: str | None = None
    tokenizer_at: str | None = None

    def __repr__(self) -> str:
        figure = f"{in_words({self.facts.by: self.metrics[self.facts.by]})} on {self.facts.split.get('validation', 0):,} rows"
        outputs = outputs_in_words(self.task, self.labels)
        return f"Run({self.name}, {self.kind}, {outputs}: {figure}, {self.trainable:,} parameters)"

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Opens a run.

        Raises:
            RunError: it is missing, unfinished or damaged.
        """
        folder = Path(path)

        def read(seal: Seal) -> Run:
            return cls(path=folder, facts=seal.read(_FILES["run"], _RUN.read), seal=seal)

        return read_sealed(folder, "run", RunError, read)

    @property
    def checksum(self) -> str:
        """Stands for all bytes of the folder."""
        return self.seal.checksum

    @cached_property
    def plan(self) -> Plan | None:
        """What was trained; None for kinds without adapters, see :attr:`adapter_plan`.

        Raises:
            RunError: it is damaged.
        """
        if not self.facts.plan_hash:
            return None
        plan = self.seal.read(_FILES["plan"], _PLAN.read)
        if plan.hash != self.facts.plan_hash:
            raise RunError(f"run {self.path} has the plan {plan.hash}; expected {self.facts.plan_hash}; {_ADVICE}")
        return plan

    def file(self, name: str) -> Path:
        """A file of the run's folder, such as one that its kind predicts with, every byte of it checked.

        Raises:
            RunError: it is damaged, or was not written with the run.
        """
        return self.seal.file(name)

    def check(self) -> None:
        """Checks every byte of the folder.

        Raises:
            RunError: a file is damaged.
        """
        self.seal.check()

    def read(self, reader: Callable[[Path], T]) -> T:
        """What `reader` makes of the folder, every byte of which is checked.

        Raises:
            RunError: a file is damaged, or the run was replaced meanwhile.
        """
        return self.seal.read(None, reader)

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
        return self.facts.identity

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
    def base(self) -> str | None:
        """The encoder, a folder or a Hub name, wherever it lies now; None for kinds without."""
        return self.encoder_at or self.facts.base

    @property
    def tokenizer_base(self) -> str | None:
        """Where its tokenizer is read from, a folder or a Hub name; None for kinds without."""
        return self.tokenizer_at or self.base

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the kept checkpoint on all validation rows: accuracy, loss, macro_f1, or what the task has."""
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
        return read_adapter(self.seal, self.adapter_plan)

    def validation(self) -> Validation:
        """Logits for the validation rows, with row numbers."""
        return read_validation(self.seal)

    def calibration(self) -> Calibration:
        """Temperature and what it does, fitted on the validation rows.

        Raises:
            RunError: the run has none, because its answers are numbers, or its logits are no finite ones.
        """
        check_labels(self.task, f"run {self.path}: a calibration", RunError)
        if _FILES["calibration"] not in self.seal.digests:
            raise RunError(
                f"run {self.path} has logits that are no finite numbers, so its probabilities cannot be calibrated; train it "
                "again with a lower learning rate"
            )
        return read_calibration(self.seal)

    def receipt(self) -> ReceiptFacts | None:
        """What was live when training began; None for kinds without adapters.

        Raises:
            RunError: it cannot be read.
        """
        return self.seal.read(_FILES["receipt"], _RECEIPT.read) if _FILES["receipt"] in self.seal.digests else None

    def history(self) -> list[dict[str, float | None]]:
        """An entry per step and per evaluation; None where an entry lacks a figure.

        Raises:
            RunError: it cannot be read.
        """
        table = self.seal.read(_HISTORY, lambda file: read_columns(file, {}, _RUN))
        entries: list[dict[str, float | None]] = table.to_pylist()
        return entries
