"""The command line: what it prints, what it refuses, what it leaves alone."""

from __future__ import annotations

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import typer
import yaml
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_score, recall_score

import striata
from striata.cli.app import COMMANDS, app
from striata.errors import StriataError
from striata.model import whole_file as predicting
from striata.model.whole_file import predict_file

from ..processes import COMMAND, python, start
from ..processes import striata as run
from ..study.small import LABELS, study_of, write_texts


def refused(*arguments: object, cwd: Path) -> str:
    """The one line of an error."""
    done = run(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return line


def write_study(folder: Path, **changes: Any) -> Path:
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study_of(folder, **changes)))
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained study in `out`, not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    write_study(folder)
    done = run("train", "study.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "striata predict" in done.stdout
    assert "ensemble of 2: validation accuracy" in done.stdout
    assert "step 10/20; best so far: " in done.stderr  # without a terminal a line for each evaluation
    assert "learning rate" not in done.stderr
    return folder


def test_help_is_there_for_every_option() -> None:
    commands: Any = typer.main.get_command(app)
    assert list(commands.commands) == list(COMMANDS)
    for name, command in commands.commands.items():
        assert command.help
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def test_importing_and_help_load_no_torch() -> None:
    code = "import sys, striata; striata.plan('s8', base='roberta-base', labels=4); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = (
        "import sys; sys.argv = ['striata', '--help']\nfrom striata.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nassert not {'torch', 'transformers', 'numpy'} & set(sys.modules), 'too much'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_front_door_is_sorted_and_opens() -> None:
    assert list(striata.__all__) == sorted(striata.__all__)
    for name in striata.__all__:
        assert getattr(striata, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = striata.nothing  # type: ignore[attr-defined]


def test_layouts_and_plan(tmp_path: Path) -> None:
    usual = json.loads(run("layouts", "--json", cwd=tmp_path).stdout)
    assert [entry["name"] for entry in usual] == [f"s{n}" for n in range(10)]
    assert len(json.loads(run("layouts", "--all", "--json", cwd=tmp_path).stdout)) == 21
    done = run("layouts", cwd=tmp_path)
    assert all(entry["for"] in done.stdout and entry["layout"] in done.stdout for entry in usual)
    assert "as-run-s9" not in done.stdout
    assert "11 more" in done.stderr
    assert "as-run-s9" in run("layouts", "--all", cwd=tmp_path).stdout
    shown = run("plan", "s8", "--base", "roberta-base", "--labels", 4, "--budget", 1_000_000, cwd=tmp_path).stdout
    assert "759,556" in shown
    assert "76.0% of the budget" in shown
    value = json.loads(
        run("plan", "s8", "--base", "roberta-base", "--labels", 4, "--fit", 1_000_000, "--json", cwd=tmp_path).stdout
    )
    assert value["trainable"] == 989_956
    short = run("plan", "s8", "--base", "roberta-base", "--labels", 4, "--fit", "1M", "--json", cwd=tmp_path)
    assert json.loads(short.stdout) == value
    wrong = run("plan", "s8", "--base", "roberta-base", "--labels", 4, "--budget", "1X", cwd=tmp_path)
    assert "'1X' is no number of parameters such as 900k or 1M" in " ".join(wrong.stderr.split())
    assert "unknown layout 's88' (did you mean 's8'?)" in refused(
        "plan", "s88", "--base", "roberta-base", "--labels", 4, cwd=tmp_path
    )
    assert "above the budget of 10" in refused(
        "plan", "s8", "--base", "roberta-base", "--labels", 4, "--budget", 10, cwd=tmp_path
    )


def test_check_shows_members_and_cost_and_trains_nothing(tmp_path: Path) -> None:
    file = write_study(tmp_path, budget=10_000)
    shown = run("check", file.name, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "of budget" in shown.stdout
    assert "tokens of training" in shown.stdout
    assert not (tmp_path / "out").exists()
    value = json.loads(run("check", file.name, "--json", cwd=tmp_path).stdout)
    assert len(value["members"]) == 3
    assert value["audit"]["parts"]["train"]["rows"] == 110


def test_leaderboard_ensemble_and_evaluate(trained: Path) -> None:
    rows = json.loads(run("leaderboard", "out", "--runs", "--json", cwd=trained).stdout)
    assert [row["accuracy"] for row in rows] == sorted((row["accuracy"] for row in rows), reverse=True)
    shown = run("leaderboard", "out", "--runs", cwd=trained).stdout
    assert all(row["run"] in shown for row in rows)
    made = json.loads(run("ensemble", "out", "--size", 3, "--json", cwd=trained).stdout)
    assert set(made["members"]) == {row["run"] for row in rows}
    assert made["trainable"] == sum(row["trainable"] for row in rows)
    assert "an ensemble of 4 was asked for, but there are 3" in refused("ensemble", "out", "--size", 4, cwd=trained)
    assert "unknown ranking figure 'f1'" in refused("ensemble", "out", "--size", 2, "--by", "f1", cwd=trained)
    assert "confusion" not in run("evaluate", "out/ensemble", "test.csv", cwd=trained).stdout


def test_evaluate_is_what_scikit_learn_says(trained: Path) -> None:
    found = json.loads(run("evaluate", "out/ensemble", "test.csv", "--json", cwd=trained).stdout)
    with open(trained / "test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    probabilities = striata.load(trained / "out/ensemble").predict_proba([row["text"] for row in rows])
    true, said = [row["label"] for row in rows], [LABELS[i] for i in probabilities.argmax(1)]
    assert found["accuracy"] == pytest.approx(accuracy_score(true, said))
    assert found["macro_f1"] == pytest.approx(f1_score(true, said, average="macro", labels=LABELS))
    # scikit-learn wants sums of 1 in double precision
    shares = probabilities.astype(float) / probabilities.sum(1, dtype=float, keepdims=True)
    assert found["loss"] == pytest.approx(log_loss(true, shares, labels=LABELS), rel=1e-4)
    assert found["confusion"] == confusion_matrix(true, said, labels=LABELS).tolist()
    for at, name in enumerate(LABELS):
        options: dict[str, Any] = {"labels": LABELS, "average": None, "zero_division": 0}
        assert found["per_label"][name]["precision"] == pytest.approx(precision_score(true, said, **options)[at])
        assert found["per_label"][name]["recall"] == pytest.approx(recall_score(true, said, **options)[at])


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_predictions_in_every_format(trained: Path, tmp_path: Path, kind: str) -> None:
    source = write_texts(tmp_path / "new.csv", 30, seed=5, labels=False)
    out = tmp_path / f"said.{kind}"
    done = run("predict", trained / "out/ensemble", source, "--out", out, "--probabilities", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read(out)
    texts = source.read_text().splitlines()[1:]
    probabilities = striata.load(trained / "out/ensemble").predict_proba(texts)
    assert [row["text"] for row in rows] == texts
    assert [row["label"] for row in rows] == [LABELS[i] for i in probabilities.argmax(1)]
    found = np.array([[float(row[f"p_{label}"]) for label in LABELS] for row in rows])
    np.testing.assert_allclose(found, probabilities, atol=1e-3)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["new.csv", out.name])


def test_it_answers_where_it_reaches_a_wanted_precision(trained: Path, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "new.csv", 30, seed=6, labels=False)
    out = tmp_path / "said.csv"
    model = striata.load(trained / "out/ensemble")
    threshold = model.answers(0.6).threshold
    done = run("predict", trained / "out/ensemble", source, "--out", out, "--precision-at-least", 0.6, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"answers from a probability of {threshold:.4f} on" in done.stderr
    sure = model.predict_proba(source.read_text().splitlines()[1:]).max(1) >= threshold
    assert [row["label"] != "" for row in read(out)] == sure.tolist()
    assert "ask for less" in refused(
        "predict", trained / "out/ensemble", source, "--out", out, "--precision-at-least", 0.9999, cwd=tmp_path
    )


def test_the_contests_format(trained: Path, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "new.csv", 12, seed=5, labels=False)
    run("predict", trained / "out/ensemble", source, "--out", tmp_path / "a.csv", "--format", "id-label", cwd=tmp_path)
    run("predict", trained / "out/ensemble", source, "--out", tmp_path / "b.csv", cwd=tmp_path)
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "ID,Label"
    names = [row["label"] for row in read(tmp_path / "b.csv")]
    assert [row["ID"] for row in read(tmp_path / "a.csv")] == [str(at) for at in range(12)]
    assert [int(row["Label"]) for row in read(tmp_path / "a.csv")] == [LABELS.index(name) for name in names]
    lines = source.read_text().splitlines()
    source.write_text("\n".join(["Nr,text", *(f"A-{12 - at:04},{line}" for at, line in enumerate(lines[1:]))]))
    told = run("predict", trained / "out/ensemble", source, "--format", "id-label", "--id", "nr", cwd=tmp_path).stderr
    assert f"ID is column 'Nr' of {source}" in told
    assert [row["ID"] for row in read(tmp_path / "new.predicted.csv")] == [f"A-{12 - at:04}" for at in range(12)]
    assert "labels are no integers: Label is each one's place (0 for 'Business', 1 for 'Sports', 2 for 'World')" in told


def test_evaluate_names_labels_without_a_row(trained: Path, tmp_path: Path) -> None:
    rows = [line for line in (trained / "test.csv").read_text().splitlines() if not line.endswith(",World")]
    (tmp_path / "two.csv").write_text("\n".join(rows) + "\n")
    told = run("evaluate", trained / "out/ensemble", tmp_path / "two.csv", cwd=tmp_path).stdout
    assert "labels without a row here: World; macro F1 counts one as 0 where it is predicted" in told


class Cut(Exception):
    pass


def test_prediction_goes_on_where_it_was_cut_off(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "PORTION", 10)
    source = write_texts(tmp_path / "new.csv", 45, seed=5, labels=False)
    model = striata.load(trained / "out/ensemble")
    predict_file(model, source, tmp_path / "whole.csv", probabilities=True)

    def cut(done: int) -> None:
        if done == 30:
            raise Cut

    with pytest.raises(Cut):
        predict_file(model, source, tmp_path / "cut.csv", probabilities=True, progress=cut)
    assert not (tmp_path / "cut.csv").exists()
    seen: list[int] = []
    assert predict_file(model, source, tmp_path / "cut.csv", probabilities=True, progress=seen.append) == 45
    assert seen == [30, 40, 45]
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(Cut):
        predict_file(model, source, tmp_path / "cut.csv", progress=cut)
    write_texts(source, 45, seed=6, labels=False)  # another file under the same name: nothing of the old one is used
    predict_file(model, source, tmp_path / "cut.csv", probabilities=True)
    assert (tmp_path / "cut.csv").read_bytes() != (tmp_path / "whole.csv").read_bytes()


def test_a_bad_row_far_down_leaves_the_old_predictions(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predicting, "PORTION", 10)
    source = write_texts(tmp_path / "new.csv", 25, seed=5, labels=False)
    out = tmp_path / "said.csv"
    out.write_text("old")
    with open(source, "ab") as file:
        file.write(b"\x81\n")
    with pytest.raises(StriataError, match="line 27: byte 0x81 is not UTF-8; expected a file in UTF-8; name its encoding"):
        predict_file(striata.load(trained / "out/ensemble"), source, out)
    assert out.read_text() == "old"


ERRORS: Sequence[tuple[Sequence[str], str]] = [
    (("train", "nothing.yaml"), "cannot read study file nothing.yaml: there is no such file"),
    (("train", "study.yaml", "--set", "recipe.lr=1"), "unknown key 'recipe.lr'"),
    (("train", "study.yaml", "--set", "layouts=[0-12 r2 query]"), "names layer 12, but the encoder has 3 layers (0 to 2)"),
    (("train", "study.yaml", "--set", "layouts=[0-2 r2 qkv]"), "roberta encoders have no target 'qkv'"),
    (("train", "study.yaml", "--set", "layouts=[0-1 r2 query | 1-2 r4 query]"), "overlap: both claim query of layer 1"),
    (("train", "study.yaml", "--set", "layouts=[0-2 r33 query]"), "rank 33 is above 32, the smaller dimension"),
    (("train", "study.yaml", "--set", "budget=100"), "above the budget of 100"),
    (("train", "study.yaml", "--set", "data.train=nothing.csv"), "data file nothing.csv does not exist"),
    (("train", "study.yaml", "--set", "data.text=body"), "no column 'body' among 'text', 'label'"),
    (("train", "study.yaml", "--set", "data.validation=unknown.csv"), "unknown.csv: row 0 (counted from 0) has label 'Weather'"),
    (("train", "study.yaml", "--set", "data.train=empty-text.csv"), "empty text: 1 row has no text, the first is row 1"),
    (("train", "study.yaml", "--set", "data.train=one-label.csv"), "has only one label"),
    (("train", "study.yaml", "--set", "data.train=cyrillic.csv"), "cyrillic.csv: line 2: byte 0xd1 is not UTF-8"),
    (("train", "study.yaml", "--set", "data.train=hostile.pkl"), "hostile.pkl was refused: the pickle names posix.system"),
    (("train", "study.yaml", "--set", "output=/proc/striata"), "cannot write /proc/striata"),
    (("train", "study.yaml", "--set", "base=bare"), "has no weights: expected model.safetensors"),
    (("train", "study.yaml", "--set", "base=nowhere"), "encoder 'nowhere' is no folder here"),
    (("train", "study.yaml", "--device", "cuda"), "device 'cuda' was asked for"),
    (("train", "study.yaml", "--device", "quantum"), "device 'quantum'"),
    (("train", "study.yaml", "--set", "recipe.class_weights={Wrld: 1}"), "names label 'Wrld' (did you mean 'World'?)"),
    (("leaderboard", "nothing"), "there is no folder nothing"),
    (("leaderboard", "bare"), "bare is no study's folder"),
    (("predict", "nothing", "test.csv", "--out", "x.csv"), "there is no run folder nothing"),
    (("predict", "{out}/runz", "test.csv"), "runz (did you mean 'runs'?); check the path"),
    (("predict", "test.csv", "{out}"), "test.csv is a file; expected a run's folder"),
    (("predict", "bare", "test.csv", "--out", "x.csv"), "bare is no finished run"),
    (("predict", "{out}/ensemble", "test.csv", "--out", "x.txt"), "unknown format '.txt'; expected a name ending in .csv"),
    (("predict", "{out}/ensemble", "test.csv", "--out", "x.csv", "--text", "body"), "no column 'body'"),
    (("predict", "{out}/ensemble", "test.csv", "--out", "/proc/x.csv"), "cannot write /proc"),
    (("evaluate", "{out}/ensemble", "unknown.csv"), "has label 'Weather'"),
    (("evaluate", "{out}/ensemble", "unlabelled.csv"), "no label column among 'text'"),
    (("predict", "{out}/ensemble", "test.csv", "--out", "x.csv", "--format", "idlabel"), "(did you mean 'id-label'?)"),
    (("predict", "{out}/ensemble", "test.csv", "--out", "no/x.csv"), "--out no/x.csv: there is no folder no; make it"),
    (("predict", "{out}/ensemble", "test.csv", "--out", "x.csv", "--only", "id"), "--only id: no such column in test.csv"),
    (("predict", "{out}/ensemble", "test.csv", "--out", "x.csv", "--id", "nr"), "--id names the ID of --format id-label"),
]  # fmt: skip


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and everything that can be wrong beside it."""
    folder = tmp_path_factory.mktemp("wrong")
    write_study(folder)
    (folder / "unknown.csv").write_text("text,label\nw1 w2,Weather\n")
    (folder / "unlabelled.csv").write_text("text\nw1 w2\n")
    (folder / "empty-text.csv").write_text("text,label\nw1,World\n ,Sports\n")
    (folder / "one-label.csv").write_text("text,label\nw1,World\nw2,World\n")
    (folder / "cyrillic.csv").write_bytes("text,label\nСпасибо,World\n".encode("cp1251"))
    (folder / "hostile.pkl").write_bytes(b"cposix\nsystem\n(S'touch hacked'\ntR.")
    (folder / "bare").mkdir()
    for file in (folder / "roberta").iterdir():
        if file.suffix != ".safetensors":
            (folder / "bare" / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=[message[:40] for _, message in ERRORS])
def test_every_error_is_one_line_and_leaves_files_alone(
    trained: Path, wrong: Path, arguments: Sequence[str], message: str
) -> None:
    before = sorted((str(p), p.stat().st_mtime_ns) for p in wrong.rglob("*") if p.is_file())
    assert message in refused(*(a.replace("{out}", str(trained / "out")) for a in arguments), cwd=wrong)
    assert sorted((str(p), p.stat().st_mtime_ns) for p in wrong.rglob("*") if p.is_file() and p.name != ".lock") == before


def test_a_full_disk_is_one_line_and_loses_nothing(trained: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=False, capture_output=True)
    if mounted.returncode:
        # Without the right to mount, a limit on the size of files fails in the same place with a related error.
        limit = "import resource as r, signal as s; s.signal(s.SIGXFSZ, s.SIG_IGN); r.setrlimit(r.RLIMIT_FSIZE, (2000, 2000))\n"
        done = python(limit + COMMAND, "train", "study.yaml", "--set", f"output={small}/out", cwd=trained)
    else:
        try:
            done = run("train", "study.yaml", "--set", f"output={small}/out", cwd=trained)
            left = [p for p in small.rglob("*") if p.is_file() and p.suffix == ".safetensors"]
            assert not left
        finally:
            subprocess.run(["umount", str(small)], check=True)
    assert done.returncode == 2, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: no space or no inodes left to write")
    assert "Traceback" not in done.stderr


def test_ctrl_c_in_a_terminal_saves_and_exits_with_130(tmp_path: Path) -> None:
    write_study(tmp_path, recipe={"max_steps": 4000, "evaluate_every": 1000})
    parent, child = pty.openpty()
    terminal = {"stdin": child, "stdout": child, "stderr": child}
    process = start(COMMAND, "train", "study.yaml", cwd=tmp_path, environment={"COLUMNS": "160", "TERM": "xterm"}, **terminal)
    os.close(child)
    seen = b""
    deadline = time.monotonic() + 120
    while b"/4000" not in seen and time.monotonic() < deadline:
        seen += os.read(parent, 4096)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    assert process.wait() == 130
    assert b"learning rate" in seen
    assert b"run the same command again to go on" in seen
    assert b"Traceback" not in seen
    assert list((tmp_path / "out" / "stacks").glob("*/checkpoint.safetensors"))
