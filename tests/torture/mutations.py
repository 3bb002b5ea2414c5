"""Valid files of every format that is read, changed at random: each is read, or refused in one line.

By hand, in the repository's root, thousands of each::

    python -m tests.torture.run mutations --count 2000 [--seed 0]
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from .children import Outcome, try_all
from .samples import FORMATS, Format

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_WORDS = (
    b"", b"\0", b"\n", b"\r", b"\r\n", b"\t", b'"', b"'", b'""', b",", b":", b"[", b"]", b"{", b"}", b"<<: ", b"&a ", b"*a",
    b"!!int ", b"!!python/name:os.system ", b"---", b"...", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800",
    b"\x1b[31m", b"\xe2\x80\xae", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"9" * 5000, b"[" * 3000, b"\xc2\xb2",
    b"0x" + b"f" * 5000, b"x" * 70_000, b"text", b"label", b"2020-99-99", b"~", b"0-999999999 r4 query",
)  # fmt: skip


def mutate(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """One to four changes: bits, bytes, numbers, words, pieces cut out, doubled or taken from another file of the format."""
    for _ in range(chance.choice((1, 1, 1, 1, 1, 2, 4))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 2, 4, 8, 30, 300)))
        data = data[:at] + _instead(data[at:end], chance, others) + data[end:]
    return data


def _instead(piece: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    match chance.randrange(10):
        case 0 | 8 | 9:  # a bit
            return bytes([piece[0] ^ 1 << chance.randrange(8)]) + piece[1:] if piece else b""
        case 1:
            return bytes([chance.randrange(256)]) + piece[1:]
        case 2:
            width = chance.choice((1, 2, 4, 8))
            return (chance.choice(_NUMBERS) % 256**width).to_bytes(width, "little") + piece[width:]
        case 3:
            return chance.choice(_WORDS) + piece
        case 4:
            return chance.choice(_WORDS)
        case 5:
            return b""
        case 6:
            return piece * chance.choice((2, 3, 1000))
    other = chance.choice(others)
    start = chance.randrange(len(other))
    return other[start : start + len(piece)]


def try_format(format_: Format, cases: Sequence[int], seed: int, folder: Path) -> list[Outcome]:
    """Mutations of one format; a case is the same for the same seed and number.

    Args:
        format_: what is mutated.
        cases: numbers of the cases.
        seed: of the mutations.
        folder: an empty one.
    """
    samples = format_.write(folder)
    contents = [file.read_bytes() for file in samples]

    def call(case: int) -> object:
        chance = random.Random(f"{seed} {format_.name} {case}")
        at = chance.randrange(len(samples))
        changed = mutate(contents[at], chance, contents)
        samples[at].write_bytes(changed[: chance.randrange(len(changed) + 1)] if chance.random() < 0.1 else changed)
        try:
            return format_.read(samples[at])
        finally:
            samples[at].write_bytes(contents[at])

    for at, file in enumerate(samples):
        format_.read(file)  # what is not changed is read
        assert file.read_bytes() == contents[at]
    return try_all(cases, call)


def mutations(folder: Path, *, count: int, seed: int) -> Iterator[str]:
    """Mutations of all formats: an empty text for each that is read or refused, and a sentence for each that is not.

    Args:
        folder: an empty one.
        count: of each format.
        seed: of the mutations.
    """
    for format_ in FORMATS:
        (folder / format_.name).mkdir()
        for outcome in try_format(format_, range(count), seed, folder / format_.name):
            yield f"{format_.name}, case {outcome.case}: {outcome.kind}: {outcome.words}" if outcome.failed else ""
