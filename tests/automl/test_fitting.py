"""`striata fit`: from a CSV to a model, with a tiny encoder."""

from __future__ import annotations

import shlex
import signal
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import striata
from striata.automl import fitting, speed
from striata.automl.fitting import Request, fit_file
from striata.automl.overview import look
from striata.automl.verdict import Fitted
from striata.baselines import Lexical, Rows
from striata.choices import BASELINES
from striata.data import Columns, read_table
from striata.ensemble import load_ensemble
from striata.errors import DataError, EncoderError, ExtraError, StudyError
from striata.robustness import run_stress
from striata.runs import Run, StudyFolder
from striata.settings import load_study
from striata.training.events import Event

from ..command import run as call
from ..processes import python
from ..study.small import WORDS, noting, study_of, write_texts
from .small import SPEED, at_one_speed, request


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Fitted:
    ticks = count(0, 0.01)
    with pytest.MonkeyPatch.context() as patch:
        at_one_speed(patch)
        return fit_file(request(folder), now=lambda: next(ticks))


def test_a_csv_becomes_runs_of_every_kind_and_an_ensemble(folder: Path, fitted: Fitted) -> None:
    runs = {run.name: run for run in StudyFolder(fitted.folder).runs()}
    assert set(BASELINES) <= set(runs)
    assert any(run.kind == "adapter" for run in runs.values())
    assert (fitted.folder / "ensemble" / "ensemble.json").is_file()
    assert fitted.measured_on == "validation"
    assert 0 <= fitted.accuracy.low <= fitted.accuracy.value <= fitted.accuracy.high <= 1
    assert fitted.cheapest_bar in BASELINES
    assert "points" in fitted.sentence


def test_the_model_predicts_labels_of_the_data(folder: Path, fitted: Fitted) -> None:
    table = read_table(str(folder / "test.csv"), Columns())
    assert striata.load(fitted.model).evaluate(table).accuracy > 0.8


def test_a_baseline_is_measured_without_the_validation_rows_and_kept_with_them(folder: Path, fitted: Fitted) -> None:
    run = Run.load(fitted.folder / "runs" / "lexical")
    table = read_table(str(folder / "train.csv"), Columns())
    held = run.validation()
    targets = np.array([run.labels.index(label) for label in table.labels or ()])
    inside = np.setdiff1d(np.arange(len(table)), held.ids)
    texts = [table.texts[at] for at in held.ids]

    def logits(places: np.ndarray) -> np.ndarray:
        rows = Rows(texts=[table.texts[at] for at in places])
        return Lexical.fit(rows, targets[places], len(run.labels)).logits(Rows(texts=texts))

    np.testing.assert_array_equal(held.logits, logits(inside))
    np.testing.assert_array_equal(striata.load(run.path).logits(texts), logits(np.concatenate([inside, held.ids])))


def test_figures_on_rows_that_a_member_was_fitted_on_come_with_a_warning(folder: Path, fitted: Fitted) -> None:
    model, lines = striata.load(fitted.model), list[str]()
    model.warn = lines.append
    table = read_table(str(folder / "train.csv"), Columns())
    held = Run.load(fitted.folder / "runs" / "lexical").validation().ids
    hashes = table.text_hashes()
    inside = np.setdiff1d(np.flatnonzero(~np.isin(hashes, hashes[held])), held)
    model.evaluate(table.take(inside))
    assert not lines
    model.evaluate(table.take(np.concatenate([inside[:5], held[:3]])))
    run_stress(model, table.take(held[:2]))
    assert [line.partition(" have the text of a validation row")[0] for line in lines] == ["3 of 8 rows", "2 of 2 rows"]
    model.evaluate(table)
    assert lines[2].startswith(f"the {len(held)} validation rows are among these {len(table)} rows")
    assert len(lines) == 3


@pytest.mark.parametrize("kind", list(BASELINES))
def test_a_baseline_that_is_not_refitted_gives_its_validation_logits_again(folder: Path, tmp_path: Path, kind: str) -> None:
    striata.train(study_of(folder, layouts=[], baselines=[kind], ensemble=False, output=str(tmp_path / "out")))
    run = Run.load(tmp_path / "out" / "runs" / kind)
    rows = read_table(str(folder / "train.csv"), Columns()).take(run.validation().ids)
    logits = striata.load(run.path).logits(rows.texts)
    if kind in ("majority", "lexical"):
        np.testing.assert_array_equal(logits, run.validation().logits)
    else:  # embeddings of other batches differ in their last bits
        np.testing.assert_allclose(logits, run.validation().logits, atol=2e-2)


