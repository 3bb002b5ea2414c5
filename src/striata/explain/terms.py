"""Where in a text the terms lie that a vectorizer counts."""

from __future__ import annotations

import re

from ..baselines.words import PART, Analysis

Places = dict[str, list[tuple[int, int]]]

_TOKEN = re.compile(r"(?u)\b\w\w+\b")  # as scikit-learn's word analyzer
_SPACES = re.compile(r"\s\s+")


def occurrences(analysis: Analysis, text: str) -> Places:
    """Every term that scikit-learn's analyzers count in a text, and the stretches (first character, place behind the last) of
    the text as it was given in which it occurs."""
    lowered, places = _lowered(text)
    terms = _characters(analysis, lowered) if analysis.analyzer == "char" else _words(analysis, lowered)
    if analysis.fragment is not None:
        _add_parts(terms, analysis.fragment, lowered)
    return {term: [(places[start], places[end - 1] + 1) for start, end in spans] for term, spans in terms.items()}


def _lowered(text: str) -> tuple[str, list[int]]:
    """The text in lower case, and for each of its characters the place in the text: `İ` becomes two."""
    pieces = [character.lower() for character in text]
    places = [at for at, piece in enumerate(pieces) for _ in piece]
    whole = text.lower()  # a last sigma is another one than that of a single letter
    return (whole if len(whole) == len(places) else "".join(pieces)), places


def _words(analysis: Analysis, text: str) -> Places:
    tokens = list(_TOKEN.finditer(text))
    result: Places = {}
    shortest, longest = analysis.ngrams
    for size in range(shortest, longest + 1):
        for at in range(len(tokens) - size + 1):
            some = tokens[at : at + size]
            result.setdefault(" ".join(token[0] for token in some), []).append((some[0].start(), some[-1].end()))
    return result


def _add_parts(places: Places, size: int, text: str) -> None:
    """Parts of words, padded by a space on both sides; each stands for the whole word."""
    for word in re.finditer(r"\S+", text):
        padded = f" {word[0]} "
        for at in range(max(1, len(padded) - size + 1)):
            places.setdefault(PART + padded[at : at + size], []).append(word.span())


def _characters(analysis: Analysis, text: str) -> Places:
    """Sequences of characters, in which several spaces are one."""
    places, at = list[int](), 0
    for gap in _SPACES.finditer(text):
        places += [*range(at, gap.start()), gap.start()]
        at = gap.end()
    places += range(at, len(text))
    line = _SPACES.sub(" ", text)
    result: Places = {}
    shortest, longest = analysis.ngrams
    for size in range(shortest, min(longest, len(line)) + 1):
        for start in range(len(line) - size + 1):
            result.setdefault(line[start : start + size], []).append((places[start], places[start + size - 1] + 1))
    return result
