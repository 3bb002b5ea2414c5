"""A lock is one holder's, and goes with its holder."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from striata.disk.locks import HeldError, holding, is_held, remove_held
from striata.errors import StriataError

HOLDER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from striata.disk.locks import holding
    with holding(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
""")


def test_a_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "stacks" / "one" / ".lock"
    assert not is_held(lock)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_held(lock)
        with pytest.raises(HeldError), holding(lock):
            pass
        holder.kill()
        holder.wait()
    assert not is_held(lock)
    with holding(lock):
        assert is_held(lock)
    assert not is_held(lock)


def test_threads_of_one_process_hold_a_lock_one_at_a_time(tmp_path: Path) -> None:
    answers: list[bool] = []
    with holding(tmp_path / ".lock"):
        thread = threading.Thread(target=lambda: answers.append(is_held(tmp_path / ".lock")))
        thread.start()
        thread.join()
    assert answers == [True]
    with holding(tmp_path / ".lock", wait=10):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StriataError, match=r"cannot write .*file/\.lock"), holding(tmp_path / "file" / ".lock"):
        pass


def test_a_holder_removes_its_folder_and_who_waited_for_it_gets_a_new_one(tmp_path: Path) -> None:
    lock = tmp_path / "job" / ".lock"
    seen: list[bool] = []

    def wait() -> None:
        with holding(lock, wait=10):
            seen.append(lock.exists())

    with holding(lock):
        (tmp_path / "job" / "file").write_text("")
        (tmp_path / "job" / "folder").mkdir()
        thread = threading.Thread(target=wait)
        thread.start()
        remove_held(lock)
        assert not lock.parent.exists()
    thread.join()
    assert seen == [True]


def test_a_lock_opened_before_its_folder_was_removed_is_not_held_beside_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    lock, flock = tmp_path / "job" / ".lock", fcntl.flock
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(holding(lock))

        def meanwhile(handle: int, operation: int) -> None:
            monkeypatch.setattr(fcntl, "flock", flock)
            remove_held(lock)
            first.close()
            second.enter_context(holding(lock))
            flock(handle, operation)  # of a file without a name

        monkeypatch.setattr(fcntl, "flock", meanwhile)
        with pytest.raises(HeldError), holding(lock):
            pass
        assert is_held(lock)
