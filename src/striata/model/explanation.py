"""What of a text speaks for a label, and what against it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..shown import Shown
from ..tasks import split_labels

_STRONG, _WEAK = 0.6, 0.2  # shares of the largest weight


@dataclass(frozen=True, slots=True, kw_only=True)
class WordWeight:
    """A word, and what it adds to the score of the label.

    Args:
        word: as it stands in the text; a punctuation mark is a word of its own.
        start: of its characters in its text.
        end: the place behind them.
        weight: above 0 where it speaks for the label, below where against.
        part: 0 in the text, 1 in the second text.
        read: whether the model reads it; False behind the length at which texts are cut.
    """

    word: str
    start: int
    end: int
    weight: float
    part: int = 0
    read: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NearRow:
    """A training row that lies near a text.

    Args:
        row: its number in the training file, from 0.
        text: of the row.
        pair: its second text; None where there is none.
        label: its own.
        similarity: the cosine, at most 1.
    """

    row: int
    text: str
    pair: str | None
    label: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Shown):
    """Why a model gives a text a label: what its words add to the label's score.

    The score is the label's calibrated logit less the mean of the other labels'; of two labels it is the log-odds, and where a
    text may have several labels it is the label's calibrated logit, its log-odds. It says what the model computes, and nothing of
    what causes the label in the world.

    Args:
        text: that was read.
        pair: the second text; None where there is none.
        label: that is explained.
        predicted: the label that the model gives; of several `a|b`, or the empty text for none.
        probability: of the explained label, calibrated.
        method: "exact" (the score is linear in the words), "gradients", "leave-one-out" or "neighbours".
        words: in the order of the texts; none of "neighbours".
        score: of the label.
        empty: the score where nothing is read: of an encoder all words as padding, of counted words none; None where the method
            has no use for it.
        error: how far the weights are from adding up to `score` less `empty`; None where the method does not promise that they
            do.
        steps: on the way from nothing to the whole text, of "gradients"; else 0.
        rows: the nearest training rows, of "neighbours".
        several: whether a text may have several labels.
    """

    text: str
    pair: str | None
    label: str
    predicted: str
    probability: float
    method: str
    words: tuple[WordWeight, ...]
    score: float
    empty: float | None
    error: float | None
    steps: int
    rows: tuple[NearRow, ...] = ()
    several: bool = False

    def __repr__(self) -> str:
        if self.rows:
            return f"Explanation({self.label}, {self.probability:.1%}, {len(self.rows)} nearest training rows)"
        words = ", ".join(f"{one.word} {one.weight:+.2f}" for one in self.strongest(3))
        return f"Explanation({self.label}, {self.probability:.1%}, {self.method}: {words})"

    def strongest(self, count: int) -> tuple[WordWeight, ...]:
        """The words with the largest weights, for the label or against it, the largest first."""
        some = sorted((one for one in self.words if one.weight), key=lambda one: -abs(one.weight))
        return tuple(some[:count])

    @property
    def beside(self) -> str:
        """What the model says where that is not the explained label alone, in words; else the empty text."""
        return "" if self.predicted == self.label else f"the model says {self.predicted or 'no label'}"

    def agrees(self, row: NearRow) -> bool:
        """Whether a row has the explained label."""
        return self.label in (split_labels(row.label) if self.several else (row.label,))

    def level(self, word: WordWeight) -> int:
        """How strong a word is beside the strongest: 2 and 1 for the label, -2 and -1 against it, 0 where it hardly matters."""
        most = max((abs(one.weight) for one in self.words), default=0.0)
        share = abs(word.weight) / most if most else 0.0
        size = 2 if share >= _STRONG else 1 if share >= _WEAK else 0
        return size if word.weight > 0 else -size

    def pieces(self, part: int = 0) -> list[tuple[str, WordWeight | None]]:
        """The text (or with 1 the second text) in pieces that make it up: words with their weights, and what lies between."""
        text = (self.pair or "") if part else self.text
        pieces: list[tuple[str, WordWeight | None]] = []
        at = 0
        for word in (one for one in self.words if one.part == part):
            pieces += [(text[at : word.start], None)] if at < word.start else []
            pieces.append((word.word, word))
            at = word.end
        return [*pieces, (text[at:], None)] if at < len(text) else pieces

    @property
    def told(self) -> str:
        """How the weights were found, and how far they are from adding up, in a sentence."""
        if self.method == "neighbours":
            return "the training rows that lie nearest; where their labels differ, look at them"
        if self.method == "leave-one-out":
            return "how the score falls without each word; these do not add up to the score"
        way = "exact: the score is linear in the words" if self.method == "exact" else f"gradients in {self.steps} steps"
        assert self.empty is not None
        off = f"the weights add up to {self.score - self.empty:+.2f}"
        if self.error is not None and abs(self.error) >= 0.005:  # which two places show
            off += f" but for {self.error:.2g}"
        return f"{way}; from {self.empty:+.2f} with no words to {self.score:+.2f}, and {off}"

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return asdict(self)
