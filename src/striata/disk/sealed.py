"""Folders with a manifest: written whole or not at all, and every byte of them can be checked."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from ..errors import StriataError
from .documents import parse_json
from .files import new_folder, sha256_file, write_text

FORMAT = 1
NAME = "manifest.json"


def _text(content: dict[str, object]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _with_checksum(content: dict[str, object]) -> str:
    return _text({**content, "checksum": hashlib.sha256(_text(content).encode()).hexdigest()})


@contextlib.contextmanager
def sealing(path: Path, kind: str) -> Iterator[Path]:
    """Yields a temporary folder that becomes `path`, its manifest written last, when the block ends well.

    Args:
        path: of the new folder; an existing one is replaced whole.
        kind: what the folder is: "run" or "ensemble".

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    with new_folder(path) as folder:
        yield folder
        files = {str(file.relative_to(folder)): sha256_file(file) for file in folder.rglob("*") if file.is_file()}
        write_text(folder / NAME, _with_checksum({"format_version": FORMAT, "kind": kind, "files": files}))


def check_seal(path: Path, kind: str, error: type[StriataError]) -> str:
    """Checks that a folder is finished and undamaged.

    Args:
        path: of the folder.
        kind: what it should be.
        error: raised when it is not.

    Returns:
        The manifest's checksum, which stands for all of the folder's bytes.
    """
    if not path.is_dir():
        raise error(f"there is no {kind} folder {path}; check the path")
    file = path / NAME
    if not file.is_file():
        raise error(f"{path} is no finished {kind}: it has no {NAME}; give a {kind}'s folder")
    try:
        text = file.read_bytes().decode()
        content = parse_json(text.encode())
        stated = content.pop("checksum")
        sound = text == _with_checksum(content) and isinstance(content["files"], dict)
    except (ValueError, KeyError, AttributeError, TypeError):
        sound = False
    if not sound:
        raise _damaged(error, kind, path, NAME)
    if content["format_version"] != FORMAT or content["kind"] != kind:
        raise error(
            f"{path} is of kind '{content['kind']}', format {content['format_version']}; expected kind '{kind}', format {FORMAT}"
        )
    for name, digest in content["files"].items():
        part = path / name
        if not part.is_file() or sha256_file(part) != digest:
            raise _damaged(error, kind, path, name)
    return str(stated)


def _damaged(error: type[StriataError], kind: str, path: Path, name: str) -> StriataError:
    return error(
        f"{kind} {path} is damaged: {name} is not what was written; restore the folder from a copy, or delete it and train again"
    )
