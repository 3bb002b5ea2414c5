"""One run trained on an ensemble's probabilities: what it is taught, what it becomes, when it is refused."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import striata
from striata.data import Columns, read_texts
from striata.disk.files import sha256_file
from striata.distillation import student
from striata.distillation.lesson import read_unlabelled
from striata.distillation.teacher import encoder_passes, read_targets, soft_targets, write_targets
from striata.distillation.verdict import judge
from striata.ensemble import load_ensemble, write_ensemble
from striata.errors import StriataError
from striata.figures.intervals import paired_difference
from striata.model import Model
from striata.runs import Run, StudyFolder, leaderboard
from striata.study import prepare_again
from striata.training.events import Event, nobody

from ..hidden import run_without
from ..study.small import LABELS, noting, study_of, write_texts
from ..study.synthetic import logits_of, write_synthetic_study

Listener = Callable[[Event], None]


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def texts_of(file: Path) -> list[str]:
    with file.open() as lines:
        return [row["text"] for row in csv.DictReader(lines)]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained study of three layouts and a baseline, its ensemble of all four, and more texts."""
    folder = tmp_path_factory.mktemp("taught")
    study = study_of(folder, baselines=["lexical"], ensemble={"size": 4}, recipe={"max_steps": 40, "evaluate_every": 10})
    trained = striata.train(study)
    assert trained.ensemble is not None
    assert {run.kind for run in trained.ensemble.runs.values()} == {"adapter", "lexical"}
    write_texts(folder / "more.csv", 150, seed=2, labels=False)
    return folder


@pytest.fixture
def folder(taught: Path, tmp_path: Path) -> Path:
    """A copy of the study's folder, to be changed."""
    shutil.copytree(taught / "out", tmp_path / "out")
    return tmp_path / "out"


def test_what_is_taught_are_calibrated_probabilities_by_baselines_that_have_not_seen_the_row(taught: Path) -> None:
    """Against the members' own logits put together by hand."""
    folder = StudyFolder.open(taught / "out")
    prepared, ensemble = prepare_again(folder), load_ensemble(taught / "out" / "ensemble")
    model, more = Model.load(ensemble.folder, precision="fp32"), read_texts(taught / "more.csv", Columns())
    targets = soft_targets(model, prepared, more)
    train = prepared.splits.train
    logits = {name: striata.load(run.path, precision="fp32").logits(train.texts) for name, run in ensemble.runs.items()}
    seen = dict(logits)
    (scorer,) = [scorer for scorer in model.scorers if "lexical" in scorer.labels]
    logits["lexical"] = scorer.baselines["lexical"].out_of_fold(scorer.rows(train.texts, None), prepared.targets["train"])
    mean = sum(weight * logits[name] for name, weight in ensemble.members.items())
    expected = np.exp(mean / ensemble.calibration().temperature)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(targets[: len(train)], expected, atol=1e-5)
    assert np.abs(seen["lexical"] - logits["lexical"]).max() > 0.1
    np.testing.assert_allclose(targets[len(train) :], model.predict_proba(more.texts), atol=1e-6)
    mixed = soft_targets(model, prepared, more, hard=0.25)
    truth = np.eye(3)[prepared.targets["train"]]
    np.testing.assert_allclose(mixed[: len(train)], 0.75 * targets[: len(train)] + 0.25 * truth, atol=1e-6)
    np.testing.assert_array_equal(mixed[len(train) :], targets[len(train) :])
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-5)


