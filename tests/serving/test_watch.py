"""A server process whose model's folder is replaced under load: by a damaged model, then by a sound one."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import striata
from striata.disk.system import exchange
from striata.model import Model
from striata.serving.limits import Limits
from striata.serving.served import Library
from striata.serving.service import Service

from ..processes import talking
from ..study.small import study_of, write_texts
from .made import texts
from .test_server import damage, post

# Looks at the folders again and again, without a pause.
EAGER = """
import sys
from striata.serving import server
server._WATCHING = 0.0
sys.argv[0] = "striata"
from striata.cli import main
main()
"""


def until(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Asks again and again; fails once it has taken too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs that count words, fitted on different rows: what changes must change answers."""
    folder = tmp_path_factory.mktemp("words")
    settings = {"layouts": [], "baselines": {"kinds": ["lexical"]}, "ensemble": False}
    striata.train(study_of(folder, **settings, output=str(folder / "one")))
    write_texts(folder / "train.csv", 120, seed=7)
    striata.train(study_of(folder, **settings, output=str(folder / "two")))
    return folder / "one" / "runs" / "lexical", folder / "two" / "runs" / "lexical"


def test_a_model_is_exchanged_under_load_and_a_damaged_one_is_not(words: tuple[Path, Path], tmp_path: Path) -> None:
    place, some = shutil.copytree(words[0], tmp_path / "mine"), texts(3, 5)
    damage(broken := shutil.copytree(words[1], tmp_path / "broken"))
    sound = shutil.copytree(words[1], tmp_path / "sound")
    expected = [striata.load(run).predict_proba(some) for run in words]
    ended, answers = threading.Event(), [list[tuple[int, Any]]() for _ in range(4)]

    command, errors = ("serve", place, "--watch", "--port", 0, "--json"), tmp_path / "errors"

    with (
        open(errors, "w") as file,
        talking(EAGER, *command, stderr=file.fileno()) as (process, _, telling),
        ThreadPoolExecutor(4) as threads,
    ):
        ready = json.loads("".join([*iter(telling.readline, "}\n"), "}"]))
        address, before = ready["address"], ready["models"]["mine"]

        def ask(own: list[tuple[int, Any]]) -> None:
            while not ended.is_set():
                own.append(post(address, {"texts": some}))

        def counted(name: str, value: str) -> bool:
            return f"{name} {value}\n" in urlopen(f"{address}/metrics").read().decode()

        def more(count: int) -> None:
            reached = [len(own) + count for own in answers]
            until(lambda: all(len(own) >= goal for own, goal in zip(answers, reached, strict=True)), f"{count} more answers")

        asking = [threads.submit(ask, own) for own in answers]
        try:
            more(5)
            assert exchange(place, broken)
            until(lambda: counted('striata_model_loads_total{model="mine",outcome="failed"}', "1.0"), "the damaged model")
            more(5)
            assert counted(f'striata_model_version{{model="mine",version="{before}"}}', "1.0")
            assert exchange(place, sound)
            until(lambda: counted('striata_model_loads_total{model="mine",outcome="loaded"}', "2.0"), "the sound model")
            more(5)
        finally:
            ended.set()
        for future in asking:
            future.result()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0

    assert {status for own in answers for status, _ in own} == {200}
    versions = [list(dict.fromkeys(body["version"] for _, body in own)) for own in answers]
    assert all(len(own) == 2 and own == versions[0] and own[0] == before for own in versions)  # never back, never a third
    for own in answers:
        for _, body in own:
            model = expected[versions[0].index(body["version"])]
            rows = [list(answer["probabilities"].values()) for answer in body["answers"]]
            assert rows == [[pytest.approx(value, abs=1e-6) for value in row] for row in model.tolist()]
    lines = errors.read_text().splitlines()
    assert len(lines) == 2, lines
    assert "mine: the new model is not used, the old one goes on: " in lines[0]
    assert lines[1].endswith(f"mine: version {versions[0][1]} in the place of {before}")


def test_whatever_goes_wrong_with_a_new_model_the_watch_goes_on(
    words: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = shutil.copytree(words[0], tmp_path / "mine")
    told: list[str] = []
    library = Library({"mine": place}, tell=told.append)
    service = Service(library=library, limits=Limits())
    library.load_all()
    first = library.models["mine"]
    shutil.rmtree(place)
    shutil.copytree(words[1], place)

    def failing(*_: Any, **__: Any) -> Model:
        raise MemoryError("a text of the model")

    with monkeypatch.context() as patched:
        patched.setattr(Model, "load", failing)
        for _ in range(2):
            library.renew()
    assert library.models["mine"] is first
    assert told == ["mine: the new model is not used, the old one goes on: MemoryError"]
    assert 'striata_model_loads_total{model="mine",outcome="failed"} 1.0' in service.metrics.page().decode()
    library.renew()
    assert library.models["mine"].version != first.version
