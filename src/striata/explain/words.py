"""Texts as words, and weights of stretches of a text dealt to them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..baselines.words import UNSPACED
from ..model.explanation import WordWeight

_JOINING = "'’\u200c\u200d"  # within a word, between two letters

Span = tuple[int, int, int]
"""The text (0, or 1 for the second), the first character, and the place behind the last."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: letters and digits up to a space or a punctuation mark, which is a word of its own; in scripts without
    spaces a character.

    Args:
        text: the word.
        part: 0 in the text, 1 in the second text.
        start: of its characters.
        end: the place behind them.
    """

    text: str
    part: int
    start: int
    end: int


class Words:
    """The words of a text and its second text.

    Args:
        text: the text.
        pair: the second text, or None.

    Attributes:
        list: the words, in order.
    """

    def __init__(self, text: str, pair: str | None) -> None:
        self.texts = (text,) if pair is None else (text, pair)
        self.list: list[Word] = []
        self._of: list[npt.NDArray[np.int64]] = []
        for part, whole in enumerate(self.texts):
            places = np.full(len(whole), -1, np.int64)
            for start, end in _cut(whole):
                places[start:end] = len(self.list)
                self.list.append(Word(whole[start:end], part, start, end))
            self._of.append(places)

    def __len__(self) -> int:
        return len(self.list)

    def at(self, span: Span) -> npt.NDArray[np.int64]:
        """Places of the words that a stretch touches."""
        part, start, end = span
        touched = np.unique(self._of[part][start:end])
        places: npt.NDArray[np.int64] = touched[touched >= 0]
        return places

    def without(self, place: int) -> tuple[str, str | None]:
        """Both texts without one of the words."""
        word, texts = self.list[place], list(self.texts)
        texts[word.part] = texts[word.part][: word.start] + texts[word.part][word.end :]
        return texts[0], texts[1] if len(texts) > 1 else None


class Weights:
    """Weights of words, gathered.

    Args:
        words: of the texts.

    Attributes:
        values: of each word.
        rest: of stretches without a word.
        read: which words a member of the model reads.
    """

    def __init__(self, words: Words) -> None:
        self.words = words
        self.values = np.zeros(len(words))
        self.rest = 0.0
        self.read = np.zeros(len(words), np.bool_)

    def add(self, span: Span | None, weight: float) -> None:
        """Deals a weight in equal shares to the words that a stretch touches."""
        places = self.words.at(span) if span is not None else ()
        if len(places):
            self.values[places] += weight / len(places)
            self.read[places] = True
        else:
            self.rest += weight

    def result(self) -> tuple[WordWeight, ...]:
        """A weight for every word."""
        return tuple(
            WordWeight(word=word.text, start=word.start, end=word.end, part=word.part, weight=float(weight), read=bool(read))
            for word, weight, read in zip(self.words.list, self.values, self.read, strict=True)
        )


def _cut(text: str) -> list[tuple[int, int]]:
    """First characters of the words, and the places behind the last."""
    spans: list[tuple[int, int]] = []
    begun: int | None = None  # of the word that goes on
    for at, character in enumerate(text):
        kind = unicodedata.category(character)
        if begun is not None and kind[0] == "M":
            continue
        joins = character in _JOINING and begun is not None and text[at + 1 : at + 2].isalnum()
        alone = kind[0] in "PS" or UNSPACED.match(character) is not None
        if begun is not None and not joins and (alone or kind[0] in "ZC"):
            spans.append((begun, at))
            begun = None
        if joins or kind[0] in "ZC":
            continue
        if begun is not None and UNSPACED.match(text[begun]):
            spans.append((begun, at))
            begun = None
        if kind[0] in "PS":
            spans.append((at, at + 1))
        elif begun is None:
            begun = at
    return [*spans, (begun, len(text))] if begun is not None else spans