def test_baselines_teach_nothing_of_labels_made_by_chance(tmp_path: Path) -> None:
    """Embeddings of half the rows: the neighbours know those by heart, and must not tell."""
    study = study_of(tmp_path, baselines={"kinds": ["neighbours", "lexical"], "embedded_rows": 150}, layouts=["0 r1 query"],
                     data={"validation": 60}, ensemble={"size": 1}, recipe={"max_steps": 1})  # fmt: skip
    rng = np.random.default_rng(5)
    write_texts(tmp_path / "train.csv", 360, seed=3)
    lines = [f"{text},{LABELS[rng.integers(3)]}" for text in texts_of(tmp_path / "train.csv")]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *lines]))
    striata.train(study)
    folder = StudyFolder.open(tmp_path / "out")
    shutil.move(folder.path / "runs" / next(run.name for run in folder.runs() if run.kind == "adapter"), tmp_path / "aside")
    write_ensemble(folder.path, size=2)
    prepared, model = prepare_again(folder), Model.load(folder.path / "ensemble", precision="fp32")
    truth = prepared.targets["train"]
    taught = soft_targets(model, prepared, None).argmax(1) == truth
    by_heart = model.logits(prepared.splits.train.texts).argmax(1) == truth
    assert taught.mean() < 1 / 3 + 4 * np.sqrt(2 / 9 / 300) < by_heart.mean()


def test_a_distilled_run_comes_near_its_ensemble_and_says_what_it_is(taught: Path, folder: Path) -> None:
    notes: list[str] = []
    made = striata.distil(folder, unlabelled=str(taught / "more.csv"), steps=80, loss=1.0, listen=noting(notes), device="cpu")
    ensemble, new = striata.load(folder / "ensemble"), texts_of(taught / "test.csv")
    one = striata.load(made.run.path)
    assert made.run.path == folder / "distilled"
    agreed = np.mean([a == b for a, b in zip(one.predict(new), ensemble.predict(new), strict=True)])
    assert agreed >= 0.9
    untaught = StudyFolder.open(folder).runs()[0]
    assert made.run.identity != untaught.identity
    facts = made.run.facts
    assert (facts.kind, facts.name, facts.seed, facts.split["train"]) == ("adapter", "distilled", 0, 110)
    assert facts.distilled is not None
    assert facts.distilled.members == {name: run.checksum for name, run in ensemble.runs.items()}
    assert (facts.distilled.labelled, facts.distilled.unlabelled) == (110, 150)
    assert facts.distilled.source == str(taught / "more.csv")
    assert facts.distilled.temperature == load_ensemble(folder / "ensemble").calibration().temperature
    assert made.run.receipt() is not None
    assert made.run.calibration().rows == 40
    assert [line for line in notes if "mean largest probability in the targets" in line]
    assert not (folder / "unfinished").exists()
    verdict = made.verdict
    assert verdict.passes == 3  # three runs with adapters, and words, which need no encoder
    assert (
        f"a text takes 1 pass of the encoder, the ensemble 3: 33% of the cost; {made.run.trainable:,} trained" in made.lines()[3]
    )
    assert {row.run for row in leaderboard(StudyFolder.open(folder))} == {run.name for run in StudyFolder.open(folder).runs()}
    assert striata.train(study_of(taught, baselines=["lexical"], ensemble={"size": 4}, output=str(folder),
                                  recipe={"max_steps": 40, "evaluate_every": 10})).failed == {}  # fmt: skip


