"""Keys that clients show."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from ..disk.system import reading
from ..errors import StriataError

_SHORTEST = 16


class Keys:
    """Keys of which a client has to show one. Only their digests are kept.

    Args:
        keys: any number.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    @classmethod
    def read(cls, path: Path) -> Keys:
        """Reads a file with one key in a line; empty lines and those that begin with `#` are left out.

        Raises:
            StriataError: it cannot be read, holds no key, or one that is short enough to be guessed.
        """
        with reading(path):
            content = path.read_bytes()
        try:
            lines = [line.strip() for line in content.decode("ascii").splitlines()]
        except UnicodeDecodeError:
            raise StriataError("is no ASCII text; expected one key in a line", argument="key_file", path=str(path)) from None
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise StriataError(f"{path} holds no key; expected one in a line", argument="key_file", path=str(path))
        for at, line in enumerate(lines):
            if line in keys and len(line) < _SHORTEST:
                raise StriataError(
                    f"{path}, line {at + 1}: the key has {len(line)} characters; expected at least {_SHORTEST}, such as "
                    "`openssl rand -hex 32` gives",
                    argument="key_file",
                    path=str(path),
                )
        return cls(keys)

    def accept(self, shown: bytes) -> bool:
        """Whether a key is one of them; takes the same time whichever it is, and however much of one is right."""
        digest = sha256(shown).digest()
        return sum([hmac.compare_digest(digest, own) for own in self._digests]) > 0


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()
