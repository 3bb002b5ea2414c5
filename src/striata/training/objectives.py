"""What members learn from texts without labels: one class for each of :data:`striata.choices.OBJECTIVES`.

Each poses a task on a step's texts, from a seed, and says how far a member's last hidden states are from doing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ..data import Encoded
from ..engine import MaskedHead, mean_pool, on_device

SHARE = 0.15  # of the tokens are to be guessed
TEMPERATURE = 0.05
_MASK, _RANDOM = 0.8, 0.9  # up to where tokens that are to be guessed become the mask, and from there on another token


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """A task on a step's texts.

    Args:
        texts: that are read.
        places: of the tokens that are to be guessed, among all tokens of the texts; empty where none are.
        answers: the ids of these tokens.
    """

    texts: Encoded
    places: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]


class Objective(Protocol):
    """What members learn from texts without labels."""

    def pose(self, texts: Encoded, seed: int) -> Posed:
        """A task on texts, the same for the same seed."""
        ...

    def loss(self, hidden: Tensor, posed: Posed) -> Tensor:
        """A scalar, of a member's last hidden states (tokens, size) of the posed texts."""
        ...


class MaskedTokens:
    """Masked-language modelling (Devlin et al. 2018, arXiv:1810.04805), on the texts of a task as in Gururangan et al. 2020,
    arXiv:2004.10964: 15 % of the tokens are guessed, of which 80 % are masked, 10 % another token and 10 % as they were.

    The loss is the mean cross entropy of these tokens.

    Args:
        head: that guesses them.
        mask: id of the mask's token.
        special: ids of tokens that are never guessed.
        vocabulary: how many ids there are.
    """

    def __init__(self, head: MaskedHead, *, mask: int, special: Sequence[int], vocabulary: int) -> None:
        self._head, self._mask, self._special, self._vocabulary = head, mask, list(special), vocabulary

    def pose(self, texts: Encoded, seed: int) -> Posed:
        """See :class:`Objective`."""
        rng = np.random.default_rng(seed)
        guessed = (rng.random(len(texts.ids)) < SHARE) & ~np.isin(texts.ids, self._special)
        places = np.flatnonzero(guessed)
        answers, ids, draw = texts.ids[places].astype(np.int64), texts.ids.copy(), rng.random(len(places))
        ids[places[draw < _MASK]] = self._mask
        other = places[(draw >= _MASK) & (draw < _RANDOM)]
        ids[other] = rng.integers(self._vocabulary, size=len(other))
        shown = Encoded(ids=ids, starts=texts.starts, types=texts.types, truncated=texts.truncated)
        return Posed(shown, places, answers)

    def loss(self, hidden: Tensor, posed: Posed) -> Tensor:
        """See :class:`Objective`; 0 where no token is guessed."""
        places, answers = (on_device(torch.from_numpy(values), hidden.device) for values in (posed.places, posed.answers))
        total = functional.cross_entropy(self._head(hidden.index_select(0, places)), answers, reduction="sum")
        return total / max(1, len(answers))


class Contrast:
    """Contrast with deletion: every text is read twice, with other dropout, and the second reading lacks most tokens; each
    reading's mean over the tokens is to be more like that of the same text than like those of the step's other texts.

    The loss is that of SimCSE (Gao, Yao and Chen 2021, arXiv:2104.08821), the mean cross entropy of the readings' cosines, over a
    temperature of 0.05. There the readings differ by dropout alone, which leaves nothing to learn to an encoder of sentences:
    their deletion, as denoising autoencoders have it (Wang, Reimers and Gurevych 2021, arXiv:2104.06979), does.

    Args:
        deleted: share of the tokens that the second reading lacks.
        special: ids of tokens that are never deleted.
    """

    def __init__(self, *, deleted: float, special: Sequence[int]) -> None:
        self._deleted, self._special = deleted, list(special)

    def pose(self, texts: Encoded, seed: int) -> Posed:
        """See :class:`Objective`; of tokens that are not special, a text keeps one at least."""
        special = np.isin(texts.ids, self._special)
        draw = np.where(special, -1, np.random.default_rng(seed).random(len(texts.ids)))
        stays = special | (draw >= self._deleted)
        stays[[begin + int(draw[begin:end].argmax()) for begin, end in pairwise(texts.starts) if end > begin]] = True
        nothing = np.zeros(0, np.int64)
        return Posed(Encoded.join([texts, texts.tokens_at(stays)]), nothing, nothing)

    def loss(self, hidden: Tensor, posed: Posed) -> Tensor:
        """See :class:`Objective`."""
        lengths = on_device(torch.from_numpy(posed.texts.lengths), hidden.device)
        first, second = functional.normalize(mean_pool(hidden, lengths), dim=-1).chunk(2)
        return functional.cross_entropy(first @ second.t() / TEMPERATURE, torch.arange(len(first), device=hidden.device))
