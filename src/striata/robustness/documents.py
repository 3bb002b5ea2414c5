"""What the `checks` of a study's folder hold: results of stress, shift, evaluate and audit, as they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from ..disk.documents import Document, Exact, strictly
from ..errors import StudyError
from ..figures.intervals import Interval

FOLDER = "checks"
T = TypeVar("T")


class ModelFacts(Exact):
    """The model that was looked at; its identity holds the checksum and weight of every run."""

    name: str
    folder: str
    identity: str


class StressedFacts(Exact):
    """See :class:`striata.robustness.stress.Stressed`."""

    perturbation: str
    strength: int
    amount: str
    changed: float
    broken: int
    mended: int
    accuracy: Interval
    difference: Interval


class SliceFacts(Exact):
    """See :class:`striata.robustness.stress.Slice`."""

    by: str
    name: str
    rows: int
    accuracy: Interval
    p_value: float


class StressFacts(Exact):
    """See :meth:`striata.robustness.stress.Stress.to_json`."""

    kind: Literal["stress"]
    model: ModelFacts
    source: str
    rows: int
    rows_in_source: int
    seed: int
    level: float
    clean: Interval
    stressed: Annotated[tuple[StressedFacts, ...], Field(min_length=1)]
    slices: tuple[SliceFacts, ...]
    small_slices: tuple[str, ...]


class TwoSampleFacts(Exact):
    """See :class:`striata.robustness.twosample.TwoSample`."""

    rows: tuple[int, int]
    auc: float
    p_value: float
    permutations: int
    foreign_at_least: float


class PartFacts(Exact):
    """See :class:`striata.robustness.shift.Part`."""

    name: str
    rows: int
    sampled: int
    test: TwoSampleFacts | None
    accuracy: Interval | None
    second_accuracy: float | None


class SourcesFacts(Exact):
    """Files by their role."""

    known: str
    unlabelled: str
    train: str | None


class CopiesFacts(Exact):
    """How many unlabelled rows are copies, of what, and the first of them."""

    rows: int
    share: float
    exact: int
    near: int
    of_known: int
    of_train: int
    first: tuple[dict[str, Any], ...]


class EstimateFacts(Exact):
    """What an estimate of accuracy without labels rests on."""

    fitted_on: str
    known_accuracy: Interval | None
    known_estimate: float | None
    assumptions: str


class ShiftFacts(Exact):
    """See :meth:`striata.robustness.shift.Shift.to_json`."""

    kind: Literal["shift"]
    model: ModelFacts
    sources: SourcesFacts
    known_rows: int
    known_sampled: int
    seed: int
    level: float
    parts: tuple[PartFacts, ...]
    copies: CopiesFacts
    wording: dict[str, Any]
    accuracy: EstimateFacts
    different: tuple[dict[str, Any], ...]


class PlaceFacts(Exact):
    """See :class:`striata.robustness.labels.Place`."""

    part: str
    source: str
    row: int
    label: str
    text: str


class SuspectFacts(PlaceFacts):
    """See :class:`striata.robustness.labels.Suspect`."""

    suggested: str
    quality: float


class ConflictFacts(Exact):
    """See :class:`striata.robustness.labels.Conflict`."""

    first: PlaceFacts
    second: PlaceFacts
    similarity: float
    exact: bool


class ConfusionFacts(Exact):
    """See :class:`striata.robustness.labels.Confusion`."""

    label: str
    predicted: str
    rows: int
    examples: tuple[PlaceFacts, ...]


class JudgedFacts(Exact):
    """See :class:`striata.robustness.labels.JudgedPart`."""

    name: str
    source: str
    rows: int
    judged: int
    by: str
    suspects: int


class AuditFacts(Exact):
    """See :meth:`striata.robustness.labels.LabelAudit.to_json`."""

    kind: Literal["audit"]
    runs: dict[str, str]
    data_fingerprint: str
    seed: int
    parts: tuple[JudgedFacts, ...]
    suspect_rows: int
    conflict_pairs: int
    suspects: tuple[SuspectFacts, ...]
    conflicts: tuple[ConflictFacts, ...]
    confusions: tuple[ConfusionFacts, ...]


class LabelFigures(Exact):
    """Rows of a label, and how many of them and of what is taken for it are right."""

    rows: int
    precision: float
    recall: float
    f1: float


class EvaluationFacts(Exact):
    """See :func:`striata.robustness.evaluation.keep_evaluation`."""

    kind: Literal["evaluation"]
    model: ModelFacts
    source: str
    rows: int
    accuracy: Interval
    macro_f1: float
    loss: float
    calibration_error: float
    brier: float
    per_label: dict[str, LabelFigures]


class NumberEvaluationFacts(Exact):
    """Likewise, of a model whose answers are numbers."""

    kind: Literal["evaluation"]
    model: ModelFacts
    source: str
    rows: int
    rmse: Interval
    mae: float
    r2: float
    spearman: float
    loss: float


_ADVICE = "delete it and run the command that writes it again"
STRESS = Document(kind="stress", parse=strictly(StressFacts), error=StudyError, advice=f"{_ADVICE}: striata stress")
SHIFT = Document(kind="shift", parse=strictly(ShiftFacts), error=StudyError, advice=f"{_ADVICE}: striata shift")
EVALUATION = Document(kind="evaluation", parse=strictly(EvaluationFacts), error=StudyError, advice=f"{_ADVICE}: striata evaluate")
NUMBER_EVALUATION = Document(
    kind="evaluation", parse=strictly(NumberEvaluationFacts), error=StudyError, advice=f"{_ADVICE}: striata evaluate"
)
AUDIT = Document(kind="label audit", parse=strictly(AuditFacts), error=StudyError, advice=f"{_ADVICE}: striata audit")


def keep(study: Path | None, name: str, document: Document[Any], fields: Mapping[str, Any]) -> Path | None:
    """Writes a result into the `checks` of a study's folder, beside its runs, which never change.

    Args:
        study: the folder; None for a model outside of a study.
        name: of the file, without its ending.
        document: STRESS, SHIFT, EVALUATION or AUDIT.
        fields: of the result.

    Returns:
        The file; None for a model outside of a study.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    if study is None:
        return None
    file = study / FOLDER / f"{name}.json"
    document.write(file, fields)
    return file


def read_kept(study: Path, name: str, document: Document[T]) -> tuple[T, ...]:
    """Results that :func:`keep` wrote, by the names of their files.

    Args:
        study: the folder.
        name: of the files, without their ending; `*` stands for anything.
        document: STRESS, SHIFT, EVALUATION or AUDIT.

    Raises:
        StudyError: one cannot be read.
    """
    return tuple(document.read(file) for file in sorted((study / FOLDER).glob(f"{name}.json")) if not file.name.startswith("."))
