"""A model as a folder for another tool, left behind only if it answers there as it does here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..calibration import fit_temperature
from ..calibration.several import fit_temperatures
from ..choices import EXPORTS, QUANTIZATIONS
from ..data import Columns, Table, encode_labels, read_table
from ..disk.files import new_folder
from ..disk.paths import is_there
from ..errors import ExportError
from ..extras import require
from ..figures.intervals import Interval, paired_difference
from ..robustness.checks import validation_rows
from ..tasks import check_labels

if TYPE_CHECKING:
    from ..model import Model
    from .openers import Answer
from .parts import Parts

Floats = npt.NDArray[np.float32]

NEEDS = {
    "transformers": (),
    "onnx": ("onnx", "onnx_ir", "onnxscript", "onnxruntime"),
    "sentence-transformers": ("sentence_transformers",),
}
BATCHES = (1, 7, 40)  # a graph may have taken the sizes of its example for its own
_WORDS = 60  # most words of a made-up text for a model that reads texts to their end
MOST = 1000  # rows that are compared
TOLERANCE = 1e-3  # largest difference of calibrated logits in fp32
ROUNDED = 2e-2  # where embeddings are rounded to 16 bits, and a last bit may fall to the other side
JUMPS = 0.02  # largest share of texts that a last bit may give other nearest rows, or another stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A folder for another tool, and how it answers there.

    Args:
        folder: where it lies.
        form: of :data:`striata.choices.EXPORTS`.
        quantization: of :data:`striata.choices.QUANTIZATIONS`, or None for fp32.
        texts: that were compared, in batches of 1, 7, 40 and more.
        source: of these texts.
        largest_difference: of a calibrated logit.
        agreement: share of the texts with the same label, or the same ones of several.
        accuracy: of the model on them, all labels of a text right; None where their labels are not known.
        change: of accuracy by the export, with its interval; None likewise.
        temperature: by which the export's logits were divided once more, fitted on these rows; 1 in fp32; of several labels one
            for each.
        apart: share of the texts whose calibrated logits are more than a last bit apart; not 0 only in 8 bits, and where a last
            bit decides which training rows are nearest or which stage answers.
        size: of the folder, in bytes.
    """

    folder: Path
    form: str
    quantization: str | None
    texts: int
    source: str
    largest_difference: float
    agreement: float
    accuracy: float | None
    change: Interval | None
    temperature: float | tuple[float, ...]
    apart: float
    size: int

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {**asdict(self), "folder": str(self.folder)}

    def lines(self) -> list[str]:
        """What was compared, in sentences."""
        lines = [
            f"{self.texts:,} texts of {self.source} answered as here: {self.agreement:.2%} the same label, calibrated logits at "
            f"most {self.largest_difference:.2g} apart"
        ]
        if self.apart and self.quantization is None:
            lines.append(f"a last bit decided which rows are nearest, or which stage answers, for {self.apart:.1%} of the texts")
        if self.change is not None and self.accuracy is not None and self.quantization is not None:
            lines.append(
                f"accuracy on them {self.accuracy:.4f}, in {self.quantization} {100 * self.change.value:+.2f} points "
                f"({100 * self.change.low:+.2f} to {100 * self.change.high:+.2f}); temperature fitted again"
            )
        return lines


def export_model(
    model: Model,
    out: str | Path,
    *,
    to: str = "onnx",
    quantize: str | None = None,
    data: object = None,
    columns: Columns | None = None,
    agreement: float = 0.98,
) -> Exported:
    """Writes a model for another tool, whole or not at all: a folder that does not answer as the model does is not left behind.

    Args:
        model: in fp32 on the CPU; the others as :func:`striata.export` takes them.

    Raises:
        StriataError: likewise.
    """
    check_labels(model.task, "an export", ExportError)
    from .card import write_card
    from .openers import OPENERS
    from .parts import take_apart
    from .writers import WRITERS, write_facts
    from .writers import quantize as quantize_graph

    _check(model, out, to, quantize)
    parts = take_apart(model)
    table, source, targets = _rows(model, parts, data, columns)
    if quantize is not None and targets is None:
        raise ExportError(
            f"the rows that {model.folder} was validated on cannot be read, and what {quantize} loses is to be measured; give "
            "labelled rows as `data`"
        )
    reference = _calibrated(model, table)
    with new_folder(Path(out)) as folder:
        WRITERS[to](parts, folder)
        if quantize is not None:
            quantize_graph(folder)
        answers = _answers(OPENERS[to](folder, parts.max_length), table)
        divisors = np.ones(())
        if quantize is not None and targets is not None:
            divisors = _rescaled(folder, answers, targets)
            factors: Floats = divisors.astype(np.float32)
            answers = answers / factors
        tolerance = ROUNDED if parts.rounds else TOLERANCE
        exported = _compared(
            model, Path(out), to, quantize, (reference, answers), targets, source=source, divisors=divisors,
            tolerance=tolerance, size=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        )  # fmt: skip
        _refuse(exported, agreement, JUMPS if parts.jumps else 0.0)
        facts: dict[str, object] = {
            "labels": parts.labels,
            "max_length": parts.max_length,
            "pairs": parts.pairs,
            "model": parts.checksum,
            "compared": exported.to_json(),
        }
        write_card(folder, parts, form=to, quantization=quantize, compared=exported.lines())
        write_facts(folder, facts | _decision(model))
    return exported


