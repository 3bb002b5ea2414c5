"""Files as the bytes that were compressed into them: by their first bytes, whatever they are called."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

import pyarrow as pa

from ..errors import DataError

_BLOCK = 2**18
_KINDS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstandard"}
_POINTER = b"version https://git-lfs.github.com/spec/"
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError,
           pa.ArrowException)  # fmt: skip


class _Unpacked(io.RawIOBase):
    """Decompressed bytes; what is damaged is named instead of a library's own errors."""

    def __init__(self, inner: Any, file: BinaryIO, source: str, kind: str) -> None:
        self._inner, self._file, self._source, self._kind = inner, file, source, kind

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except _DAMAGE as error:
            raise damaged(self._source, self._kind, error) from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._file.close()
        super().close()


def damaged(source: str, kind: str, error: Exception) -> DataError:
    """What is said of compressed data that cannot be read."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return DataError(f"{source} cannot be decompressed as {kind} ({reason}); fetch or compress the file again")


def open_binary(path: Path, source: str) -> io.BufferedReader:
    """Opens a file for reading bytes as they lie there.

    Raises:
        DataError: it cannot be read, or Git has left a pointer in its place.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}; choose a file that can be read") from error
    if file.peek(64).startswith(_POINTER):
        file.close()
        raise DataError(f"{source} is a pointer of Git LFS, not the file itself; run `git lfs pull` where it was cloned")
    return file


def open_plain(path: Path, source: str) -> BinaryIO:
    """Opens a file for reading the bytes that were compressed into it; one that is not compressed, as it is.

    Raises:
        DataError: it cannot be read, or is damaged, or an archive that holds several files.
    """
    file = open_binary(path, source)
    head = file.peek(8)
    kind = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), None)
    if kind is None:
        return file
    try:
        inner = _opened(kind, file, source)
    except DataError:
        file.close()
        raise
    except _DAMAGE as error:
        file.close()
        raise damaged(source, kind, error) from None
    return cast(BinaryIO, io.BufferedReader(_Unpacked(inner, file, source, kind), _BLOCK))


def _opened(kind: str, file: io.BufferedReader, source: str) -> IO[bytes]:
    if kind == "zip":
        archive = zipfile.ZipFile(file)
        return archive.open(only_member(archive.namelist(), source))
    if kind == "gzip":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb"))
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "xz":
        return lzma.LZMAFile(file)
    return cast(IO[bytes], pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))


def only_member(names: list[str], source: str) -> str:
    """The one file of an archive, but for what systems add to it.

    Raises:
        DataError: there are several, or none.
    """
    files = [
        name for name in names
        if not name.endswith("/") and not any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
    ]  # fmt: skip
    if len(files) != 1:
        shown = ", ".join(files[:8]) + (", ..." if len(files) > 8 else "")
        what = f"{len(files)} files ({shown})" if files else "no file"
        raise DataError(f"{source} is an archive of {what}; expected one file; unpack it and name the file or its folder")
    return files[0]


def member_name(path: Path, source: str) -> str:
    """What the file in an archive is called.

    Raises:
        DataError: it is no archive, or holds several files.
    """
    with open_binary(path, source) as file:
        try:
            return only_member(zipfile.ZipFile(file).namelist(), source)
        except _DAMAGE as error:
            raise damaged(source, "zip", error) from None


def map_plain(path: Path, source: str) -> Any:
    """A file's bytes, decompressed, as Arrow reads them in any order: where they lie, or in a file without a name.

    Raises:
        DataError: it cannot be read, or is damaged.
    """
    with open_plain(path, source) as plain:
        if not isinstance(plain.raw, _Unpacked):  # type: ignore[attr-defined]
            return pa.memory_map(str(path)) if path.stat().st_size else pa.BufferReader(b"")
        with tempfile.NamedTemporaryFile(delete=False) as unpacked:
            shutil.copyfileobj(plain, unpacked, _BLOCK)
    place = Path(unpacked.name)
    try:
        return pa.memory_map(str(place)) if place.stat().st_size else pa.BufferReader(b"")
    finally:
        with contextlib.suppress(OSError):  # where a file that is open cannot be removed, the system clears it up
            place.unlink()
