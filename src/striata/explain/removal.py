"""How a label's score falls without each word."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model import Model
from .stages import Stage
from .words import Words

_AT_ONCE = 2048  # texts that are read together


def remove_each(
    model: Model, stage: Stage, label: int, words: Words
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], float]:
    """The score of the whole text less that without each word, (words,); whether removing it changes what any member reads,
    (words,); and the score of the whole text.

    A text that would be empty without its word counts as a score of 0, by which no label is ahead and each as likely as not.
    """
    shorter = [words.without(place) for place in range(len(words))]
    left = [at for at, parts in enumerate(shorter) if all(part is None or part.strip() for part in parts)]
    whole = words.texts[0], words.texts[1] if len(words.texts) > 1 else None
    texts = [whole[0], *(shorter[at][0] for at in left)]
    pairs = None if whole[1] is None else [whole[1], *(shorter[at][1] or "" for at in left)]
    parts = []
    for at in range(0, len(texts), _AT_ONCE):
        some, seconds = texts[at : at + _AT_ONCE], None if pairs is None else pairs[at : at + _AT_ONCE]
        parts.append(stage.scores(model.member_logits(some, seconds, names=stage.names), label))
    scores = np.concatenate(parts)
    without = np.zeros(len(words))
    without[left] = scores[1:]
    read = np.ones(len(words), np.bool_)
    if left:
        same = [whole[0]] * len(left), None if pairs is None else [pairs[0]] * len(left)
        read[left] = model.differ(same, (texts[1:], None if pairs is None else pairs[1:]))
    return scores[0] - without, read, float(scores[0])
