"""In which encoding a text file is: by evidence, which is shown, or as it is stated."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import DataError

SAMPLE = 2**20  # bytes of a file by which its form is judged
_BLOCK = 2**20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_ADVICE = "name its encoding with `data.encoding` (for instance cp1252, cp1250, cp1251, shift_jis or gb18030)"
# What speaks for and against Western European text of Windows, in bytes: runs of bytes above 127, and among them ...
_RUN = re.compile(rb"[\x80-\xff]+")
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # ... what it has no letter for,
_ALIEN = re.compile(
    rb"[\x80-\xff]{4,}"  # ... words of nothing else, as in Cyrillic, Greek, Chinese,
    rb"|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}"  # ... UTF-8,
    rb"|[A-Za-z][\x80\x82-\x87\x89\x8b\x93-\x95\x98\x99\x9b\xa1-\xa9\xab\xac\xae-\xb3\xb5\xb6\xb8\xb9\xbb-\xbf\xd7\xf7][A-Za-z]"
    rb"|[a-z][\x8a\x8c\x8e\x9f\xc0-\xd6\xd8-\xde]"  # ... signs inside of words, and capitals behind small letters
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A text file looked at once, from its first byte to its last.

    Args:
        encoding: by Python's name; the whole file can be decoded with it.
        evidence: how that is known, for a person to check; empty for UTF-8.
        sample: its beginning, decoded.
        whole: whether that is all of it.
        quotes: whether there is a double quote anywhere.
    """

    encoding: str
    evidence: str
    sample: str
    whole: bool
    quotes: bool


def survey(opened: Callable[[], BinaryIO], source: str, encoding: str | None) -> Survey:
    """Looks at a whole file.

    Args:
        opened: opens it.
        source: for messages.
        encoding: stated; None to determine it: by a mark, else UTF-8, else UTF-16 where every other byte is 0, else Windows'
            cp1252 where nothing speaks against it.

    Raises:
        DataError: a byte cannot be decoded, or no encoding is certain.
    """
    with opened() as file:
        head = file.read(SAMPLE)
    name = encoding or next((name for mark, name in _MARKS if head.startswith(mark)), None) or _wide(head) or "utf-8"
    if codecs.lookup(name).name == "utf-8" and head.startswith(codecs.BOM_UTF8):
        name = "utf-8-sig"
    evidence = "" if name.startswith("utf-8") else f"in {name}, as stated" if encoding else f"in {name.upper()}"
    wrong, quotes = _decode(opened, name)
    if wrong is not None and name == "utf-8" and encoding is None:
        name = "cp1252"
        evidence = f"in cp1252 (Windows), because line {wrong.line} is no UTF-8: {_western(opened, source, wrong)}"
    elif wrong is not None:
        raise DataError(f"{source}: {wrong} is not {name.upper()}; expected a file in {name}; {_ADVICE}")
    text = codecs.getincrementaldecoder(name)("strict").decode(head)
    return Survey(encoding=name, evidence=evidence, sample=text, whole=len(head) < SAMPLE, quotes=quotes)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """The first byte that cannot be decoded: its line from 1, its value, and what stands before and behind it."""

    line: int
    byte: int
    before: bytes
    behind: bytes

    def __str__(self) -> str:
        return f"line {self.line}: byte 0x{self.byte:02x}"


def _decode(opened: Callable[[], BinaryIO], encoding: str) -> tuple[_Wrong | None, bool]:
    """Decodes a whole file: what is wrong first, and whether there may be a double quote anywhere."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    lines, quotes = 1, False
    with opened() as file:
        while True:
            block = file.read(_BLOCK)
            quotes = quotes or b'"' in block
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                data, at = bytes(error.object), error.start
                lines += data[:at].decode(encoding, "ignore").count("\n")
                return _Wrong(lines, data[at], data[max(0, at - 20) : at], data[at : at + 20]), True
            lines += text.count("\n")
            if not block:
                return None, quotes


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: text of which every other byte is 0, as in all letters of Latin."""
    half = len(head) // 2
    if half and b"\0" in head[:4096]:
        odd, even = head[1::2].count(0), head[0::2].count(0)
        if odd > 0.6 * half and even < 0.05 * half:
            return "utf-16-le"
        if even > 0.6 * half and odd < 0.05 * half:
            return "utf-16-be"
    return None


def _western(opened: Callable[[], BinaryIO], source: str, wrong: _Wrong) -> str:
    """The word at the first byte that is no UTF-8, as Windows' cp1252 has it.

    Raises:
        DataError: the bytes are not those of Western European text in it.
    """
    runs = alien = undefined = 0
    with opened() as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            runs += len(_RUN.findall(block))
            alien += len(_ALIEN.findall(block))
            undefined += len(_UNDEFINED.findall(block))
    if undefined or alien > 0.05 * runs:
        raise DataError(f"{source}: {wrong} is not UTF-8; expected a file in UTF-8; {_ADVICE}")
    before, behind = (re.split(r"[\s,;]", part.decode("cp1252")) for part in (wrong.before, wrong.behind))
    return repr((before[-1] + behind[0]).strip('"[]{}:'))


def text_lines(opened: Callable[[], BinaryIO], encoding: str) -> io.TextIOWrapper:
    """The lines of a file with their endings, which are LF, CR LF or CR."""
    return io.TextIOWrapper(opened(), encoding=encoding, newline="")
