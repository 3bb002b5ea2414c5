"""Which of many files are predicted, and of what: a note beside each, in a folder or at an address."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..disk.documents import Document, Exact, strictly
from ..errors import DataError

NOTES = ".predicted"  # folder of the notes, in that of the files


class _Finished(Exact):
    job: dict[str, Any]
    rows: int
    size: int
    time: int


_FINISHED = Document(
    kind="predicted file", parse=strictly(_Finished), error=DataError, advice="delete it to predict the file anew"
)


@dataclass(frozen=True, slots=True)
class File:
    """A source, and where its predictions are written.

    Args:
        source: file or address.
        out: file here.
        address: where `out` is put when it is whole, and then is no longer here; None where it stays.
    """

    source: str
    out: Path
    address: str | None = None

    @property
    def note(self) -> Path:
        """Where it is written down that the file is finished, and of what."""
        return note_of(self.out)


def note_of(out: Path) -> Path:
    """The note of a file that is written."""
    return out.parent / NOTES / f"{out.name}.json"


def made_ready_in(address: str) -> Path:
    """A folder of this machine's user where files for an address are made ready: the same in every call, so that they go on."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "striata" / "predicted" / hashlib.sha256(address.encode()).hexdigest()[:16]


def address_of(place: str) -> str:
    """An address as its store writes it, without a slash at the end.

    Raises:
        DataError: no store has it.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(place)
    except Exception as error:
        _refuse(place, "used", error)
    return str(system.unstrip_protocol(path)).rstrip("/")


def rows_finished(file: File, job: Mapping[str, Any]) -> int | None:
    """Number of rows of a file that is finished, by this model, of this source and with these options; else None.

    Raises:
        DataError: its address cannot be looked at.
    """
    if file.address is not None:
        return _rows_at(file.address, job)
    try:
        before, facts = _FINISHED.read(file.note), file.out.stat()
    except (DataError, OSError):
        return None
    same = before.job == job and (before.size, before.time) == (facts.st_size, facts.st_mtime_ns)
    return before.rows if same else None


def finish(file: File, job: Mapping[str, Any], rows: int) -> None:
    """Writes down that a file is finished, after it is at its address, if it has one.

    Raises:
        DataError: it cannot be put there.
        StriataError: the note cannot be written.
    """
    facts = file.out.stat()
    _FINISHED.write(file.note, {"job": job, "rows": rows, "size": facts.st_size, "time": facts.st_mtime_ns})
    if file.address is not None:
        _put(file.out, file.address)
        _put(file.note, _note_at(file.address))  # what has no note is not finished
        file.note.unlink()
        file.out.unlink()


def _note_at(address: str) -> str:
    folder, _, name = address.rpartition("/")
    return f"{folder}/{NOTES}/{name}.json"


def _rows_at(address: str, job: Mapping[str, Any]) -> int | None:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
        system.invalidate_cache()
        with tempfile.TemporaryDirectory() as place:
            note = Path(place) / "note.json"
            system.get_file(fsspec.core.url_to_fs(_note_at(address))[1], str(note))
            before = _FINISHED.read(note)
        return before.rows if before.job == job and before.size == system.size(path) else None
    except (FileNotFoundError, DataError):
        return None
    except Exception as error:
        _refuse(address, "looked at", error)


def _put(file: Path, address: str) -> None:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
        system.put_file(str(file), path)
    except Exception as error:
        _refuse(address, "written", error)


def _refuse(address: str, what: str, error: Exception) -> NoReturn:
    """Says what is wrong with an address, of which every kind of store raises its own errors."""
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    raise DataError(
        f"{address} cannot be {what} ({type(error).__name__}: {reason}); check the address, and what you may do"
    ) from None
