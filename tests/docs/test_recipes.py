"""The recipes of docs/scale.md for tools that no extra brings: run where these are installed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import striata

from ..study.small import write_texts
from .blocks import blocks_of

MODEL = "/shared/runs/agnews/ensemble"


def is_there(*modules: str) -> bool:
    """Whether all of some modules can be found."""
    try:
        return all(importlib.util.find_spec(module) for module in modules)
    except ModuleNotFoundError:
        return False


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of words."""
    write_texts(tmp_path / "train.csv", 150)
    study = {"base": "none", "data": {"train": str(tmp_path / "train.csv")}, "output": str(tmp_path / "out")}
    return striata.train({**study, "baselines": ["lexical"]}).runs["lexical"].path


def recipe(first: str, *changes: tuple[str, str]) -> str:
    """A block of the page that begins with a line, with other values in it."""
    (block,) = (block for block in blocks_of("docs/scale.md") if block.text.startswith(first))
    text = block.text
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def run_script(path: Path, script: str, **environment: str) -> str:
    """What a script prints in a process of its own."""
    path.write_text(script)
    environment = {**os.environ, **environment}
    command = [sys.executable, str(path)]
    ended = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=300, env=environment)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.skipif(not (is_there("pyspark", "pyarrow") and shutil.which("java")), reason="pyspark or Java is not installed")
def test_the_recipe_for_spark_gives_each_row_its_label(model: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = striata.data.read_texts(str(write_texts(tmp_path / "new.csv", 500, seed=1, labels=False)), striata.Columns()).texts
    (tmp_path / "in").mkdir()
    for part in range(2):
        half = texts[part::2]
        pq.write_table(pa.table({"text": half, "id": list(range(part, len(texts), 2))}), tmp_path / "in" / f"{part}.parquet")
    body = recipe("from collections.abc import Iterator", (MODEL, str(model)))
    session = (
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').getOrCreate()\n"
    )
    run_script(tmp_path / "job.py", session + body, PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    answers = pq.read_table(tmp_path / "answers").sort_by("id").to_pydict()
    assert answers["id"] == list(range(len(texts)))
    assert answers["label"] == striata.load(model).predict(texts)


@pytest.mark.cluster
@pytest.mark.skipif(not is_there("ray", "ray.serve", "grpc_reflection", "fastapi"), reason="ray[serve] is not installed")
def test_the_recipe_for_ray_serve_answers_as_the_model_does(model: Path, tmp_path: Path) -> None:
    texts = ["w1 w2 w1", "w26 w27", "w51 w52"]
    smaller = (("num_replicas=4", "num_replicas=1"), ('"num_cpus": 2', '"num_cpus": 1'))
    body = recipe("from ray import serve", (MODEL, str(model)), *smaller)
    before = (
        "import json, socket, urllib.request\nimport ray\n"
        "ray.init('local', num_cpus=2, include_dashboard=False)\n"
        "with socket.socket() as free:\n    free.bind(('127.0.0.1', 0))\n    port = free.getsockname()[1]\n"
        "from ray import serve\nserve.start(http_options={'port': port})\n"
    )
    after = (
        f"\nbody = json.dumps({{'texts': {texts!r}}}).encode()\n"
        "request = urllib.request.Request(f'http://127.0.0.1:{port}/v1/classify', body, {'Content-Type': 'application/json'})\n"
        "print('ANSWER', urllib.request.urlopen(request, timeout=60).read().decode())\n"
        "serve.shutdown()\nray.shutdown()\n"
    )
    patience = {f"RAY_SERVE_PROXY_{check}_TIMEOUT_S": "120" for check in ("READY_CHECK", "HEALTH_CHECK")}  # of a busy machine
    out = run_script(tmp_path / "deploy.py", before + body + after, **patience)
    (line,) = (line for line in out.splitlines() if line.startswith("ANSWER "))
    answers = json.loads(line.removeprefix("ANSWER "))["answers"]
    opened = striata.load(model)
    assert [answer["label"] for answer in answers] == opened.predict(texts)
    shares = [[answer["probabilities"][label] for label in opened.labels] for answer in answers]
    np.testing.assert_allclose(shares, opened.predict_proba(texts), atol=1e-5)