def test_peft_opens_a_distilled_run(taught: Path, folder: Path) -> None:
    made = striata.distil(folder, loss=1.0, layout="0-2 r2 query", seed=7, device="cpu")
    assert (made.run.seed, made.run.facts.layout) == (7, "0-2 r2 a2 query")
    base = AutoModelForSequenceClassification.from_pretrained(taught / "roberta", num_labels=3, ignore_mismatched_sizes=True)
    theirs = PeftModel.from_pretrained(base, made.run.path).eval()
    texts = texts_of(taught / "test.csv")[:8]
    tokens = AutoTokenizer.from_pretrained(taught / "roberta")(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        logits = theirs(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).logits
    np.testing.assert_allclose(striata.load(made.run.path, precision="fp32").logits(texts), logits.numpy(), atol=1e-4)


def test_the_figures_are_of_the_same_rows_whatever_their_order(tmp_path: Path) -> None:
    """Counted by hand: the best run right on 24 of 30 rows, the distilled one on 27, three of them other rows."""
    labels = np.arange(30) % 3
    right = {"s8": np.arange(30) < 24, "s1": np.arange(30) < 20}
    write_synthetic_study(tmp_path, {(name, 0): logits_of(rows, labels) for name, rows in right.items()}, labels)
    ensemble = write_ensemble(tmp_path, size=2)
    best = Run.load(tmp_path / "runs" / "s8-seed0")
    rows = (np.arange(30) >= 3) | (np.arange(30) == 1)
    rows[29] = False
    shuffled = np.random.default_rng(0).permutation(30)
    verdict = judge(logits_of(rows, labels)[shuffled], shuffled.astype(np.int64), best, ensemble)
    assert verdict.difference == paired_difference(2, 5, 30)
    assert (verdict.accuracy, verdict.best_accuracy) == (0.9, 0.8)
    assert verdict.lead.value == pytest.approx(verdict.ensemble_accuracy - 0.8)
    assert verdict.lead.value <= 0
    assert verdict.share is None
    assert verdict.retained.endswith("which is no gain over that run")
    gained = replace(verdict, lead=paired_difference(1, 5, 30), ensemble_accuracy=0.8 + 4 / 30)
    assert gained.share == pytest.approx(0.75)
    assert gained.retained.endswith("of which the distilled run keeps 75%")
    assert encoder_passes([best]) == 1


def test_a_worse_run_is_refused_with_the_figures_and_nothing_is_written(folder: Path) -> None:
    before = tree(folder)
    with pytest.raises(StriataError) as refused:
        striata.distil(folder, steps=1, device="cpu")
    assert tree(folder) == before
    figures = (
        r"reaches validation accuracy 0\.\d{4}, the best single run \S+ [01]\.\d{4}: -\d+\.\d\d points \(-.* to .*\) on 40 rows"
    )
    assert re.search(figures, str(refused.value))
    assert "nothing was written" in str(refused.value)


def test_the_command_says_what_is_gained_at_which_cost_or_why_nothing_is(taught: Path, folder: Path) -> None:
    refused, forced, made, told, shown, described = run_without(
        ([], ["distil", folder, "--steps", 1]),
        ([], ["distil", folder, "--steps", 1, "--loss", 1, "--json", "--out", folder / "other"]),
        ([], ["distil", folder, "--unlabelled", taught / "more.csv", "--hard", 0.1, "--loss", 0.5]),
        ([], ["predict", folder / "distilled", taught / "test.csv", "--out", folder / "said.csv"]),
        ([], ["report", folder]),
        ([], ["card", folder / "distilled"]),
    )
    assert refused[:2] == (2, "")
    assert refused[2].splitlines()[-1].startswith("error: the distilled run reaches validation accuracy 0.")
    assert forced[0] == 0, forced
    said = json.loads(forced[1])
    assert said["difference"]["value"] < 0
    assert said["distilled"]["hard"] == 0
    assert said["folder"] == str(folder / "other")
    assert made[0] == 0, made
    assert "on 110 training rows and 150 unlabelled texts" in made[1]
    assert "33% of the cost" in made[1]
    assert "rows predicted by 1 member" in told[1]
    assert (shown[0], described[0]) == (0, 0)
    assert '<p id="distilled">' in (folder / "report.html").read_text()
    card = (folder / "distilled" / "README.md").read_text()
    assert "trained on the probabilities of an ensemble of 4 runs instead of labels, and on 150 texts without labels" in card


def interrupt_at(step: int) -> Listener:
    """Ctrl-C once a checkpoint is there that holds a step."""
    steps: list[int] = []

    def listen(event: Event) -> None:
        if event.kind == "step":
            steps.append(event.step)
        if event.kind == "saved" and steps[-1] >= step:
            raise KeyboardInterrupt

    return listen


def test_an_interrupted_run_goes_on_and_is_bit_for_bit_the_same(
    taught: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"unlabelled": str(taught / "more.csv"), "loss": 1.0, "device": "cpu"}
    whole = striata.distil(folder, out=tmp_path / "whole", **options)
    before = tree(folder)
    with pytest.raises(KeyboardInterrupt):
        striata.distil(folder, listen=interrupt_at(10), **options)
    left = {name for name in tree(folder) if name not in before and not name.endswith(".lock")}
    assert left == {"unfinished/distilled/checkpoint.safetensors", "unfinished/distilled/targets.safetensors"}
    assert not (folder / "distilled").exists()
    asked = soft_targets
    monkeypatch.setattr(student, "soft_targets", None)  # not asked again
    notes: list[str] = []
    resumed = striata.distil(folder, listen=noting(notes), **options)
    assert "going on from step 10" in notes
    for name, value in whole.run.tensors().items():
        np.testing.assert_array_equal(resumed.run.tensors()[name], value, err_msg=name)
    np.testing.assert_array_equal(resumed.run.validation().logits, whole.run.validation().logits)
    assert not (folder / "unfinished").exists()
    monkeypatch.setattr(student, "soft_targets", asked)
    with pytest.raises(KeyboardInterrupt):
        striata.distil(folder, listen=interrupt_at(10), **options)
    notes.clear()
    striata.distil(folder, hard=0.5, listen=noting(notes), **options)
    assert "an interrupted call distilled something else; it begins anew" in notes


def test_targets_are_read_only_where_they_are_whole_and_of_this_request(tmp_path: Path) -> None:
    targets = np.random.default_rng(0).dirichlet(np.ones(3), 5).astype(np.float32)
    file = tmp_path / "targets.safetensors"
    assert read_targets(file, "a") is None
    write_targets(file, targets, "a")
    np.testing.assert_array_equal(read_targets(file, "a"), targets)
    assert read_targets(file, "b") is None
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    assert read_targets(file, "a") is None


def test_texts_of_the_studys_own_data_are_left_out(taught: Path) -> None:
    prepared, notes = prepare_again(StudyFolder.open(taught / "out")), list[str]()
    own = [prepared.splits.validation.texts[0].upper(), prepared.splits.train.texts[0]]
    table = read_unlabelled(["w1 w2 w3", *own, "w4 w5"], None, prepared, noting(notes))
    assert table.texts == ["w1 w2 w3", "w4 w5"]
    assert notes == ["2 of 4 unlabelled texts are in the study's own data and are left out"]
    with pytest.raises(StriataError, match=r"all 2 texts of .* are in the study's own data"):
        read_unlabelled(own, None, prepared, nobody)
    with pytest.raises(StriataError, match="has pairs of texts; expected single texts"):
        read_unlabelled({"text": ["a"], "text_pair": ["b"]}, None, prepared, nobody)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hard": 2}, "^hard 2 is no share; expected a value from 0 to 1"),
        ({"loss": -1}, "^loss -1 is no share"),
        ({"steps": 0}, "^steps 0 is too few"),
        ({"layout": "0-9 r1 query"}, "0-9"),
        ({"unlabelled": "no.csv"}, "data file no.csv does not exist"),
        ({"out": "TAKEN"}, "^out .* is there and is no distilled run"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(folder: Path, options: dict[str, Any], message: str) -> None:
    before = tree(folder)
    if "out" in options:
        options = {"out": folder / "ensemble"}
    with pytest.raises(StriataError, match=message):
        striata.distil(folder, device="cpu", **options)
    assert tree(folder) == before


def test_without_an_ensemble_of_several_there_is_nothing_to_distil(folder: Path) -> None:
    write_ensemble(folder, size=1)
    with pytest.raises(StriataError, match=r"the ensemble of .* is one run, .*; use it as it is"):
        striata.distil(folder)
    shutil.rmtree(folder / "ensemble")
    with pytest.raises(StriataError, match=r"has no ensemble to learn from; make one with `striata ensemble"):
        striata.distil(folder)
