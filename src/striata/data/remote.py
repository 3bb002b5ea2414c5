"""Files elsewhere: fetched once to this machine, through fsspec, and then read as any other."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from ..errors import DataError

_FETCHED: dict[tuple[str, str], Path] = {}


def is_remote(source: str) -> bool:
    """Whether a source is an address such as s3://, gs://, https:// or hf://."""
    scheme, mark, _ = source.partition("://")
    return bool(mark) and scheme.replace("+", "").isalnum()


def fetch(source: str) -> Path:
    """A file or folder elsewhere, copied to this machine until the process ends; again where it has changed meanwhile.

    Args:
        source: its address.

    Raises:
        DataError: it cannot be fetched.
    """
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(source)
        name = PurePosixPath(path.rstrip("/").partition("?")[0]).name or "data"
        is_folder = files.isdir(path) and not files.isfile(path)
        known = (source, "" if is_folder else str(files.ukey(path)))
        if known[1] and known in _FETCHED:
            return _FETCHED[known]
        folder = Path(tempfile.mkdtemp(prefix="striata-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        files.get(path, str(folder / name), recursive=is_folder)
    except Exception as error:  # every kind of store raises its own
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"data {source} cannot be fetched ({type(error).__name__}: {reason}); check the address") from None
    _FETCHED[known] = folder / name
    return folder / name
