"""What an ensemble teaches: its probabilities for training rows and for texts without labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..choices import BASELINES
from ..data import Table
from ..disk.files import write_bytes
from ..model import Model
from ..model.baseline_scorers import TextScorer
from ..runs import Run
from ..runs.joined import in_order
from ..study import Prepared
from ..study.contenders import rows_embedded

Floats = npt.NDArray[np.float32]
_TARGETS = "targets"


def soft_targets(model: Model, prepared: Prepared, unlabelled: Table | None, *, hard: float = 0.0) -> Floats:
    """An ensemble's calibrated probabilities for a study's training rows, then for texts without labels.

    A baseline answers a training row by a fit without that row and its equals (:meth:`striata.baselines.Baseline.out_of_fold`).
    A run with adapters cannot: where it has learned a row by heart, it repeats that row's label.

    Args:
        model: of runs of this study.
        prepared: the study's data.
        unlabelled: more texts, or None.
        hard: weight of the true label in the targets of training rows, from 0 to 1.

    Returns:
        (training rows + texts, labels), each row adding up to 1, labels in the study's order.

    Raises:
        StriataError: the texts are not of the kind that the model reads.
    """
    labels, truth = prepared.splits.labels, prepared.targets["train"]
    taught = model.probabilities(model.combiner.apply(_unseen_logits(model, prepared)))
    parts = [in_order(taught, model.labels, labels)]
    if hard:
        parts[0] = np.float32(1 - hard) * parts[0] + np.float32(hard) * np.eye(len(labels), dtype=np.float32)[truth]
    if unlabelled is not None:
        parts.append(in_order(model.predict_proba(unlabelled.texts, unlabelled.pairs), model.labels, labels))
    return np.concatenate(parts).astype(np.float32)


def _unseen_logits(model: Model, prepared: Prepared) -> dict[str, Floats]:
    """Logits of each member for the training rows, (rows, labels), as far as possible by what has not seen the row's label."""
    train = prepared.splits.train
    logits: dict[str, Floats] = {}
    for scorer in model.scorers:
        own = _out_of_fold(scorer, model, prepared) if isinstance(scorer, TextScorer) else scorer.logits(train.texts, train.pairs)
        logits |= {name: in_order(values, scorer.labels[name], model.labels) for name, values in own.items()}
    return logits


def _out_of_fold(scorer: TextScorer, model: Model, prepared: Prepared) -> dict[str, Floats]:
    """Likewise, of baselines, labels in their own order."""
    train, truth, seed = prepared.splits.train, prepared.targets["train"], prepared.study.data.seed
    rows = replace(scorer.rows(train.texts, train.pairs), weights=prepared.weights)
    logits: dict[str, Floats] = {}
    for name, baseline in scorer.baselines.items():
        most = model.runs[name].facts.recipe["embedded_rows"]
        fitted = rows_embedded(len(train), most, seed)
        answers = np.empty((len(train), baseline.labels), np.float32)
        answers[fitted] = baseline.out_of_fold(rows.take(fitted), truth[fitted], seed=seed)
        others = np.setdiff1d(np.arange(len(train)), fitted)
        if len(others):
            answers[others] = baseline.logits(rows.take(others))
        logits[name] = answers
    return logits


def encoder_passes(runs: Sequence[Run]) -> int:
    """How often an encoder reads a text for runs to answer it: once for every run with adapters, and for each encoder once for
    all baselines on its embeddings."""
    adapted = sum(run.kind not in BASELINES for run in runs)
    embedded = {(run.facts.base_sha256, run.facts.max_length) for run in runs if run.kind in BASELINES and run.facts.base}
    return adapted + len(embedded)


def write_targets(path: Path, targets: Floats, request: str) -> None:
    """Writes targets, (rows, labels), for :func:`read_targets`.

    Args:
        path: of the file.
        targets: from :func:`soft_targets`.
        request: stands for all that they follow from.
    """
    metadata = {"request": request, "checksum": hashlib.sha256(targets.tobytes()).hexdigest()}
    write_bytes(path, save({_TARGETS: targets}, metadata))


def read_targets(path: Path, request: str) -> Floats | None:
    """What :func:`write_targets` wrote; None where it is not there, not whole, or follows from something else."""
    try:
        with safe_open(path, "numpy") as file:
            metadata, targets = file.metadata() or {}, file.get_tensor(_TARGETS)
    except (SafetensorError, OSError):
        return None
    whole = metadata.get("checksum") == hashlib.sha256(targets.tobytes()).hexdigest()
    return targets if whole and metadata.get("request") == request else None
