"""What a closed list is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import StriataError, did_you_mean


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a list.

    Args:
        text: what it means, in half a sentence; empty where the name says it.
    """

    text: str = ""


Entry = TypeVar("Entry", bound=Choice)


class Choices(dict[str, Entry], Generic[Entry]):
    """A closed list: entries by name, in the order in which they are shown.

    Args:
        what: what one of them is called in a message, such as "head".
        entries: by name.
    """

    def __init__(self, what: str, entries: Mapping[str, Entry]) -> None:
        super().__init__(entries)
        self.what = what

    def check(self, name: str, error: type[StriataError]) -> Entry:
        """The entry of a name.

        Raises:
            StriataError: of the given kind, when there is no such entry; it names the nearest one.
        """
        if name not in self:
            raise error(f"unknown {self.what} '{name}'{did_you_mean(name, self)}; expected {self.names}")
        return self[name]

    @property
    def names(self) -> str:
        """All names, as in "lion, adamw, adam or sgd"."""
        return alternatives(self)

    @property
    def help(self) -> str:
        """All names, each with its meaning in parentheses."""
        return alternatives(f"{name} ({entry.text})" if entry.text else name for name, entry in self.items())


def alternatives(words: Iterable[str], conjunction: str = "or") -> str:
    """Words as an enumeration: "a", "a or b", "a, b or c"."""
    *first, last = words
    return f"{', '.join(first)} {conjunction} {last}" if first else last
