"""The server as a process and over a real port: signals, ports, loading, models that are exchanged."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import striata
from striata.cli import main
from striata.errors import RunError, StriataError
from striata.model import Model
from striata.serving import create_app
from striata.serving.limits import Limits
from striata.serving.served import Library, Served, name_places
from striata.serving.server import address_of, open_port
from striata.serving.server import serve as run_server
from striata.serving.service import Service

from ..processes import talking
from .made import texts

# A server whose model waits for a line on stdin before it answers for the first time after it was loaded.
SLOW = """
import sys
from striata.model import Model
answer = Model.with_members
def slow(self, texts, pairs=None):
    if texts != ["warm"]:
        print("answering", flush=True)
        sys.stdin.readline()
    return answer(self, texts, pairs)
Model.with_members = slow
sys.argv[0] = "striata"
from striata.cli import main
main()
"""


@pytest.fixture
def signals() -> Iterator[None]:
    """What signals do is afterwards what it was."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def post(address: str, body: object) -> tuple[int, Any]:
    request = Request(f"{address}/v1/classify", json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


def test_sigterm_answers_what_is_queued_and_ends_with_0(study: Path, tmp_path: Path) -> None:
    run = next(path for path in (study / "runs").iterdir() if "lexical" in path.name)
    model = striata.load(run)
    command, errors = ("serve", run, "--max-batch", 2, "--port", 0, "--json"), tmp_path / "errors"
    with (
        open(errors, "w") as file,
        talking(SLOW, *command, stderr=file.fileno()) as (process, told, telling),
        ThreadPoolExecutor(8) as threads,
    ):
        ready = iter(telling.readline, "}\n")
        address = json.loads("".join([*ready, "}"]))["address"]
        some = texts(0, 8)
        futures = [threads.submit(post, address, {"texts": [some[0]]})]
        assert telling.readline() == "answering\n"  # alone: of two that came together both would be under way
        futures += [threads.submit(post, address, {"texts": [text]}) for text in some[1:]]
        while "striata_queue_texts 7.0" not in urlopen(f"{address}/metrics").read().decode():
            pass
        process.send_signal(signal.SIGTERM)
        print("\n" * 8, file=told, flush=True)
        answers = [future.result() for future in futures]
        assert (process.wait(), errors.read_text()) == (0, "")
        out = telling.read()
    assert [status for status, _ in answers] == [200] * 8
    assert [body["answers"][0]["label"] for _, body in answers] == model.predict(some)
    assert not set(out.split()) - {"answering"}


def test_a_real_port_refuses_what_is_too_long(study: Path, signals: None) -> None:
    """In this process, with the client in another thread; the end is Ctrl-C."""
    run = next(path for path in (study / "runs").iterdir() if "lexical" in path.name)
    library = Library({"mine": run}, tell=print)
    listener = open_port("127.0.0.1", 0)
    address = address_of(listener)

    def use() -> list[Any]:
        seen: list[Any] = []
        try:
            seen += [post(address, {"texts": ["w1 " * 1000]}), post(address, {"texts": ["w1"]})]
            host, port = address.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                connection.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n")
                connection.sendall(b"Content-Type: application/json\r\n\r\n" + b"3e8\r\n" + b"w" * 1000 + b"\r\n")
                connection.sendall(b"7d0\r\n" + b"w" * 2000 + b"\r\n")
                seen.append(connection.recv(100))
        finally:
            os.kill(os.getpid(), signal.SIGINT)
        return seen

    with ThreadPoolExecutor(1) as threads:
        futures: list[Any] = []
        run_server(
            Service(library=library, limits=Limits(max_bytes=2000)), listener, ready=lambda: futures.append(threads.submit(use))
        )
        long, short, chunked = futures[0].result()
    assert (long[0], long[1]["code"]) == (413, "too_long")
    assert short[0] == 200
    assert chunked.startswith(b"HTTP/1.1 413")


def damage(folder: Path) -> None:
    """Changes a byte of a run's weights."""
    file = next(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".json", ".md"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def test_a_new_model_is_taken_and_a_damaged_one_is_not(study: Path, tmp_path: Path) -> None:
    runs = sorted(path for path in (study / "runs").iterdir() if "lexical" not in path.name)
    place = shutil.copytree(runs[0], tmp_path / "mine")
    told: list[str] = []
    library = Library({"mine": place}, device="cpu", precision="fp32", tell=told.append)
    service = Service(library=library, limits=Limits())
    library.load_all()
    first = library.models["mine"]
    some = texts(1)
    library.renew()
    assert library.models["mine"] is first

    def replace(new: Path, *, damaged: bool) -> None:
        other = shutil.copytree(new, tmp_path / "new")
        if damaged:
            damage(other)
        place.rename(tmp_path / "old")
        other.rename(place)
        shutil.rmtree(tmp_path / "old")

    replace(runs[1], damaged=True)
    for _ in range(2):  # told once
        library.renew()
    assert library.models["mine"] is first
    assert len(told) == 1
    assert told[0].startswith("mine: the new model is not used, the old one goes on: ")
    assert (
        first.model.predict_proba(some).tolist()
        == striata.load(runs[0], device="cpu", precision="fp32").predict_proba(some).tolist()
    )
    first.model.predict_sets(some, 0.8)

    replace(runs[1], damaged=False)
    library.renew()
    new = library.models["mine"]
    assert new.version != first.version
    assert told[1] == f"mine: version {new.version} in the place of {first.version}"
    assert (
        new.model.predict_proba(some).tolist()
        == striata.load(runs[1], device="cpu", precision="fp32").predict_proba(some).tolist()
    )
    shutil.rmtree(place)
    library.renew()
    assert library.models["mine"] is new
    page = service.metrics.page().decode()
    assert f'striata_model_version{{model="mine",version="{new.version}"}} 1.0' in page
    assert first.version not in page
    assert 'striata_model_loads_total{model="mine",outcome="failed"} 2.0' in page


def test_equal_frozen_weights_lie_in_memory_once(study: Path) -> None:
    runs = sorted(path for path in (study / "runs").iterdir() if "lexical" not in path.name)
    library = Library({path.name: path for path in runs}, device="cpu", precision="fp32", tell=print)
    library.load_all()
    tables = [served.model.scorers[0].encoder.words.weight for served in library.models.values()]  # type: ignore[attr-defined]
    assert tables[0] is not tables[1]
    assert tables[0].data_ptr() == tables[1].data_ptr()


def test_a_model_that_cannot_be_loaded_ends_the_process_with_one_line(
    study: Path, tmp_path: Path, signals: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(next(path for path in (study / "runs").iterdir() if "lexical" in path.name), tmp_path / "mine")
    damage(run)
    monkeypatch.setattr(sys, "argv", ["striata", "serve", str(run), "--port", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith(f"error: run {run}")
    assert err.count("\n") == 1


def test_answers_do_not_wait_for_acknowledgements() -> None:
    async def run() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = writer.get_extra_info("socket")
            accepted.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = open_port("127.0.0.1", 0)
        server = await asyncio.start_server(look, sock=listener)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        delayed = await accepted
        writer.close()
        server.close()
        return delayed

    assert asyncio.run(run()) == 1


def test_a_port_in_use_is_one_line() -> None:
    with open_port("127.0.0.1", 0) as listener:
        port = int(address_of(listener).rpartition(":")[2])
        with pytest.raises(StriataError, match=f"port {port} cannot be listened on at 127.0.0.1 \\(address already in use\\)"):
            open_port("127.0.0.1", port)
    for host, number, argument in (("no.such.host.invalid", 0, "host"), ("127.0.0.1", 70000, "port"), ("127.0.0.1", -1, "port")):
        with pytest.raises(StriataError, match=f"^{argument} ") as refused:
            open_port(host, number)
        assert refused.value.argument == argument


def test_names_are_those_of_folders_and_studies() -> None:
    places = name_places(["runs/agnews/ensemble", "runs/mine/", "runs/agnews/runs/s8-seed0", "short=a/very/long/path"])
    assert {name: str(path) for name, path in places.items()} == {
        "agnews": "runs/agnews/ensemble", "mine": "runs/mine",
        "s8-seed0": "runs/agnews/runs/s8-seed0", "short": "a/very/long/path",
    }  # fmt: skip
    with pytest.raises(StriataError, match="would both be called 'a'"):
        name_places(["a", "b/a"])
    with pytest.raises(StriataError, match="is no part of an address"):
        name_places(["a b"])
    with pytest.raises(StriataError, match="no model to serve"):
        name_places([])


def test_the_python_door_refuses_what_is_no_model(ensemble: Model, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run folder"):
        create_app([tmp_path / "no"])
    with pytest.raises(StriataError, match="is no part of an address"):
        create_app({"a/b": ensemble})
    assert Served.ready("mine", ensemble).version == Served.ready("mine", ensemble).version
