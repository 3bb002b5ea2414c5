"""Models that take more than one graph: members' arrays and the plan by which `predict.py` puts them together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..baselines import Lexical, Majority, Neighbours
from ..baselines.linear import Linear
from ..disk.files import write_text
from .standalone import PLAN

if TYPE_CHECKING:
    from .parts import Parts


def graph_folder(at: int) -> str:
    """Where the graph of an encoder lies, beside others."""
    return f"encoder-{at + 1}"


def write_composition(parts: Parts, folder: Path) -> None:
    """Writes the arrays of all members that are in no graph, and the plan.

    Args:
        parts: of the model.
        folder: of the export; its graphs lie there already.
    """
    words: list[dict[str, Any]] = []
    nearest: list[dict[str, Any]] = []
    for name, member in parts.texts.items():
        words.append({"name": name, **_write_words(member, parts.order[name], folder, f"words-{len(words) + 1}")})
    for name, (graph, looked) in parts.nearest.items():
        facts = _write_rows(looked, parts.order[name], folder, f"rows-{len(nearest) + 1}.npz")
        nearest.append({"name": name, "graph": graph, **facts})
    cascade, stacking = parts.combiner.cascade, parts.combiner.stacking
    plan = {
        "labels": parts.labels,
        "graphs": [
            {"folder": graph_folder(at), "max_length": graph.max_length, "members": graph.names}
            for at, graph in enumerate(parts.graphs)
        ],
        "words": words,
        "nearest": nearest,
        "kind": parts.combiner.kind,
        "weights": dict(parts.combiner.weights),
        "stacking": None if stacking is None else {
            "intercept": stacking.intercept.tolist(),
            "coefficients": {name: matrix.tolist() for name, matrix in stacking.coefficients.items()},
        },
        "cascade": None if cascade is None else {
            "early": cascade.early, "threshold": cascade.threshold, "early_temperature": cascade.early_temperature,
            "late_temperature": cascade.late_temperature,
        },
        "temperature": parts.divisors.tolist(),
    }  # fmt: skip
    _write_json(folder / PLAN, plan)


def divide(folder: Path, divisors: npt.NDArray[np.float64]) -> None:
    """Divides what a composed model answers once more, by a number or one for each label."""
    file = folder / PLAN
    plan = json.loads(file.read_text(encoding="utf-8"))
    _write_json(file, plan | {"temperature": (np.array(plan["temperature"]) * divisors).tolist()})


def _write_words(member: Lexical | Majority, order: Any, folder: Path, stem: str) -> dict[str, Any]:
    """One that counts words, with a vocabulary; of one without words the bias is all there is."""
    vectorizer = member.vectorizer if isinstance(member, Lexical) else None
    model = member.model if isinstance(member, Lexical) else Linear(weights=_nothing(member.labels), bias=member.priors)
    weights = model.weights[:, order] if vectorizer is not None else _nothing(member.labels)
    arrays = {"bias": model.bias[order], "idf": np.zeros(0, np.float32) if vectorizer is None else vectorizer.idf}
    if isinstance(weights, sp.csr_array):
        weights.sort_indices()
        arrays |= {"data": weights.data, "indices": weights.indices, "indptr": weights.indptr}
    else:
        arrays["weights"] = np.ascontiguousarray(weights)
    np.savez(folder / f"{stem}.npz", **arrays)
    _write_json(folder / f"{stem}.json", [] if vectorizer is None else vectorizer.terms)
    files = {"arrays": f"{stem}.npz", "terms": f"{stem}.json"}
    if vectorizer is None:
        return {**files, "analyzer": "word", "ngrams": [1, 1], "fragment": None, "paired": False}
    analysis = vectorizer.analysis
    settings = {"analyzer": analysis.analyzer, "ngrams": analysis.ngrams, "fragment": analysis.fragment}
    return {**files, **settings, "paired": vectorizer.paired}


def _nothing(labels: int) -> Any:
    return np.zeros((0, labels), np.float32)


def _write_rows(member: Neighbours, order: Any, folder: Path, name: str) -> dict[str, Any]:
    """One that looks up rows, with their embeddings."""
    places = np.argsort(order)  # of its own labels, among the model's
    targets = places[member.targets] if member.targets.ndim == 1 else member.targets[:, order]
    factors = np.ones(len(targets)) if member.weights is None else member.weights
    np.savez(folder / name, vectors=member.vectors, targets=targets, priors=member.priors[order], factors=factors)
    return {"arrays": name, "count": member.count, "sharpness": member.sharpness, "scale": member.scale}


def _write_json(file: Path, value: Any) -> None:
    write_text(file, json.dumps(value, ensure_ascii=False) + "\n")
