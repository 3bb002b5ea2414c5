"""The labels, or numbers, of the training rows that lie nearest in the frozen encoder's embeddings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from .frozen import embeddings_of
from .majority import constant
from .rows import Floats, Ints, Logits, Rows, Targets, Weights, are_numbers, part_of
from .selection import Judgement, judge
from .store import Facts, Tried, read_baseline, refuse, write_baseline

COUNTS = (5, 10, 20, 50)  # of neighbours
SHARPNESS = (0.0, 10.0, 20.0)  # weights are exp(sharpness x cosine): all alike, or nearer ones more
_TRIED = 2000  # rows whose neighbours choose among these
_FEWEST = 200  # of them, with thousands of labels
_SCORES = 1_000_000  # rows times labels that are judged for each choice
_MOST = 200_000  # rows that are looked at
_BLOCK = 8_000_000  # similarities in memory at once

Halves = npt.NDArray[np.float16]


class NeighboursFacts(Facts):
    """What `baseline.json` says of it; the fields are those of :class:`Neighbours`, and how many numbers an embedding has."""

    kind: Literal["neighbours"]
    features: int
    count: int
    sharpness: float
    scale: float


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Votes of the nearest training rows by cosine, smoothed by the labels' shares; of numbers the weighted mean, smoothed by
    that of all rows. Fit with :meth:`fit`.

    Args:
        vectors: of the training rows, unit length, (rows, size) float16.
        targets: places of their labels, (rows,); where rows have several labels 0 or 1 for each, (rows, labels);
            or numbers, (rows,) float64.
        priors: logarithms of the labels' shares, or log-odds, (labels,) float32; of numbers their mean, (1,).
        count: how many vote.
        sharpness: a vote weighs exp(sharpness x cosine) against that of the nearest.
        scale: factor on the logarithms of smoothed shares; 1 for numbers.
        weights: factors on the training rows' votes, (rows,); None where all are 1.
        tried: what was judged to choose these.
        notes: what a user should know.
        seconds: wall time of the fit.
    """

    kind: ClassVar[str] = "neighbours"
    embedded: ClassVar[bool] = True

    vectors: Halves
    targets: Targets
    priors: Logits
    count: int
    sharpness: float
    scale: float
    weights: Weights | None = None
    tried: Tried = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def labels(self) -> int:
        """How many labels."""
        return len(self.priors)

    @property
    def trainable(self) -> int:
        """How many numbers it keeps: embeddings and shares."""
        return self.vectors.size + len(self.priors)

    @classmethod
    def fit(cls, rows: Rows, targets: Targets, labels: int, *, seed: int = 0) -> Neighbours:
        """See :meth:`striata.baselines.rows.Baseline.fit`.

        How many vote and how is chosen by log loss, or squared error, on up to 2,000 training rows, whose own text does not
        vote. Above 200,000 rows a sample of these votes.

        Raises:
            DataError: the rows have no embeddings.
        """
        start, notes = time.perf_counter(), []
        used = np.sort(np.random.default_rng(seed).permutation(len(rows))[:_MOST])
        if len(used) < len(rows):
            notes.append(f"{len(used):,} of {len(rows):,} rows are looked at")
        part, goals = rows.take(used), targets[used]
        vectors = _unit(embeddings_of(part)).astype(np.float16)
        some = np.sort(np.random.default_rng(seed).permutation(len(used))[: max(_FEWEST, min(_TRIED, _SCORES // labels))])
        near = _Nearest(vectors, max(COUNTS), part.groups)
        places, cosines = near.of(vectors[some].astype(np.float32), part.groups[some])
        priors = constant(goals, labels, part.weights)
        judged: dict[tuple[int, float], Judgement] = {}
        for count in COUNTS:
            for sharpness in SHARPNESS:
                votes = _votes(places[:, :count], cosines[:, :count], goals, priors, sharpness, part.weights)
                judged[count, sharpness] = judge(votes, goals[some], part_of(part.weights, some))
        count, sharpness = min(judged, key=lambda key: judged[key].loss)
        return cls(
            vectors=vectors,
            targets=goals,
            priors=priors,
            count=count,
            sharpness=sharpness,
            scale=judged[count, sharpness].scale,
            weights=part.weights,
            tried=tuple({"count": key[0], "sharpness": key[1], **at.figures} for key, at in judged.items()),
            notes=tuple(notes),
            seconds=time.perf_counter() - start,
        )

    def logits(self, rows: Rows) -> Logits:
        """See :meth:`striata.baselines.rows.Baseline.logits`.

        Raises:
            DataError: the rows have no embeddings, or of another size.
        """
        places, cosines = self._nearest.of(_unit(embeddings_of(rows, self.vectors.shape[1])))
        return self._scaled(_votes(places, cosines, self.targets, self.priors, self.sharpness, self.weights))

    @cached_property
    def _nearest(self) -> _Nearest:
        return _Nearest(self.vectors, self.count)

    def out_of_fold(self, rows: Rows, targets: Targets, *, seed: int = 0) -> Logits:
        """See :meth:`striata.baselines.rows.Baseline.out_of_fold`; a fold here is a text and its equals."""
        vectors = _unit(embeddings_of(rows)).astype(np.float16)
        places, cosines = _Nearest(vectors, self.count, rows.groups).of(vectors.astype(np.float32), rows.groups)
        priors = constant(targets, self.labels, rows.weights)
        return self._scaled(_votes(places, cosines, targets, priors, self.sharpness, rows.weights))

    def receipt(self) -> dict[str, Any]:
        """See :meth:`striata.baselines.rows.Baseline.receipt`."""
        return self._facts().receipt()

    def _facts(self) -> NeighboursFacts:
        return NeighboursFacts(
            kind="neighbours",
            labels=self.labels,
            rows=len(self.vectors),
            trainable=self.trainable,
            features=self.vectors.shape[1],
            count=self.count,
            sharpness=self.sharpness,
            scale=self.scale,
            tried=self.tried,
            notes=self.notes,
            seconds=self.seconds,
        )

    def write(self, folder: Path) -> None:
        """See :meth:`striata.baselines.rows.Baseline.write`."""
        numbers: dict[str, npt.NDArray[Any]] = {"vectors": self.vectors, "targets": self.targets, "priors": self.priors}
        write_baseline(folder, self._facts(), numbers | ({} if self.weights is None else {"weights": self.weights}))

    @classmethod
    def read(cls, folder: Path) -> Neighbours:
        """See :meth:`striata.baselines.rows.Baseline.read`."""
        facts, tensors = read_baseline(folder, NeighboursFacts)
        try:
            if tensors["vectors"].shape != (facts.rows, facts.features) or len(tensors["targets"]) != facts.rows:
                raise ValueError("it holds another number of rows")
            return cls(
                vectors=tensors["vectors"],
                targets=tensors["targets"],
                priors=tensors["priors"],
                count=facts.count,
                sharpness=facts.sharpness,
                scale=facts.scale,
                weights=tensors.get("weights"),
                tried=facts.tried,
                notes=facts.notes,
                seconds=facts.seconds,
            )
        except (KeyError, ValueError) as error:
            refuse(folder, error)

    def _scaled(self, votes: Logits) -> Logits:
        scaled: Logits = (votes * np.float32(self.scale)).astype(np.float32)
        return scaled


def _unit(vectors: Floats) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = (vectors / np.maximum(lengths, np.float32(1e-12))).astype(np.float32)
    return unit


class _Nearest:
    """Exact search, a block of similarities at a time.

    Args:
        vectors: unit length, (rows, size).
        count: how many are looked for.
        groups: of the rows, where a query must not meet its own.
    """

    def __init__(self, vectors: Halves, count: int, groups: Ints | None = None) -> None:
        self.vectors, self.count, self.groups = vectors.astype(np.float32), count, groups

    def of(self, queries: npt.NDArray[np.float32], groups: Ints | None = None) -> tuple[Ints, npt.NDArray[np.float32]]:
        """Places and cosines of the nearest rows, nearest first, both (queries, count); -1 and -inf where there are fewer."""
        count = min(self.count, len(self.vectors))
        places = np.full((len(queries), self.count), -1, np.int64)
        cosines = np.full((len(queries), self.count), -np.inf, np.float32)
        for part in self._parts(len(queries)):
            close = queries[part] @ self.vectors.T
            if groups is not None and self.groups is not None:
                close[groups[part][:, None] == self.groups] = -np.inf
            best = np.argpartition(-close, count - 1, axis=1)[:, :count]
            value = np.take_along_axis(close, best, 1)
            order = np.lexsort((best, -value), axis=1)
            cosines[part, :count] = np.take_along_axis(value, order, 1)
            places[part, :count] = np.where(np.isfinite(cosines[part, :count]), np.take_along_axis(best, order, 1), -1)
        return places, cosines

    def _parts(self, queries: int) -> Iterator[slice]:
        step = max(1, _BLOCK // max(1, len(self.vectors)))
        for at in range(0, queries, step):
            yield slice(at, at + step)


def _votes(places: Ints, cosines: Floats, targets: Targets, priors: Logits, sharpness: float, factors: Weights | None) -> Logits:
    """Logarithms of (weighted votes + shares) / (weights + 1), (queries, labels) float32; log-odds where rows have several
    labels; of numbers (their weighted sum + mean) / (weights + 1)."""
    nearest = np.where(np.isfinite(cosines[:, :1]), cosines[:, :1], 0)
    weights = np.where(places >= 0, np.exp(sharpness * (np.where(places >= 0, cosines, nearest) - nearest)), 0)
    if factors is not None:
        weights = weights * factors[np.maximum(places, 0)]
    if are_numbers(targets):
        sums = (weights * targets[np.maximum(places, 0)]).sum(1, keepdims=True)
        means: Logits = ((sums + priors.astype(np.float64)) / (1 + weights.sum(1, keepdims=True))).astype(np.float32)
        return means
    if targets.ndim == 2:
        having = np.einsum("qn,qnl->ql", weights, targets[np.maximum(places, 0)])
        shares = (having + 1 / (1 + np.exp(-priors.astype(np.float64)))) / (1 + weights.sum(1, keepdims=True))
        odds: Logits = np.log(shares / (1 - shares)).astype(np.float32)
        return odds
    counts = np.tile(np.exp(priors.astype(np.float64)), (len(places), 1))
    rows = np.repeat(np.arange(len(places)), places.shape[1])
    np.add.at(counts, (rows, targets[np.maximum(places, 0)].ravel()), weights.ravel())
    logs: Logits = np.log(counts / (1 + weights.sum(1, keepdims=True))).astype(np.float32)
    return logs
