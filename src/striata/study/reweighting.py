"""Training rows weighted so that they are like rows without labels (`data.weight_like`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Table, read_texts
from ..data.equal import equal_texts
from ..disk.files import write_bytes
from ..errors import StudyError
from ..figures.density import Weights, density_weights, effective_rows
from ..training.events import Listener, doing, note
from .embeddings import StudyEmbeddings
from .preparation import Prepared

FILE = "weights.safetensors"
CLIP = 10.0
_MOST = 20_000  # rows without labels that are looked at
_WEIGHTS = "weights"


def reweighted(prepared: Prepared, folder: Path, listen: Listener, device: str = "auto") -> Prepared:
    """A study's data with the weights that `data.weight_like` asks for; as it is where it asks for none.

    The weights are kept in the study's folder, so that every call trains with the same.

    Args:
        prepared: the data.
        folder: of the study.
        listen: told in a note how many rows they are worth.
        device: "cpu", "cuda" or "auto"; of the encoder.

    Raises:
        DataError: the rows without labels cannot be read.
        StudyError: they are not those that the study was begun with.
    """
    study, source = prepared.study, prepared.study.data.weight_like
    if source is None:
        return prepared
    others = read_texts(source, study.columns.unweighted)
    train = prepared.splits.train
    if (others.pairs is None) != (train.pairs is None):
        raise StudyError(
            f"of {source} and the training rows one has second texts; expected the same of both", key="data.weight_like"
        )
    clip = study.data.weight_clip or CLIP
    parts = [prepared.splits.fingerprint, others.reference, clip, prepared.tokenizer_sha256, study.data.max_length]
    request = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    weights = _read(folder / FILE, request)
    if weights is None:
        doing(listen, f"weighing {len(train):,} training rows by {len(others):,} rows without labels")
        others = others.take(np.sort(np.random.default_rng(study.data.seed).permutation(len(others))[:_MOST]))
        weights = _weigh(prepared, others, folder, clip, device)
        _write(folder / FILE, weights, request)
    test = prepared.splits.test
    copies = 0 if test is None else _shared(others, test)
    worth = f"weights {weights.min():.2g} to {weights.max():.3g}, worth {effective_rows(weights):,.0f} of {len(weights):,} rows"
    told = f"training rows are weighted to be like {source}: {worth}"
    if (weights == weights[0]).all():
        told = f"nothing tells the training rows from those of {source}, so that all count alike"
    note(listen, f"transductive: {told}")
    if copies:
        note(listen, f"{copies:,} rows of {source} are copies of test rows: figures on the test rows flatter")
    return replace(prepared, weights=weights)


def _shared(others: Table, test: Table) -> int:
    """How many of the rows have the text of a test row."""
    pairs = None if test.pairs is None else [*test.pairs, *(others.pairs or ())]
    return int((equal_texts([*test.texts, *others.texts], pairs)[len(test) :] < len(test)).sum())


def _weigh(prepared: Prepared, others: Table, folder: Path, clip: float, device: str) -> Weights:
    study, train = prepared.study, prepared.splits.train
    pairs = None if train.pairs is None else [*train.pairs, *(others.pairs or ())]
    groups = equal_texts([*train.texts, *others.texts], pairs)
    features: tuple[Any, Any]
    if study.has_encoder:
        embeddings = StudyEmbeddings(study, folder, precision=study.recipe.precision, device=device)
        features = embeddings.of(train).means, embeddings.of(others).means
    else:
        features = _words(train, others)
    return density_weights(*features, groups=groups, clip=clip, seed=study.data.seed)


def _words(train: Table, others: Table) -> tuple[Any, Any]:
    """Words counted, for studies without an encoder."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    whole = [[f"{text} {pair}" for text, pair in zip(t.texts, t.pairs or [""] * len(t), strict=True)] for t in (train, others)]
    vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=50_000, token_pattern=r"(?u)\b\w+\b").fit([*whole[0], *whole[1]])
    return vectorizer.transform(whole[0]), vectorizer.transform(whole[1])


def _write(path: Path, weights: Weights, request: str) -> None:
    from safetensors.numpy import save

    metadata = {"request": request, "checksum": hashlib.sha256(weights.tobytes()).hexdigest()}
    write_bytes(path, save({_WEIGHTS: weights}, metadata))


def _read(path: Path, request: str) -> Weights | None:
    """What was written; None where it is not there or not whole.

    Raises:
        StudyError: it was made from other rows.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            weights: Weights = file.get_tensor(_WEIGHTS)
    except (SafetensorError, OSError):
        return None
    if metadata.get("checksum") != hashlib.sha256(weights.tobytes()).hexdigest():
        return None
    if metadata.get("request") != request:
        raise StudyError(
            f"the rows that {path.parent} was weighted by are not those that `data.weight_like` names now; restore them, or "
            "choose another `output`",
            key="data.weight_like",
        )
    return weights
