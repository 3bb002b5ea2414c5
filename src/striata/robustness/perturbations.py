"""Texts made worse the way real texts are: typing errors, case, lost punctuation, HTML remains, lost and moved words."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..data import Table
from ..errors import DataError, did_you_mean

STRENGTHS = (1, 2, 3)
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
# What web scrapers leave of these characters once the ampersand's escape is lost, as in AG News.
_REMAINS = {"'": " #39;", '"': " quot;", "&": " amp;", "<": "&lt;", ">": "&gt;"}


def _neighbours() -> dict[str, str]:
    neighbours: dict[str, str] = {}
    for row, keys in enumerate(_KEYBOARD):
        for at, key in enumerate(keys):
            beside = keys[max(0, at - 1) : at] + keys[at + 1 : at + 2]
            above = _KEYBOARD[row - 1][at : at + 2] if row else ""
            below = _KEYBOARD[row + 1][max(0, at - 1) : at + 1] if row + 1 < len(_KEYBOARD) else ""
            neighbours[key] = beside + above + below
    return neighbours


_BESIDE = _neighbours()


def _slip(letter: str, following: str, kind: float, pick: float) -> tuple[str, bool]:
    """A mistyped letter, and whether the following one was used up."""
    if kind < 0.25:
        return "", False
    if kind < 0.5 and following.isalpha() and following != letter:
        return following + letter, True
    keys = _BESIDE.get(letter.lower(), "")
    if kind < 0.75 and keys:
        key = keys[int(pick * len(keys))]
        return key.upper() if letter.isupper() else key, False
    return letter * 2, False


def _typos(text: str, amount: float, rng: random.Random) -> str:
    out, skip = [], False
    for at, letter in enumerate(text):
        draw, kind, pick = rng.random(), rng.random(), rng.random()  # drawn for each letter, so that strengths are nested
        if skip:
            skip = False
            continue
        if draw < amount and letter.isalpha():
            letter, skip = _slip(letter, text[at + 1 : at + 2], kind, pick)
        out.append(letter)
    return "".join(out)


def _each_word(text: str, amount: float, rng: random.Random, change: Callable[[str], str]) -> str:
    """Changes a share of the words and leaves the space between them as it is."""
    return re.sub(r"\S+", lambda match: change(match[0]) if rng.random() < amount else match[0], text)


def _lower(text: str, amount: float, rng: random.Random) -> str:
    return _each_word(text, amount, rng, str.lower)


def _upper(text: str, amount: float, rng: random.Random) -> str:
    return _each_word(text, amount, rng, str.upper)


def _punctuation(text: str, amount: float, rng: random.Random) -> str:
    return re.sub(r"[^\w\s]", lambda match: "" if rng.random() < amount else match[0], text)


def _html(text: str, amount: float, rng: random.Random) -> str:
    """Quotes become remains of escapes four times as often as words get tags: texts have fewer of them."""

    def remains(match: re.Match[str]) -> str:
        return _REMAINS[match[0]] if rng.random() < min(1.0, 4 * amount) else match[0]

    replaced = re.sub("|".join(_REMAINS), remains, text)
    return _each_word(replaced, amount, rng, lambda word: f"&lt;b&gt;{word}&lt;/b&gt;")


def _drop(text: str, amount: float, rng: random.Random) -> str:
    words = text.split()
    rest = [word for word in words if rng.random() >= amount]
    return text if len(rest) == len(words) else " ".join(rest or words[:1])


def _swap(text: str, amount: float, rng: random.Random) -> str:
    words, at, moved = text.split(), 0, False
    draws = [rng.random() for _ in words]
    while at + 1 < len(words):
        if draws[at] < amount:
            words[at], words[at + 1] = words[at + 1], words[at]
            at, moved = at + 1, True
        at += 1
    return " ".join(words) if moved else text


def _cut(text: str, amount: float, rng: random.Random) -> str:
    words = text.split()
    count = max(1, round(len(words) * (1 - amount)))
    return " ".join(words[:count]) if count < len(words) else text


def _shuffle(text: str, amount: float, rng: random.Random) -> str:
    """Takes a share of the sentences (at least two) and puts each where the next one of them was."""
    sentences = _SENTENCE.split(text)
    if len(sentences) < 2:
        return text
    order = list(range(len(sentences)))
    rng.shuffle(order)
    places = order[: max(2, round(len(order) * amount))]
    moved = list(sentences)
    for place, source in zip(places, places[1:] + places[:1], strict=True):
        moved[place] = sentences[source]
    return " ".join(moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """A way in which texts get worse.

    Args:
        name: of it.
        what: the amounts count, in a few words.
        amounts: for strengths 1, 2 and 3.
        change: (text, amount, random stream) -> text.
    """

    name: str
    what: str
    amounts: tuple[float, float, float]
    change: Callable[[str, float, random.Random], str]


PERTURBATIONS = {
    perturbation.name: perturbation
    for perturbation in (
        Perturbation(name="typos", what="of the letters mistyped", amounts=(0.02, 0.05, 0.1), change=_typos),
        Perturbation(name="lower_case", what="of the words in lower case", amounts=(0.3, 0.6, 1.0), change=_lower),
        Perturbation(name="upper_case", what="of the words in upper case", amounts=(0.3, 0.6, 1.0), change=_upper),
        Perturbation(name="punctuation", what="of the punctuation lost", amounts=(0.3, 0.6, 1.0), change=_punctuation),
        Perturbation(name="html", what="of the words in tags, quotes escaped", amounts=(0.05, 0.1, 0.25), change=_html),
        Perturbation(name="dropped_words", what="of the words lost", amounts=(0.1, 0.2, 0.4), change=_drop),
        Perturbation(name="swapped_words", what="of the words swapped with the next", amounts=(0.1, 0.25, 0.5), change=_swap),
        Perturbation(name="cut", what="of the text cut off its end", amounts=(0.25, 0.5, 0.75), change=_cut),
        Perturbation(name="shuffled_sentences", what="of the sentences moved", amounts=(0.34, 0.67, 1.0), change=_shuffle),
    )
}


def perturb(text: str, name: str, strength: int, *, row: int, seed: int = 0) -> str:
    """A text made worse: a function of the text, its row number and the seed, whatever else is perturbed before or beside it.

    The three strengths of one row use the same random numbers, so that a stronger one goes on where a weaker one stopped.

    Args:
        text: not empty.
        name: of :data:`PERTURBATIONS`.
        strength: 1, 2 or 3.
        row: number of the row.
        seed: another seed, other changes.

    Returns:
        The text; as it was when nothing of it would be left.

    Raises:
        DataError: the perturbation or the strength is unknown.
    """
    if name not in PERTURBATIONS:
        known = ", ".join(PERTURBATIONS)
        raise DataError(f"unknown perturbation '{name}'{did_you_mean(name, PERTURBATIONS)}; expected one of {known}")
    if strength not in STRENGTHS:
        raise DataError(f"strength {strength} of perturbation '{name}'; expected 1, 2 or 3")
    kind = PERTURBATIONS[name]
    key = hashlib.blake2b(f"{seed} {row} {name}".encode(), digest_size=8).digest()
    changed = kind.change(text, kind.amounts[strength - 1], random.Random(int.from_bytes(key, "little")))
    return changed if changed.strip() else text


def perturbed(table: Table, name: str, strength: int, *, seed: int) -> tuple[list[str], list[str] | None]:
    """All texts of a table made worse, and their second texts, if they have any, by draws of their own; see :func:`perturb`."""
    ids = table.ids.tolist()
    texts = [perturb(text, name, strength, row=row, seed=seed) for row, text in zip(ids, table.texts, strict=True)]
    if table.pairs is None:
        return texts, None
    pairs = [
        perturb(pair, name, strength, row=-1 - row, seed=seed) if pair.strip() else pair
        for row, pair in zip(ids, table.pairs, strict=True)
    ]
    return texts, pairs
