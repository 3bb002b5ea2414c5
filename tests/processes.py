"""Processes for the tests: children of one that has loaded the packages already, because that is most of a command's time.

Such a child knows nothing of the tests' own process, and its torch has one thread. What it has beyond a new interpreter is
modules: where these matter, or the seed of hashes does, a test starts an interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

COMMAND = "from striata.cli import main; main()"
_LOADED = (
    "torch", "transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto",
    "transformers.models.roberta.modeling_roberta", "transformers.models.bert.modeling_bert", "transformers.modeling_utils",
    "peft", "pandas", "pyarrow.parquet", "pyarrow.csv", "sklearn.linear_model", "sklearn.model_selection", "sklearn.neighbors",
    "sklearn.feature_extraction.text", "scipy.stats", "scipy.optimize", "optuna", "typer", "rich.table", "rich.progress", "yaml",
    "unittest.mock", "torch.optim", "lion_pytorch", "uvicorn",
)  # fmt: skip
_NOT_LOADED = (
    "striata.cli",
    "striata.exports.standalone",
    "striata.__main__",
)  # the first looks at the terminal when it is loaded


class Process:
    """A child at work.

    Args:
        pid: its process id.
        ending: to which its exit code comes, negative for the signal that ended it.
    """

    def __init__(self, pid: int, ending: IO[str]) -> None:
        self.pid, self._ending = pid, ending
        self._code: int | None = None

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        if self._code is None:
            with self._ending:
                self._code = int(self._ending.readline())
        return self._code

    def send_signal(self, number: int) -> None:
        if self._code is None:
            os.kill(self.pid, number)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.send_signal(signal.SIGKILL)
        self.wait()


def start(
    code: str,
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: int = -1,
    stdout: int = 1,
    stderr: int = 2,
) -> Process:
    """Begins Python code as `python -c CODE ARGUMENTS` would.

    Args:
        code: what to execute, as `__main__`.
        arguments: what follows in `sys.argv`.
        cwd: its folder; None for this process's.
        environment: variables that differ from this process's.
        stdin: what it reads; -1 for nothing.
        stdout: where it prints.
        stderr: likewise.
    """
    content = {
        "code": code,
        "arguments": [str(argument) for argument in arguments],
        "cwd": str(cwd or Path.cwd()),
        "environment": {**os.environ, **(environment or {})},
    }
    nothing = os.open(os.devnull, os.O_RDONLY)
    ending, telling = os.pipe()
    with tempfile.TemporaryFile() as request:
        request.write(json.dumps(content).encode())
        request.flush()
        files = [request.fileno(), nothing if stdin < 0 else stdin, stdout, stderr, telling]
        socket.send_fds(_server(os.getpid()), [b"."], files)
        os.close(telling)
        os.close(nothing)
        opened = os.fdopen(ending)
        return Process(int(opened.readline()), opened)


@contextlib.contextmanager
def talking(code: str, *arguments: object, stderr: int = 2) -> Iterator[tuple[Process, IO[str], IO[str]]]:
    """Python code at work, what it reads, and what it prints; killed in the end where it has not ended. See :func:`start`."""
    reads, writes = os.pipe()
    heard, said = os.pipe()
    with start(code, *arguments, stdin=reads, stdout=said, stderr=stderr) as process:
        os.close(reads)
        os.close(said)
        with os.fdopen(writes, "w") as told, os.fdopen(heard) as telling:
            yield process, told, telling


def python(
    code: str, *arguments: object, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Executes Python code to its end; see :func:`start`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        options = {"stdout": out.fileno(), "stderr": err.fileno()}
        code_ = start(code, *arguments, cwd=cwd, environment=environment, **options).wait()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(list(map(str, arguments)), code_, out.read(), err.read())


def striata(*arguments: object, cwd: Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command in a terminal's width of 200; see :func:`start`."""
    return python(COMMAND, *arguments, cwd=cwd, environment={"COLUMNS": "200", **(environment or {})})


@functools.cache
def _server(_: int) -> socket.socket:
    here, there = socket.socketpair()
    command = [sys.executable, "-m", "tests.processes", str(there.fileno())]
    root = Path(__file__).parents[1]
    process = subprocess.Popen(command, pass_fds=[there.fileno()], cwd=root, stdin=subprocess.DEVNULL)
    there.close()

    def end() -> None:
        here.close()
        process.wait()

    atexit.register(end)
    return here


def _serve(handle: int) -> None:
    _load()
    requests, watching = socket.socket(fileno=handle), set[int]()
    while True:
        message, files, _, _ = socket.recv_fds(requests, 1, 5)
        if not message:
            break
        watching -= {watch for watch in watching if os.waitpid(watch, os.WNOHANG)[0]}
        watch = os.fork()
        if watch == 0:
            requests.close()
            _watch(*files)
        watching.add(watch)
        for file in files:
            os.close(file)
    for watch in watching:
        os.waitpid(watch, 0)


def _load() -> None:
    """Loads what commands load. Nothing here may start a thread, which a child would not have."""
    for name in _LOADED:
        importlib.import_module(name)
    package = importlib.import_module("striata")
    for module in pkgutil.walk_packages(package.__path__, "striata."):
        if not module.name.startswith(_NOT_LOADED):
            importlib.import_module(module.name)


def _watch(request: int, stdin: int, stdout: int, stderr: int, telling: int) -> NoReturn:
    """Begins the child, and tells its id and how it ended."""
    child = os.fork()
    if child == 0:
        os.close(telling)
        for number, file in enumerate((stdin, stdout, stderr)):
            os.dup2(file, number)
            os.close(file)
        with os.fdopen(request) as file:
            file.seek(0)
            content = json.load(file)
        _execute(**content)
    for file in (request, stdin, stdout, stderr):
        os.close(file)
    os.write(telling, f"{child}\n".encode())
    os.write(telling, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())
    os._exit(0)


def _execute(code: str, arguments: Sequence[str], cwd: str, environment: Mapping[str, str]) -> NoReturn:
    import torch

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    torch.set_num_threads(1)
    sys.argv = ["-c", *arguments]
    sys.stdin = os.fdopen(0)
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    ended = 0
    try:
        exec(compile(code, "<string>", "exec"), main.__dict__)
    except SystemExit as leaving:
        ended = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        ended = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
