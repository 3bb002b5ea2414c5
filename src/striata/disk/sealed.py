"""Folders with a manifest: written whole or not at all, and every byte of them can be checked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from ..errors import StriataError, did_you_mean
from .documents import parse_json
from .files import new_folder, sha256_file, write_text
from .system import cannot_read, reading
from .upgrades import current_version, upgrade
from .workplace import restore

NAME = "manifest.json"
CARD = "README.md"
_TRIES = 10
T = TypeVar("T")


def _text(content: dict[str, object]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _with_checksum(content: dict[str, object]) -> str:
    return _text({**content, "checksum": hashlib.sha256(_text(content).encode()).hexdigest()})


@contextlib.contextmanager
def sealing(path: Path, kind: str) -> Iterator[Path]:
    """Yields a temporary folder that becomes `path`, its manifest written last, when the block ends well.

    Args:
        path: of the new folder; an existing one is replaced whole.
        kind: what the folder is: "run", "ensemble" or "pack".

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    with new_folder(path) as folder:
        yield folder
        inside = [file for file in folder.rglob("*") if file.is_file() and file != folder / CARD]
        files = {file.relative_to(folder).as_posix(): sha256_file(file) for file in inside}
        write_text(folder / NAME, _with_checksum({"format_version": current_version("manifest"), "kind": kind, "files": files}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The manifest of a sealed folder, which answers for its files.

    Args:
        path: of the folder.
        kind: what the folder is.
        error: raised when a file is not what was written.
        checksum: of the manifest, which stands for all of the folder's bytes.
        digests: SHA-256 of each file, by its name.
    """

    path: Path
    kind: str
    error: type[StriataError]
    checksum: str
    digests: Mapping[str, str]

    def file(self, name: str) -> Path:
        """A file of the folder, every byte of it checked; a process reads a file that does not change for this only once.

        Raises:
            StriataError: it is damaged, or the folder has been replaced since it was opened.
        """
        file = self.path / name
        try:
            if name in self.digests and sha256_file(file) == self.digests[name]:
                return file
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            pass
        except OSError as reason:
            self._refuse_replaced()
            raise self.error(cannot_read(file, reason), path=str(self.path)) from reason
        self._refuse_replaced()
        raise _damaged(self.error, self.kind, self.path, name)

    def read(self, name: str | None, reader: Callable[[Path], T]) -> T:
        """What `reader` makes of a file of the folder: of the very file that was checked, or it raises as :meth:`file`.

        Args:
            name: of the file; None for the folder, of which all files are checked.
            reader: gets its path.
        """
        names = self.digests if name is None else [name]
        for part in names:
            self.file(part)
        try:
            value = reader(self.path if name is None else self.path / name)
        except (OSError, StriataError):
            self._refuse_replaced()
            raise
        for part in names:  # the folder may have been replaced between the check and the reading
            self.file(part)
        return value

    def copy(self, folder: Path, *, but: Container[str] = ()) -> None:
        """Copies the folder's files into another one, without its manifest, every byte of them checked.

        Args:
            folder: exists.
            but: names of files to leave out.

        Raises:
            StriataError: as :meth:`file`.
            OSError: a copy cannot be written.
        """
        for name, digest in self.digests.items():
            if name not in but:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.file(name), folder / name)
                if sha256_file(folder / name) != digest:
                    self._refuse_replaced()
                    raise _damaged(self.error, self.kind, self.path, name)

    def _refuse_replaced(self) -> None:
        if self.is_replaced():
            told = f"{self.kind} {self.path} was replaced while it was read; run the command again"
            raise self.error(told, path=str(self.path))

    def check(self) -> None:
        """Checks all files; raises as :meth:`file`."""
        for name in self.digests:
            self.file(name)

    def is_replaced(self) -> bool:
        """Whether another folder of the kind has taken this one's place."""
        try:
            return open_seal(self.path, self.kind, self.error).checksum != self.checksum
        except StriataError:
            return False


def open_seal(path: Path, kind: str, error: type[StriataError]) -> Seal:
    """Opens a sealed folder: it is finished, its manifest is sound, and it holds the manifest's files and no others.

    The files' bytes are checked when they are used; see :meth:`Seal.file`. A model card (`README.md`) may be added.

    Args:
        path: of the folder.
        kind: what it should be.
        error: raised when it is not.

    Raises:
        StriataError: it is missing, unfinished, damaged, or of another kind.
    """
    for _ in range(_TRIES):
        data = _manifest(path, kind, error)
        try:
            return _sealed(path, kind, error, data)
        except StriataError:  # or another process has replaced the folder between the manifest and its files' names
            if _manifest(path, kind, error) == data:
                raise
    raise _replaced_again(path, kind, error)


def refuse_missing(path: Path, kind: str, error: type[StriataError]) -> None:
    """Refuses a folder that is not there."""
    restore(path)
    if not path.is_dir():
        raise error(f"there is no {kind} folder {path}{_near(path)}; check the path", path=str(path))


def _manifest(path: Path, kind: str, error: type[StriataError]) -> bytes:
    restore(path)
    with reading(path, error):
        if path.is_file():
            raise error(f"{path} is a file; expected a {kind}'s folder", path=str(path))
        refuse_missing(path, kind, error)
        file = path / NAME
        if not file.is_file():
            raise error(f"{path} is no finished {kind}: it has no {NAME}; give a {kind}'s folder", path=str(path))
        return file.read_bytes()


def _near(path: Path) -> str:
    """A folder beside it with nearly this name, as a question; empty where there is none."""
    try:
        return did_you_mean(path.name, (other.name for other in path.parent.iterdir() if other.is_dir()))
    except OSError:
        return ""


def _sealed(path: Path, kind: str, error: type[StriataError], data: bytes) -> Seal:
    """What a manifest says of a folder, if it is so."""
    try:
        content = parse_json(data)
        stated = content.pop("checksum")
        sound = data.decode() == _with_checksum(content) and isinstance(content["files"], dict)
    except (ValueError, KeyError, AttributeError, TypeError):
        sound = False
    if not sound:
        raise _damaged(error, kind, path, NAME)
    try:
        content = upgrade("manifest", content.pop("format_version", None), content)
    except ValueError as reason:
        raise error(f"{kind} {path} cannot be read: {reason}", path=str(path)) from None
    if content["kind"] != kind:
        raise error(f"{path} is of kind '{content['kind']}'; expected kind '{kind}'", path=str(path))
    with reading(path, error):
        names = _names(path)
    present = {name for name in names if name not in (NAME, CARD) and not name.startswith(".")}
    for name in content["files"]:
        if name not in present:
            raise _damaged(error, kind, path, name)
    for name in sorted(present.difference(content["files"])):
        raise error(f"{kind} {path} holds {name}, which was not written with it; take it out", path=str(path))
    return Seal(path=path, kind=kind, error=error, checksum=str(stated), digests=content["files"])


def read_sealed(path: Path, kind: str, error: type[StriataError], read: Callable[[Seal], T]) -> T:
    """What `read` makes of a sealed folder; it is called again when another process replaces the folder meanwhile.

    Args:
        path: of the folder.
        kind: what it should be.
        error: raised when it is not, or when it is damaged.
        read: reads files of the folder by :meth:`Seal.file`.

    Raises:
        StriataError: as :func:`open_seal` and :meth:`Seal.file`, and whatever `read` raises.
    """
    for _ in range(_TRIES):
        seal = open_seal(path, kind, error)
        try:
            return read(seal)
        except StriataError:
            if not seal.is_replaced():
                raise
    raise _replaced_again(path, kind, error)


def _replaced_again(path: Path, kind: str, error: type[StriataError]) -> StriataError:
    return error(f"{kind} {path} is replaced again and again; run the command again when that has ended", path=str(path))


def _names(path: Path) -> list[str]:
    """The files in a folder and in those below it."""
    names = []
    for folder, _, files in os.walk(path, onerror=_refuse):
        inside = Path(folder).relative_to(path).as_posix()
        names += files if inside == "." else [f"{inside}/{name}" for name in files]
    return names


def _refuse(error: OSError) -> NoReturn:
    raise error


def _damaged(error: type[StriataError], kind: str, path: Path, name: str) -> StriataError:
    return error(
        f"{kind} {path} is damaged: {name} is not what was written; restore the folder from a copy, or delete it and train again",
        path=str(path),
    )
