"""What a baseline reads, and what every baseline does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from ..data.equal import equal_texts

Floats = npt.NDArray[np.floating]
Logits = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Targets = npt.NDArray[Any]  # places of labels, or numbers
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Texts, and what is known of them.

    Args:
        texts: n texts.
        pairs: n second texts, or None where a row is one text.
        vectors: means of the encoder's last hidden states, (n, size), for the baselines that read them.
        words: means of its tokens' own embeddings, before any layer, (n, size of these).
        weights: how much each row counts in a fit, as if it were there so many times, (n,); None where all count once.
    """

    texts: Sequence[str]
    pairs: Sequence[str] | None = None
    vectors: Floats | None = None
    words: Floats | None = None
    weights: Weights | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def groups(self) -> Ints:
        """For each row the first row with an equal text, (n,); see :func:`striata.data.equal.equal_texts`."""
        return equal_texts(self.texts, self.pairs)

    @cached_property
    def characters(self) -> int:
        """Of all texts together."""
        return sum(map(len, self.texts)) + sum(map(len, self.pairs or ()))

    def followed_by(self, others: Rows) -> Rows:
        """These rows, then others that have what these have."""
        return Rows(
            texts=[*self.texts, *others.texts],
            pairs=None if self.pairs is None or others.pairs is None else [*self.pairs, *others.pairs],
            vectors=_joined(self.vectors, others.vectors),
            words=_joined(self.words, others.words),
            weights=_joined(self.weights, others.weights),
        )

    def take(self, places: Ints) -> Rows:
        """The rows at `places`, in that order."""
        chosen = places.tolist()
        return Rows(
            texts=[self.texts[at] for at in chosen],
            pairs=None if self.pairs is None else [self.pairs[at] for at in chosen],
            vectors=None if self.vectors is None else self.vectors[places],
            words=None if self.words is None else self.words[places],
            weights=None if self.weights is None else self.weights[places],
        )


def are_numbers(targets: npt.NDArray[Any]) -> bool:
    """Whether targets are numbers to be predicted, not places of labels."""
    return np.issubdtype(targets.dtype, np.floating)


def part_of(weights: Weights | None, places: Ints) -> Weights | None:
    """Weights of the rows at some places; None where all count once."""
    return None if weights is None else weights[places]


def _joined(some: Any, others: Any) -> Any:
    return None if some is None or others is None else np.concatenate([some, others])


class Baseline(Protocol):
    """A contender that costs seconds: fitted on training rows, kept in a folder without pickles.

    Args:
        kind: its name.
        embedded: whether it reads `Rows.vectors` (and not the texts).
        labels: how many labels its logits are for.
        trainable: how many numbers were fitted.
        seconds: wall time of the fit.
        notes: what a user should know of the fit, in sentences.
    """

    kind: ClassVar[str]
    embedded: ClassVar[bool]

    @property
    def labels(self) -> int: ...
    @property
    def trainable(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    @classmethod
    def fit(cls, rows: Rows, targets: Targets, labels: int, *, seed: int = 0) -> Self:
        """Fits on training rows; the same rows and seed give the same baseline, bit for bit.

        Args:
            rows: at least one.
            targets: places of the labels, (n,); where rows have several labels 0 or 1 for each, (n, labels); where rows have a
                number, these, (n,) float64.
            labels: how many there are; some may have no row; 1 for a number.
            seed: of folds, samples and solvers.
        """
        ...

    def logits(self, rows: Rows) -> Logits:
        """Scores whose softmax, or sigmoid where rows have several labels, are probabilities, (n, labels) float32; of numbers the
        numbers themselves, (n, 1)."""
        ...

    def out_of_fold(self, rows: Rows, targets: Targets, *, seed: int = 0) -> Logits:
        """Logits of the training rows, each by a fit (with the settings that were chosen) without it and its equals."""
        ...

    def receipt(self) -> dict[str, Any]:
        """What was fitted, for `receipt.json`."""
        ...

    def write(self, folder: Path) -> None:
        """Writes JSON and safetensors files into an existing folder."""
        ...

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote; its logits are bitwise those of what was written.

        Raises:
            RunError: the files are missing or damaged.
        """
        ...
