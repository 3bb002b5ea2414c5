"""Runs and ensembles in use: texts in, labels out, one encoder and one pass for all members."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from .data import Columns, Encoded, Table, Tokenizer, encode_labels, read_table
from .engine import Encoder, Stack, embed
from .ensemble import Ensemble, combine, load_ensemble
from .errors import DataError, RunError
from .evaluate import Metrics, metrics
from .files import write_json
from .study import Prepared, Run, StudyFolder
from .study.folder import find_run
from .study.leaderboard import TEST

_BATCH = 2048  # texts tokenized and sorted by length together


class Model:
    """A run or an ensemble, ready to predict. Get one with :meth:`load`.

    Args:
        folder: it was loaded from.
        runs: its members, in the order of `weights`.
        weights: of each member's logits.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto".

    Attributes:
        labels: names in the order of the logits.
        columns: names of the columns the study asked for.
    """

    def __init__(self, folder: Path, runs: Sequence[Run], weights: Sequence[float], *, device: str, precision: str) -> None:
        first = runs[0]
        self.folder, self.runs, self.weights = folder, tuple(runs), tuple(weights)
        self.labels, self.columns = first.labels, first.columns
        base = str(first.facts["base"])
        self.encoder = Encoder.load(base, head=first.plan.head, precision=precision, device=device)
        if self.encoder.sha256 != first.facts["base_sha256"]:
            raise RunError(
                f"run {first.path} was trained on other weights than those of {base} here "
                f"(SHA-256 {first.facts['base_sha256'][:12]}..., "
                f"here {self.encoder.sha256[:12]}...); give it the same encoder"
            )
        self.stack = Stack(self.encoder, [run.plan for run in runs])
        for slot, run in enumerate(runs):
            self.stack.load(slot, run.tensors())
        self.tokenizer = Tokenizer.load(base, int(first.facts["max_length"]))

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto", precision: str = "auto") -> Model:
        """Opens a run's or an ensemble's folder.

        Raises:
            RunError: a run is missing, unfinished, damaged, or belongs to other encoder weights.
            EnsembleError: the ensemble is damaged or its runs do not belong together.
            EncoderError: the encoder cannot be loaded.
        """
        path = Path(folder)
        if (path / "ensemble.json").is_file():
            ensemble = load_ensemble(path)
            runs, weights = list(ensemble.runs.values()), list(ensemble.members.values())
        else:
            runs, weights = [find_run(path)], [1.0]
        return cls(path, runs, weights, device=device, precision=precision)

    @property
    def identity(self) -> str:
        """Stands for everything that decides a prediction."""
        parts = [f"{run.checksum}*{weight!r}" for run, weight in zip(self.runs, self.weights, strict=True)]
        return " ".join([*parts, str(self.encoder.dtype), self.encoder.device.type])

    def member_logits(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Logits of every member for tokenized texts, (members, texts, labels)."""
        return self.stack.predict(encoded)

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> npt.NDArray[np.float32]:
        """Combined logits, (texts, labels).

        Args:
            texts: any number.
            pairs: the second texts, for models of pairs.

        Raises:
            DataError: a text is empty, or is no string.
        """
        _check(texts)
        parts = [np.zeros((0, len(self.labels)), np.float32)]
        for at in range(0, len(texts), _BATCH):
            second = None if pairs is None else pairs[at : at + _BATCH]
            encoded = self.tokenizer.encode(texts[at : at + _BATCH], second)
            parts.append(combine(self.member_logits(encoded), self.weights))
        return np.concatenate(parts)

    def embed(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> npt.NDArray[np.float32]:
        """Means of the frozen encoder's last hidden states, adapters not used, (texts, hidden size); raises as :meth:`logits`."""
        _check(texts)
        return embed(self.encoder, self.tokenizer.encode(texts, pairs))

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[str]:
        """The most likely label of each text, by name; raises as :meth:`logits`."""
        return [self.labels[i] for i in self.logits(texts, pairs).argmax(1)]

    def predict_proba(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> npt.NDArray[np.float32]:
        """Softmax of the combined logits, (texts, labels); raises as :meth:`logits`."""
        result: npt.NDArray[np.float32] = softmax(self.logits(texts, pairs), axis=1)
        return result

    def evaluate(self, data: str | Path | Table, *, columns: Columns | None = None) -> Metrics:
        """Figures on labelled rows.

        Args:
            data: file, folder, Hub name, or rows already read.
            columns: names of columns; those of the study by default.

        Raises:
            DataError: the data cannot be read, or has labels the model does not know.
        """
        table = data if isinstance(data, Table) else read_table(str(data), columns or self.columns, split="test")
        targets = encode_labels(table, self.labels)
        return metrics(self.logits(table.texts, table.pairs), targets, self.labels)


def test_study(
    folder: StudyFolder, ensemble: Ensemble | None, prepared: Prepared, *, device: str, precision: str
) -> dict[str, dict[str, float]]:
    """Measures all runs of a study and its ensemble on the test rows, in one pass, and keeps the runs' figures in its folder.

    Args:
        folder: the study's.
        ensemble: of some of its runs.
        prepared: the study's data.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto".

    Returns:
        Accuracy, loss and macro_f1 by run name, and of `ensemble`; empty when the study has no test rows.
    """
    table = prepared.splits.test
    if table is None:
        return {}
    runs = folder.runs()
    model = Model(folder.path, runs, [1 / len(runs)] * len(runs), device=device, precision=precision)
    logits = dict(zip((run.name for run in runs), model.member_logits(prepared.encoded["test"]), strict=True))
    if ensemble is not None:
        chosen = np.stack([logits[name] for name in ensemble.members])
        logits["ensemble"] = combine(chosen, list(ensemble.members.values()))
    found = {name: metrics(each, prepared.targets["test"], model.labels) for name, each in logits.items()}
    figures = {name: {"accuracy": m.accuracy, "loss": m.log_loss, "macro_f1": m.macro_f1} for name, m in found.items()}
    kept = {run.name: {"checksum": run.checksum, "metrics": figures[run.name]} for run in runs}
    write_json(folder.path / TEST, kept)
    return figures


def _check(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise DataError("one string was given; expected a list of texts")
    for at, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            what = "is empty" if isinstance(text, str) else f"is a {type(text).__name__}"
            raise DataError(f"text {at} (counted from 0) {what}; expected a text")