@pytest.mark.parametrize("base", [None, "none"])
def test_without_an_encoder_words_are_fitted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str | None
) -> None:
    monkeypatch.setattr("striata.automl.overview.default_base", lambda: str(tmp_path / "missing"))
    lines: list[str] = []
    fitted = fit_file(request(folder, base=base, output=str(tmp_path / "out")), listen=noting(lines))
    assert {run.kind for run in StudyFolder(fitted.folder).runs()} == {"majority", "lexical"}
    assert any(line.startswith("no encoder: ") for line in lines)
    assert ("missing" in " ".join(lines)) == (base is None)
    assert "; no encoder took part; better than majority: +" in fitted.sentence
    assert (fitted.to_json()["encoder"], fitted.to_json()["limit"]) == (False, 30)
    assert striata.load(fitted.model).evaluate(read_table(str(folder / "test.csv"), Columns())).accuracy > 0.8


def test_every_run_says_how_fast_it_answers_and_what_it_shares(fitted: Fitted) -> None:
    facts = {run.name: run.facts for run in StudyFolder(fitted.folder).runs()}
    assert all(one.texts_per_second and one.texts_per_second > 0 for one in facts.values())
    shared = {name: one.shared_seconds for name, one in facts.items() if one.shared_seconds}
    assert set(shared) == {"frozen", "neighbours"}
    assert shared["frozen"] == shared["neighbours"] < min(facts[name].seconds for name in shared)


