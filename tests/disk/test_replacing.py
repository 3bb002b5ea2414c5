"""A folder or a file is the old one or the new one, at whatever operation its writer dies or fails, and nothing else remains."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from striata.disk import sealed, system
from striata.disk.files import new_folder, write_text
from striata.disk.sealed import open_seal, sealing
from striata.disk.workplace import sweep
from striata.errors import RunError, StriataError

from ..torture.operations import KILLED, forked


@pytest.fixture(params=["exchange", "two renames"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "two renames":
        monkeypatch.setattr(system, "_renameat2", lambda: None)


def write_folder(path: Path, content: str) -> None:
    with sealing(path, "run") as folder:
        (folder / "a").write_text(content)
        (folder / "inner").mkdir()
        (folder / "inner" / "b").write_text(content)


def read_folder(path: Path) -> str:
    seal = open_seal(path, "run", RunError)
    content = seal.file("a").read_text()
    assert seal.file("inner/b").read_text() == content
    return content


def write_file(path: Path, content: str) -> None:
    write_text(path, content)


def read_file(path: Path) -> str:
    sweep(path.parent)
    return path.read_text()


KINDS: dict[str, tuple[Callable[[Path, str], None], Callable[[Path], str]]] = {
    "folder": (write_folder, read_folder),
    "file": (write_file, read_file),
}


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [None, errno.EIO, errno.ENOSPC], ids=["killed", "EIO", "ENOSPC"])
def test_it_is_the_old_or_the_new_one_at_every_operation(tmp_path: Path, kind: str, number: int | None) -> None:
    write, read = KINDS[kind]
    path = tmp_path / "name"
    write(path, "old")
    operations = forked(lambda: write(path, "new"), tmp_path).operations
    assert operations > 8
    contents = set()
    for at in range(1, operations + 1):
        write(path, "old")
        ended = forked(lambda: write(path, "new"), tmp_path, at=at, error=number)
        if number is None:
            assert ended.code == KILLED, ended
        else:
            assert ended.code in (0, 2), ended
            assert "\n" not in ended.message
        content = read(path)
        contents.add(content)
        assert content in ("old", "new"), ended
        assert ended.code != 0 or content == "new"
        write(path, "newer")
        assert read(path) == "newer"
        assert [entry.name for entry in tmp_path.iterdir()] == ["name"], ended
    assert contents == {"old", "new"}


def test_a_folder_is_there_at_every_moment(tmp_path: Path) -> None:
    """Where Linux exchanges two names; the other way has a moment without."""
    if system._renameat2() is None:
        pytest.skip("this platform cannot exchange two names")
    write_folder(tmp_path / "name", "old")
    for at in range(1, forked(lambda: write_folder(tmp_path / "name", "new"), tmp_path).operations + 1):
        forked(lambda: write_folder(tmp_path / "name", "new"), tmp_path, at=at)
        assert (tmp_path / "name" / "a").exists()


def test_a_folder_that_others_replace_while_it_is_opened_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, names, turns = tmp_path / "name", sealed._names, count()

    def replaced_meanwhile(folder: Path) -> list[str]:
        if next(turns) < times:
            with sealing(path, "run") as new:
                (new / f"other{next(turns)}").write_text("new")
        return names(folder)

    monkeypatch.setattr(sealed, "_names", replaced_meanwhile)
    times = 1
    write_folder(path, "old")
    assert [name[:5] for name in open_seal(path, "run", RunError).digests] == ["other"]
    times = 1000
    with pytest.raises(RunError, match="is replaced again and again; run the command again"):
        open_seal(path, "run", RunError)


def test_what_another_process_is_at_is_left_alone(tmp_path: Path) -> None:
    with new_folder(tmp_path / "one") as folder:
        (folder / "file").write_text("one")
        write_text(tmp_path / "two", "two")
        sweep(tmp_path)
        assert (folder / "file").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_only_our_own_folders_are_swept(tmp_path: Path) -> None:
    for name in (".notes.markdown", ".name.abcdefgh", "name.abcdefgh.striata"):
        (tmp_path / name).mkdir()
    (tmp_path / ".file.abcdefgh.striata").write_text("")
    write_text(tmp_path / "file", "")
    names = [".file.abcdefgh.striata", ".name.abcdefgh", ".notes.markdown", "file", "name.abcdefgh.striata"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_what_the_disk_does_not_confirm_is_said_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def fail(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112
            raise OSError(errno.EIO, "Input/output error")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StriataError, match="name is written, but the disk does not confirm it: Input/output error"):
        write_text(tmp_path / "name", "new")
    assert (tmp_path / "name").read_text() == "new"