def _check(model: Model, out: str | Path, to: str, quantize: str | None) -> None:
    """Refuses what can be refused before anything is read."""
    EXPORTS.check(to, ExportError)
    if quantize is not None:
        QUANTIZATIONS.check(quantize, ExportError)
        if to != "onnx":
            raise ExportError(f"quantize is '{quantize}', which ONNX alone has here; leave it out, or export to onnx")
    if is_there(out):
        raise ExportError(f"{out} exists; choose another folder", argument="out", path=str(out))
    encoded = any(run.base is not None for run in model.runs.values())
    if quantize is not None and not encoded:
        raise ExportError(
            f"{model.folder} has no encoder whose products could be in {quantize}; leave it out", argument="quantize"
        )
    if encoded:
        require(f"an export to {to}", *NEEDS[to])


def _rows(model: Model, parts: Parts, data: object, columns: Columns | None) -> tuple[Table, str, npt.NDArray[np.int64] | None]:
    """Rows to compare on, what they are, and their targets where these are known."""
    if data is not None:
        table = read_table(data, columns or model.columns, split="test")
        return table, table.source, encode_labels(table, model.labels, model.task)
    validation = validation_rows(model)
    if validation is not None:
        table = validation.take(np.arange(min(MOST, len(validation))))
        return table, "the validation rows", encode_labels(table, model.labels, model.task)
    return _own_words(parts), "the tokenizer's own words" if parts.graphs else "words that it counts", None


def _own_words(parts: Parts) -> Table:
    """Texts of every length that the model reads."""
    words = parts.vocabulary()
    draws = np.random.default_rng(0)
    lengths = draws.integers(1, (parts.max_length or _WORDS) + 4, 100)
    texts = [" ".join(draws.choice(words, size)) for size in lengths]
    return Table(source="words", ids=np.arange(len(texts)), texts=texts, pairs=texts[::-1] if parts.pairs else None)


def _calibrated(model: Model, table: Table) -> Floats:
    return model.calibration.scaled(model.logits(table.texts, table.pairs))


def _answers(answer: Answer, table: Table) -> Floats:
    """Logits of all rows, in batches of all sizes."""
    sizes, parts, at = list(BATCHES), [], 0
    while at < len(table):
        size = sizes.pop(0) if sizes else BATCHES[-1]
        pairs = None if table.pairs is None else table.pairs[at : at + size]
        try:
            parts.append(answer(table.texts[at : at + size], pairs))
        except Exception as error:  # whatever another tool may raise
            reason = " ".join(str(error).split())[:200]
            raise ExportError(f"the export does not answer {size} texts at a time ({reason}); nothing is left") from error
        at += size
    return np.concatenate(parts)


def _rescaled(folder: Path, answers: Floats, targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    from .writers import rescale

    divisors = np.asarray(fit_temperature(answers, targets)) if targets.ndim == 1 else fit_temperatures(answers, targets)
    rescale(folder, divisors)
    return divisors


def _decision(model: Model) -> dict[str, object]:
    """How an answer is made of the logits."""
    if model.task.one_label:
        return {"ordered": model.task.ordered, "logits": "calibrated: their softmax is the probabilities"}
    return {
        "thresholds": list(model.calibration.thresholds),
        "logits": "calibrated: the sigmoid of each is a probability, and from its threshold on the label is given",
    }


def _same(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which rows have the same answer, (rows,)."""
    equal = one == other
    same: npt.NDArray[np.bool_] = equal if equal.ndim == 1 else equal.all(1)
    return same


def _compared(
    model: Model,
    out: Path,
    to: str,
    quantize: str | None,
    logits: Sequence[Floats],
    targets: npt.NDArray[np.int64] | None,
    *,
    source: str,
    divisors: npt.NDArray[np.float64],
    tolerance: float,
    size: int,
) -> Exported:
    reference, answers = logits
    if answers.shape != reference.shape:
        raise ExportError(f"the export to {to} answers {answers.shape[0]} texts with {answers.shape[1:]} logits; nothing is left")
    before, after = (model.calibration.decide_scaled(logits, model.task) for logits in (reference, answers))
    differences = np.abs(answers - reference).max(1)
    change = None
    if targets is not None:
        right, still = _same(before, targets), _same(after, targets)
        change = paired_difference(int((right & ~still).sum()), int((still & ~right).sum()), len(targets))
    return Exported(
        folder=out, form=to, quantization=quantize, texts=len(reference), source=source,
        largest_difference=float(differences.max()), agreement=float(_same(before, after).mean()),
        accuracy=None if targets is None else float(_same(before, targets).mean()), change=change,
        temperature=float(divisors) if divisors.ndim == 0 else tuple(divisors.tolist()),
        apart=float((~(differences <= tolerance)).mean()), size=size,
    )  # fmt: skip


def _refuse(exported: Exported, agreement: float, jumps: float) -> None:
    if exported.quantization is None and exported.apart > jumps:
        raise ExportError(
            f"the export to {exported.form} does not answer as the model does: calibrated logits are up to "
            f"{exported.largest_difference:.2g} apart; nothing is left"
        )
    if exported.agreement < agreement:
        raise ExportError(
            f"in {exported.quantization or 'fp32'} {exported.agreement:.2%} of {exported.texts:,} rows get the same label, less "
            f"than the {agreement:.2%} that are asked for; nothing is left",
            argument="agreement",
        )