def test_the_report_lies_beside_it_or_a_line_says_how_to_have_it(
    folder: Path, fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fitted.report == fitted.folder / "report.html"
    assert "lexical" in fitted.report.read_text()

    def missing(*_: object) -> None:
        raise ExtraError("a report needs jinja2; run: pip install 'striata[report]'")

    monkeypatch.setattr("striata.report.write.require", missing)
    lines: list[str] = []
    without = fit_file(request(folder, base="none", output=str(tmp_path / "out")), listen=noting(lines))
    assert without.report is None
    assert lines[-1] == "no report: a report needs jinja2; run: pip install 'striata[report]'"
    assert without.model.is_dir()


def test_the_same_call_again_trains_nothing_and_counts_its_time(folder: Path, fitted: Fitted) -> None:
    heard: list[Event] = []
    ticks = count(0, 0.01)
    again = fit_file(request(folder), listen=heard.append, now=lambda: next(ticks))
    assert not [event for event in heard if event.kind in ("step", "finished")]
    assert again.accuracy == fitted.accuracy
    assert again.seconds > fitted.seconds
    assert again.limit == fitted.limit == 30


def test_what_it_names_for_texts_without_labels_is_done_with_its_folder(
    folder: Path, fitted: Fitted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(striata, "fit", lambda *_, **__: replace(fitted, name="ensemble"))
    assert call("fit", folder / "train.csv", "--base", folder / "roberta") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "selftrain" in line)
    command = shlex.split(line[line.index("striata ") :])
    assert command == ["striata", "selftrain", str(fitted.folder), "--unlabelled", "FILE"]
    monkeypatch.setattr(striata, "fit", lambda *_, **__: replace(fitted, name="lexical"))
    assert call("fit", folder / "train.csv", "--base", folder / "roberta") == 0
    assert "selftrain" not in capsys.readouterr().out
    more = write_texts(folder / "more.csv", 40, seed=2, labels=False)
    assert call(*command[1:-1], more, "--rounds", 1, "--steps", 4, "--loss", 1) == 0
    made = {learner.name: learner for learner in StudyFolder.open(fitted.folder / "selftrained").runs()}
    assert set(made) == set(load_ensemble(fitted.folder / "ensemble").runs)
    assert all(learner.facts.transductive for learner in made.values())
    assert call("evaluate", fitted.folder / "selftrained", folder / "test.csv") == 0


def test_more_minutes_for_what_is_done_are_answered(folder: Path, fitted: Fitted) -> None:
    for _ in ("once", "and again"):
        lines: list[str] = []
        fit_file(request(folder, minutes=1.0), listen=noting(lines))
        assert [line for line in lines if "--minutes" in line] == [
            "what is done was decided for --minutes 0.5; for another time choose another folder (--out)"
        ]


def test_where_no_rows_can_be_embedded_the_minutes_that_would_do_are_told(folder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    wanted = request(folder, output=str(tmp_path / "out"), minutes=0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "measure_speed", lambda *_: 5e-4)
        fit_file(wanted, listen=noting(lines), now=lambda: 0.0)
        (line,) = [line for line in lines if line.startswith("no frozen embeddings")]
        minutes = float(line.partition("`--minutes ")[2].partition("`")[0])
        overview = look(wanted.source, wanted.columns, wanted.base)
        embedded = [
            fitting.decide(replace(wanted, minutes=time), overview, seconds_a_token=5e-4).embedded_rows
            for time in (minutes - 1, minutes)
        ]
    assert embedded[0] == 0
    assert embedded[1] != 0


@pytest.mark.parametrize(
    ("label", "values", "task"),
    [("stars", ["1", "2", "3"], "ordinal"), ("topic", ["a", "b", "a|b"], "multilabel"), ("topic", ["1", "2", "3"], "")],
)
def test_labels_that_look_like_another_task_are_told(tmp_path: Path, label: str, values: list[str], task: str) -> None:
    pd.DataFrame({"text": [f"row {row}" for row in range(30)], label: values * 10}).to_csv(tmp_path / "x.csv", index=False)
    told = " ".join(look(str(tmp_path / "x.csv"), Columns(label=label), "none").sentences)
    assert ("--task" in told) == bool(task)
    assert f"--task {task}" in told or not task


def test_interrupted_it_ends_as_if_it_had_not_been(folder: Path, fitted: Fitted, tmp_path: Path) -> None:
    """The study file that is written decides all, so that the first call's serves as the reference."""
    text = (fitted.folder / "study.yaml").read_text()
    output = tmp_path / "out"

    def stop(event: Event) -> None:
        if event.kind == "evaluated":
            raise KeyboardInterrupt

    study = load_study(text and fitted.folder / "study.yaml", [f"output={output}"])
    with pytest.raises(KeyboardInterrupt):
        striata.train(study, listen=stop)
    striata.train(study)
    for run in StudyFolder(fitted.folder).runs():
        other = Run.load(output / "runs" / run.name)
        np.testing.assert_array_equal(other.validation().logits, run.validation().logits)


def test_another_request_in_the_same_folder_is_refused(folder: Path, fitted: Fitted) -> None:
    with pytest.raises(StudyError, match="holds a fit with seed 0, and this one is with seed 1"):
        fit_file(request(folder, seed=1))


def test_a_folder_of_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StudyError, match="is not empty and holds no fit"):
        fit_file(request(folder, output=str(tmp_path)))


def test_of_two_fits_in_one_folder_the_second_is_refused_and_one_that_wrote_nothing_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = request(folder, output=str(tmp_path / "runs" / "out"))

    def meanwhile(*_: object) -> float:
        monkeypatch.setattr(speed, "measure_speed", lambda *_: SPEED)
        with pytest.raises(StudyError, match=r"another process is fitting in .*; wait for it, or choose another output"):
            fit_file(same)
        raise KeyboardInterrupt

    monkeypatch.setattr(speed, "measure_speed", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        fit_file(same)
    assert not (tmp_path / "runs").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match="file is a file; choose a folder"):
        fit_file(request(folder, output=str(tmp_path / "file")))


@pytest.mark.parametrize(
    ("labels", "rows_a_label"), [(100, 2), (120, 7)], ids=["two rows a label", "a tenth of the rows is less than the labels"]
)
def test_many_labels_are_on_both_sides(tmp_path: Path, labels: int, rows_a_label: int) -> None:
    draws = np.random.default_rng(0)
    texts = [f"x{at // 20} y{at % 20} {' '.join(draws.choice(WORDS, 2))}" for at in range(labels) for _ in range(rows_a_label)]
    names = [f"label {at}" for at in range(labels) for _ in range(rows_a_label)]
    fitted = fit_file(
        Request(source="rows", base="none", minutes=0.5, output=str(tmp_path / "out")), rows={"train": (texts, names)}
    )
    model = striata.load(fitted.model)
    assert len(model.labels) == labels
    assert fitted.measured_on == "validation"
    assert fitted.rows >= labels
    assert fitted.accuracy.value > 0.1  # by chance 0.01


def test_chinese_is_fitted_by_its_characters(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    topics = {"财经": "股市上涨公司利润经济银行投资", "体育": "球队比赛冠军进球教练联赛足", "科技": "手机软件网络芯片电脑人工智"}
    texts = ["".join(draws.choice(list(letters), 12)) for letters in topics.values() for _ in range(60)]
    names = [topic for topic in topics for _ in range(60)]
    fitted = fit_file(
        Request(source="rows", base="none", minutes=0.5, output=str(tmp_path / "out")), rows={"train": (texts, names)}
    )
    assert striata.load(fitted.model).predict(["银行股市利润", "教练进球"]) == ["财经", "体育"]
    assert fitted.accuracy.value > 0.95


def test_test_rows_have_the_last_word(folder: Path, tmp_path: Path) -> None:
    ticks = count(0, 1000.0)
    fitted = fit_file(request(folder, output=str(tmp_path / "out"), test=str(folder / "test.csv")), now=lambda: next(ticks))
    assert (fitted.measured_on, fitted.rows) == ("test", 40)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na b,x\nc d,x\n", "only one label"),
        ("text,label\n", "no rows"),
        ("text,label\na b,x\nc d,y\ne f,y\n", "has 3 rows of 2 labels; expected at least two rows for each label"),
        ("words,kind\na b,x\n", "no text column"),
        ("text,label\n,x\nb,y\n", "no text"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_a_line(folder: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        fit_file(request(folder, source=str(tmp_path / "bad.csv"), output=str(tmp_path / "out")))
    assert not (tmp_path / "out" / "study.yaml").exists()


def test_an_encoder_that_is_not_there_is_named_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="does not exist"):
        fit_file(request(folder, base="./nowhere", output=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_frame_gives_what_its_file_gives_and_goes_on_with_the_same_rows(folder: Path, tmp_path: Path) -> None:
    frame, test = (pd.read_csv(folder / f"{name}.csv").rename(columns={"label": "topic"}) for name in ("train", "test"))
    settings: dict[str, Any] = {"label": "topic", "base": "none", "minutes": 0.5}
    frame.to_csv(tmp_path / "train.csv", index=False)
    of_file = striata.fit(tmp_path / "train.csv", output=tmp_path / "file", **settings)
    of_frame = striata.fit(frame, output=tmp_path / "frame", test=test, **settings)
    one, other = (Run.load(fitted.folder / "runs" / "lexical").validation() for fitted in (of_file, of_frame))
    np.testing.assert_array_equal(one.logits, other.logits)
    assert of_frame.measured_on == "test"
    with pytest.raises(StudyError, match="holds a fit with source"):
        striata.fit(frame[:100], output=tmp_path / "frame", test=test, **settings)


def test_with_random_labels_nothing_is_better_than_chance_on_new_rows(folder: Path, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    words = np.array(WORDS)

    def rows(count: int) -> tuple[list[str], list[str]]:
        texts = [" ".join(draws.choice(words, 8)) for _ in range(count)]
        return texts, [("a", "b", "c")[at] for at in draws.integers(0, 3, count)]

    texts, labels = rows(300)
    twice = (texts + texts, labels + list(draws.permutation(labels)))  # every text twice, with another label
    ticks = count(0, 0.01)
    request_ = Request(source="rows", base=str(folder / "roberta"), minutes=0.5, output=str(tmp_path / "out"))
    fitted = fit_file(request_, rows={"train": twice}, now=lambda: next(ticks))
    model = striata.load(fitted.model)
    new, truth = rows(600)
    for name, logits in model.member_logits(new).items():
        right = np.mean([model.labels[at] == label for at, label in zip(logits.argmax(1), truth, strict=True)])
        assert abs(right - 1 / 3) < 0.08, name  # four standard errors
    assert fitted.accuracy.low < 0.4


KILLED = """
import os, signal, sys
from itertools import count
from striata.automl import fitting, speed

folder, output, kind, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
seen = []

def listen(event):
    if event.kind == kind:
        seen.append(event)
    if len(seen) == number:
        os.kill(os.getpid(), signal.SIGKILL)

ticks = count(0, 0.01)
speed.measure_speed = lambda *_: 1e-5
speed.observed_speed = lambda *_: None
speed.measure_step = lambda *_: 3e-4
request = fitting.Request(source=f"{folder}/train.csv", base=f"{folder}/roberta", minutes=0.5, output=output)
fitting.fit_file(request, listen=listen, now=lambda: next(ticks))
"""


@pytest.mark.parametrize(("kind", "number"), [("note", 8), ("finished", 4), ("saved", 1)])
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(
    folder: Path, fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    output = str(tmp_path / "out")
    assert python(KILLED, folder, output, kind, number).returncode == -signal.SIGKILL
    ticks = count(0, 0.01)
    again = fit_file(request(folder, output=output), now=lambda: next(ticks))
    studies = [(place / "study.yaml").read_text() for place in (fitted.folder, again.folder)]
    assert studies[0].replace(str(fitted.folder), output) == studies[1]
    for run in StudyFolder(fitted.folder).runs():
        np.testing.assert_array_equal(Run.load(again.folder / "runs" / run.name).validation().logits, run.validation().logits)
    assert again.name == fitted.name


def test_killed_while_the_first_file_was_written_it_begins_anew(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    left = output / ".fit.json.abcdefgh.striata"
    left.mkdir(parents=True)
    for name in (".lock", "new"):
        (left / name).write_text("")
    assert fit_file(request(folder, base="none", output=str(output))).folder == output
    assert [path.name for path in output.iterdir() if path.name.startswith(".")] == [".lock"]


def test_how_a_file_is_written_is_said_once(folder: Path, tmp_path: Path) -> None:
    source, lines = tmp_path / "train.csv", list[str]()
    source.write_text((folder / "train.csv").read_text().replace(",", ";"))
    wanted = request(folder, source=str(source), base="none", output=str(tmp_path / "out"))
    for _ in ("at first", "where it goes on"):
        fit_file(wanted, listen=noting(lines))
        assert len([line for line in lines if "separated by semicolons" in line]) == 1
        lines.clear()
