"""Addresses of clusters that are none, or where nobody answers: one line, in seconds, before anything is read."""

from __future__ import annotations

import socket
import sys
import types
from pathlib import Path

import pytest
import yaml

import striata
from striata.errors import ClusterError, StudyError
from striata.scale.cluster import _hush, connected

from ..command import run
from ..study.small import study_of, write_texts


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://10.0.0.1:10001", "host:port", "somewhere"])
def test_what_is_no_address_is_refused(address: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with (
        pytest.raises(ClusterError, match="is no address of a Ray cluster; expected local, auto or HOST:PORT"),
        connected(address, "a"),
    ):
        pass


def test_an_address_where_nobody_answers_is_named() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"no Ray cluster answers at {address}"), connected(address, "a"):
            pass


def test_options_of_a_cluster_need_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study_of(tmp_path)))
    assert run("train", tmp_path / "study.yaml", "--stacks", 2) == 2
    assert "give its address with --ray" in capsys.readouterr().err
    with pytest.raises(StudyError, match="leave them out"):
        striata.train(study_of(tmp_path), cores=2)


def test_many_files_need_a_folder_and_one_file_no_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, model = write_texts(tmp_path / "a.csv", 3, labels=False), tmp_path
    assert run("predict", model, tmp_path / "*.csv") == 2
    assert "name one with --out" in capsys.readouterr().err
    assert run("predict", model, tmp_path / "*.csv", "--out", tmp_path / "o", "--cores", 2) == 2
    assert "give its address with --ray" in capsys.readouterr().err
    assert run("predict", model, file, "--ray", "local") == 2
    assert "--ray shares several files out" in capsys.readouterr().err


def test_what_cannot_be_dealt_out_is_refused(tmp_path: Path) -> None:
    race = study_of(tmp_path, race={"learning_rates": [0.01, 0.03]})
    with pytest.raises(StudyError, match="stacks are several, and a race is judged among all of its members"):
        striata.train(race, ray="local", stacks=2)
    with pytest.raises(StudyError, match="cores is 0; expected at least 1"):
        striata.train(study_of(tmp_path), ray="local", cores=0)


@pytest.mark.parametrize("missing", ["module", "function"])
def test_a_ray_without_the_function_that_prints_is_used_as_it_is(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = types.ModuleType("ray._private.worker")
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    monkeypatch.setitem(sys.modules, "ray._private", types.ModuleType("ray._private"))
    monkeypatch.setitem(sys.modules, "ray._private.worker", worker if missing == "function" else None)
    _hush()
    assert not hasattr(worker, "print_to_stdstream")
    worker.print_to_stdstream = print  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray._private.worker", worker)
    _hush()
    assert worker.print_to_stdstream is not print
