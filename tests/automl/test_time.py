"""What `striata fit` does with the time it has, with a tiny encoder and on a clock of the test's own."""

from __future__ import annotations

import json
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

import pytest

from striata.automl import fitting, speed
from striata.automl.fitting import fit_file
from striata.automl.timing import Shares
from striata.baselines import BASELINES as KINDS
from striata.choices import BASELINES
from striata.data import Columns
from striata.runs import StudyFolder
from striata.settings import load_study
from striata.training.events import Event

from ..study.small import noting, write_texts
from .small import SPEED, request


def test_without_time_words_are_fitted_all_the_same(folder: Path, tmp_path: Path) -> None:
    ticks, lines = count(0, 1000.0), list[str]()
    fitted = fit_file(request(folder, output=str(tmp_path / "out")), now=lambda: next(ticks), listen=noting(lines))
    assert {run.kind for run in StudyFolder(fitted.folder).runs()} == {"majority", "lexical"}
    assert any(line.startswith("no frozen embeddings: the time suffices for too few rows; `--minutes ") for line in lines)


def test_embeddings_that_a_busy_moment_forbade_are_computed_in_the_time_that_words_leave(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds, lines = chain([1.0], repeat(SPEED)), list[str]()
    monkeypatch.setattr(speed, "measure_speed", lambda *_: next(speeds))
    fitted = fit_file(request(folder, output=str(tmp_path / "out")), listen=noting(lines), now=lambda: 0.0)
    assert "no frozen embeddings: the time suffices for too few rows" in lines
    assert {run.kind for run in StudyFolder(fitted.folder).runs()} == {*BASELINES, "adapter"}
    study = load_study(fitted.folder / "study.yaml")
    assert study.baselines.kinds == tuple(BASELINES)
    assert study.ensemble.size == len(BASELINES) - 1 + len(study.layouts)


def test_time_that_no_adapter_can_use_embeds_more_rows(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "share_out", lambda *_: Shares(embedded=100, training=None))
    lines, rows = list[str](), 300
    source = str(write_texts(tmp_path / "train.csv", rows))
    without_room = request(folder, source=source, output=str(tmp_path / "out"), budget=10)
    fitted = fit_file(without_room, listen=noting(lines), now=lambda: 0.0)
    held = load_study(fitted.folder / "study.yaml").data.validation
    assert f"time is left: {rows - held} training rows are embedded, not 100" in lines
    for kind in ("frozen", "neighbours"):
        assert json.loads((fitted.folder / "runs" / kind / "baseline.json").read_text())["rows"] == rows
    assert load_study(fitted.folder / "study.yaml").baselines.embedded_rows is None


def test_where_no_baseline_on_embeddings_could_be_fitted_no_more_rows_are_embedded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(fitting, "share_out", lambda *_: Shares(embedded=100, training=None))
    for kind in ("frozen", "neighbours"):
        monkeypatch.setattr(KINDS[kind], "fit", fail)
    source, lines = str(write_texts(tmp_path / "train.csv", 300)), list[str]()
    without_room = request(folder, source=source, output=str(tmp_path / "out"), budget=10)
    fitted = fit_file(without_room, listen=noting(lines), now=lambda: 0.0)
    assert not [line for line in lines if line.startswith("time is left")]
    assert {run.kind for run in StudyFolder(fitted.folder).runs()} == {"majority", "lexical"}


def test_what_is_trained_is_decided_by_the_time_that_the_baselines_leave(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, measured = {"now": 0.0}, list[object]()
    monkeypatch.setattr(speed, "measure_step", lambda *job: measured.append(job) or 3e-4)

    def listen(event: Event) -> None:
        if event.kind == "finished" and event.member == "neighbours":  # the last baseline
            late["now"] = 29.5

    slow, quick = (
        fit_file(request(folder, output=str(tmp_path / name)), listen=tell, now=lambda: late["now"])
        for name, tell in (("slow", listen), ("quick", lambda _: late.update(now=0.0)))
    )
    layouts = [load_study(fitted.folder / "study.yaml").layouts for fitted in (slow, quick)]
    assert not layouts[0]
    assert layouts[1]
    assert len(measured) == 1  # a training step, once, and only where there is time for some


def test_a_clock_that_runs_out_ends_training_with_the_best_so_far(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {"now": 0.0}

    def listen(event: Event) -> None:
        if event.kind == "step":
            late["now"] = 1000.0

    fitted = fit_file(request(folder, output=str(tmp_path / "out")), listen=listen, now=lambda: late["now"])
    stopped = {(run.facts.stopped, run.facts.steps) for run in StudyFolder(fitted.folder).runs() if run.kind == "adapter"}
    assert stopped == {("time", 25)}  # an eighth of 200 steps, when the race is over; the first evaluation would be at 67


@pytest.mark.parametrize(
    ("last", "begun"),
    [("lexical", {"majority", "lexical"}), ("frozen", {"majority", "lexical", "frozen"})],
    ids=["over when the words are fitted", "over while embeddings are"],
)
@pytest.mark.parametrize("task", ["single-label", "multilabel", "regression"])
def test_once_the_time_is_over_no_fit_on_embeddings_is_begun_and_none_repeated(
    folder: Path, tmp_path: Path, task: str, last: str, begun: set[str]
) -> None:
    source, now, lines = tmp_path / "train.csv", {"now": 0.0}, list[str]()
    rows = (folder / "train.csv").read_text().splitlines()[1:]
    labels = {name: at for at, name in enumerate(sorted({row.rpartition(",")[2] for row in rows}))}
    values = {"single-label": "{0}", "multilabel": "{0}|all", "regression": "{1}.5"}[task]
    spelled = [(text, values.format(label, labels[label])) for text, _, label in (row.rpartition(",") for row in rows)]
    source.write_text("text,label\n" + "".join(f"{text},{value}\n" for text, value in spelled))

    def listen(event: Event) -> None:
        noting(lines)(event)
        if event.message == f"fitting baseline {last}":
            now["now"] = 1000.0

    wanted = request(folder, source=str(source), output=str(tmp_path / "out"), columns=Columns(task=task))
    fitted = fit_file(wanted, listen=listen, now=lambda: now["now"])
    runs = {run.name: run.facts.recipe.get("refit") for run in StudyFolder(fitted.folder).runs()}
    assert runs == {name: None if name == last else True for name in begun}
    over = [f"no baseline {kind}: the time is over" for kind in KINDS if kind not in begun]
    assert [line for line in lines if line.endswith("the time is over")][: len(over)] == over
    again = fit_file(wanted, now=lambda: now["now"])  # for which no time is left
    assert {run.name for run in StudyFolder(again.folder).runs()} == begun
