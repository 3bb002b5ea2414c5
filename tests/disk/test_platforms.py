"""What other platforms lack is not leant on: simulated here, where they are not at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from striata.disk import files, system
from striata.disk.files import new_folder, write_text

UNIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios")
IMPORT_ALL = f"""
import importlib, pkgutil, sys, warnings

class Windows:
    def find_spec(self, name, path=None, target=None):
        if name in {UNIX_ONLY!r}:
            raise ModuleNotFoundError(f"there is no {{name}} on this platform", name=name)

for name in {UNIX_ONLY!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Windows())
warnings.simplefilter("ignore")  # filelock's, which then has no lock of the system's
import striata
names = [module.name for module in pkgutil.walk_packages(striata.__path__, "striata.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_imports_where_there_are_no_unix_modules() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


class Windows:
    """The `os` module of a platform that opens no folders, and syncs only files that may be written."""

    name = "nt"

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return os.open(path, flags)

    def fsync(self, handle: int) -> None:
        if os.name != "nt":
            import fcntl

            assert fcntl.fcntl(handle, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR), "Bad file descriptor"
        os.fsync(handle)


def test_files_and_folders_are_written_where_folders_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (files, system):
        monkeypatch.setattr(module, "os", Windows())
    write_text(tmp_path / "file", "one")
    write_text(tmp_path / "file", "two")
    for content in ("one", "two"):
        with new_folder(tmp_path / "folder") as folder:
            (folder / "file").write_text(content)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "file").read_text() == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
