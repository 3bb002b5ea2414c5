"""Studies end to end on a tiny encoder."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModel, AutoModelForSequenceClassification

import striata
from striata.data import Tokenizer
from striata.ensemble import load_ensemble
from striata.errors import EnsembleError, RunError, StriataError, StudyError
from striata.report.contents import collect
from striata.robustness.documents import EVALUATION, read_kept
from striata.runs import Run, StudyFolder, leaderboard
from striata.runs.adapter import HEAD
from striata.settings import load_study
from striata.study import check_output

from .small import LABELS, make_base, noting, study_of, tree, write_texts


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, striata.Trained]:
    """A study that has run, not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, striata.train(study_of(folder, data={"test": str(folder / "test.csv")}))


def copy(finished: tuple[Path, striata.Trained], to: Path) -> Path:
    shutil.copytree(finished[0] / "out", to / "out")
    return to / "out"


def test_a_study_becomes_runs_an_ensemble_and_figures(finished: tuple[Path, striata.Trained]) -> None:
    folder, trained = finished
    assert len(trained.runs) == 3
    assert not trained.failed
    assert trained.ensemble is not None
    assert list(trained.ensemble.members.values()) == [0.5, 0.5]
    rows = leaderboard(StudyFolder.open(folder / "out"))
    assert [row.run for row in rows[:2]] == list(trained.ensemble.members)
    assert set(trained.test) == {*trained.runs, "ensemble"}
    assert all(row.test_accuracy == trained.test[row.run]["accuracy"] for row in rows)
    assert min(row.accuracy for row in rows) > 0.5
    assert not (folder / "out" / "stacks").exists()


@pytest.mark.parametrize("ensemble", [{"size": 2}, False], ids=["an ensemble", "the best run"])
def test_what_was_measured_on_the_test_rows_is_kept_as_evaluate_keeps_it(
    finished: tuple[Path, striata.Trained], tmp_path: Path, ensemble: object
) -> None:
    folder = finished[0]
    study = study_of(folder, data={"test": str(folder / "test.csv")}, ensemble=ensemble, output=str(tmp_path / "out"))
    shutil.copytree(folder / "out" / "runs", tmp_path / "out" / "runs")
    shutil.copy(folder / "out" / "study.json", tmp_path / "out")
    trained = striata.train(study)
    assert trained.folder == tmp_path / "out"
    (kept,) = read_kept(trained.folder, "evaluate-*", EVALUATION)
    model = striata.load(trained.folder)
    measured = model.evaluate(str(folder / "test.csv"))
    assert kept.model.identity == model.identity
    assert (kept.source, kept.rows) == ("the study's test rows", 40)
    assert (kept.accuracy.value, kept.macro_f1) == (measured.accuracy, measured.metrics.scores.macro_f1)
    assert kept.calibration_error == pytest.approx(measured.calibrated.ece, abs=1e-6)
    assert collect(trained.folder).evaluations == (kept,)


def test_a_run_explains_itself(finished: tuple[Path, striata.Trained]) -> None:
    for run in finished[1].runs.values():
        facts = run.facts
        assert facts.versions["torch"] == importlib.metadata.version("torch")
        assert {"base_sha256", "data_fingerprint", "hardware", "split", "study", "recipe"} <= set(facts.model_fields_set)
        validation = run.validation()
        assert float((validation.logits.argmax(1) == validation.labels).mean()) == run.metrics["accuracy"]
        assert len(set(validation.ids.tolist())) == 40
        history = run.history()
        assert sum(entry["loss"] is not None for entry in history) == facts.steps == 20
        best = max(entry["validation_accuracy"] or 0 for entry in history)
        assert best == run.metrics["accuracy"]
        receipt = json.loads((run.path / "receipt.json").read_text())
        assert receipt["trainable"] == run.plan.trainable
        assert [site["module"] for site in receipt["sites"]] == [site.module for site in run.plan.sites]


@pytest.mark.parametrize("head", ["native", "linear", "mean"])
def test_a_run_opened_by_peft_gives_the_same_logits(tmp_path: Path, head: str) -> None:
    trained = striata.train(study_of(tmp_path, head=head, ensemble={"size": 1}))
    texts = [line.split(",")[0] for line in (tmp_path / "test.csv").read_text().splitlines()[1:]]
    for run in trained.runs.values():
        model = striata.load(run.path, precision="fp32")
        encoded = Tokenizer.load(str(tmp_path / "roberta"), 32).encode(texts)
        kind = AutoModelForSequenceClassification if head == "native" else AutoModel
        options: dict[str, Any] = (
            {"num_labels": 3, "ignore_mismatched_sizes": True} if head == "native" else {"add_pooling_layer": False}
        )
        theirs = PeftModel.from_pretrained(kind.from_pretrained(tmp_path / "roberta", **options), run.path).eval()
        logits, references = torch.from_numpy(model.logits(texts)), []
        for row in range(len(texts)):
            ids = torch.from_numpy(encoded.ids[encoded.starts[row] : encoded.starts[row + 1]].astype(np.int64))[None]
            with torch.no_grad():
                out = theirs(ids)
            if head == "native":
                references.append(out.logits[0])
            else:
                from safetensors.torch import load_file

                weights = load_file(run.path / HEAD)
                hidden = out.last_hidden_state[0]
                pooled = hidden.mean(0) if head == "mean" else hidden[0]
                prefix = "base_model.model.classifier."
                references.append(weights[prefix + "weight"] @ pooled + weights[prefix + "bias"])
        expected = torch.stack(references)
        assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_an_ensemble_is_the_mean_of_its_members_logits(finished: tuple[Path, striata.Trained]) -> None:
    folder, trained = finished
    assert trained.ensemble is not None
    texts = [line.split(",")[0] for line in (folder / "test.csv").read_text().splitlines()[1:]]
    whole = striata.load(trained.ensemble.folder, precision="fp32")
    each = [striata.load(trained.runs[name].path, precision="fp32").logits(texts) for name in trained.ensemble.members]
    np.testing.assert_allclose(whole.logits(texts), np.mean(each, axis=0), atol=1e-5)
    np.testing.assert_allclose(whole.predict_proba(texts).sum(1), 1, atol=1e-5)
    measured = whole.evaluate(folder / "test.csv")
    assert measured.accuracy == pytest.approx(trained.test["ensemble"]["accuracy"])
    assert set(whole.predict(texts)) <= set(LABELS)
    assert whole.logits([]).shape == (0, 3)


def test_running_again_changes_nothing(finished: tuple[Path, striata.Trained], tmp_path: Path) -> None:
    folder, _ = finished
    before = {k: v for k, v in tree(folder / "out").items() if k.startswith("runs/")}
    lines: list[str] = []
    striata.train(study_of(folder, data={"test": str(folder / "test.csv")}), listen=noting(lines))
    assert {k: v for k, v in tree(folder / "out").items() if k.startswith("runs/")} == before
    assert any("all 3 members are finished" in line for line in lines)


def test_a_member_is_the_same_alone_and_among_others(tmp_path: Path) -> None:
    layouts = study_of(tmp_path)["layouts"]
    among = striata.train(study_of(tmp_path, output=str(tmp_path / "among")))
    alone = striata.train(study_of(tmp_path, layouts=layouts[1:2], output=str(tmp_path / "alone")))
    (name,) = alone.runs
    one, other = (trained.runs[name].history() for trained in (alone, among))
    for key in ("loss", "validation_loss"):
        ours, theirs = ([entry[key] for entry in history if entry[key] is not None] for history in (one, other))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_loss_that_is_not_finite_ends_that_member_only(tmp_path: Path) -> None:
    layouts: list[Any] = study_of(tmp_path)["layouts"]
    layouts[1] = {"layout": layouts[1], "name": "wild", "recipe": {"learning_rate": 1e30, "optimizer": "sgd", "clip": None}}
    trained = striata.train(study_of(tmp_path, layouts=layouts))
    assert list(trained.failed) == ["wild-seed0"]
    assert "loss became" in trained.failed["wild-seed0"]
    assert "lower learning rate" in trained.failed["wild-seed0"]
    assert len(trained.runs) == 2
    again = striata.train(study_of(tmp_path, layouts=layouts))
    assert again.failed == trained.failed
    record = tmp_path / "out" / "failed" / "wild-seed0.json"
    for damage in ("[]", "{", '{"format_version": 1, "member": "wild-seed0"}'):
        record.write_text(damage)
        with pytest.raises(StudyError, match=r"wild-seed0\.json cannot be read: .+; delete it to try that member again"):
            striata.train(study_of(tmp_path, layouts=layouts))


def test_each_member_stops_by_itself(tmp_path: Path) -> None:
    layouts: list[Any] = study_of(tmp_path)["layouts"]
    layouts[0] = {"layout": layouts[0], "name": "still", "recipe": {"learning_rate": 1e-12, "patience": 1, "max_steps": 40}}
    trained = striata.train(study_of(tmp_path, layouts=layouts))
    still = trained.runs["still-seed0"].facts
    assert (still.stopped, still.steps) == ("patience", 10)
    assert {run.facts.steps for name, run in trained.runs.items() if "still" not in name} == {20}


def test_the_kept_checkpoint_is_measured_on_all_rows(tmp_path: Path) -> None:
    trained = striata.train(study_of(tmp_path, recipe={"validation_rows": 12}))
    for run in trained.runs.values():
        assert len(run.validation().logits) == 40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": {"learning_rate": 0.02}}, r"another study: there recipe\.learning_rate is 0\.03, here 0\.02"),
        ({"head": "mean"}, "another study: there head is 'native', here 'mean'"),
        ({"data": {"max_length": 16, "test": None}}, "another study: there data"),
    ],
)
def test_a_folder_of_another_study_is_left_alone(
    finished: tuple[Path, striata.Trained], changes: dict[str, Any], message: str
) -> None:
    folder, _ = finished
    before = tree(folder / "out")
    changes = {**changes, "data": {"test": str(folder / "test.csv"), **changes.get("data", {})}}
    with pytest.raises(StudyError, match=message):
        striata.train(study_of(folder, **changes))
    assert tree(folder / "out") == before


def test_a_folder_that_is_no_studys_is_left_alone(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(StudyError, match=r"is no study's folder: it has no study\.json"):
        striata.train(study)
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="is a file; choose a folder"):
        striata.train({**study, "output": str(tmp_path / "file")})


def test_every_flipped_byte_is_noticed(finished: tuple[Path, striata.Trained], tmp_path: Path) -> None:
    out = copy(finished, tmp_path)
    run = sorted((out / "runs").iterdir())[0]
    rng = np.random.default_rng(0)
    readers = ((run, lambda path: Run.load(path).check()), (out / "ensemble", lambda path: load_ensemble(path).seal.check()))
    for folder, kind in readers:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            whole = file.read_bytes()
            for at in rng.integers(0, len(whole), 4):
                damaged = bytearray(whole)
                damaged[at] ^= 1 << int(rng.integers(8))
                file.write_bytes(bytes(damaged))
                with pytest.raises(StriataError, match="damaged") as caught:
                    kind(folder)
                assert "\n" not in str(caught.value)
            file.write_bytes(whole)
            moved = file.with_name("moved")
            file.rename(moved)
            with pytest.raises(StriataError):
                kind(folder)
            moved.rename(file)
        kind(folder)


def test_an_ensemble_whose_run_was_replaced_says_so(finished: tuple[Path, striata.Trained], tmp_path: Path) -> None:
    out = copy(finished, tmp_path)
    assert finished[1].ensemble is not None
    names = list(finished[1].ensemble.members)
    shutil.rmtree(out / "runs" / names[0])
    with pytest.raises(EnsembleError, match=f"are not where they were when it was made: {names[0]} should be at"):
        striata.load(out / "ensemble")
    shutil.copytree(out / "runs" / names[1], out / "runs" / names[0])
    with pytest.raises(StriataError, match="is not the one ensemble"):
        striata.load(out / "ensemble")


def test_other_encoder_weights_are_refused(tmp_path: Path) -> None:
    trained = striata.train(study_of(tmp_path, layouts=["0 r2 query"], recipe={"max_steps": 5}))
    (run,) = trained.runs.values()
    from safetensors.torch import load_file, save_file

    weights = tmp_path / "roberta" / "model.safetensors"
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + 1
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(RunError, match="was trained on other weights than those"):
        striata.load(run.path)
    weights.unlink()
    with pytest.raises(StriataError, match=r"has no weights: expected model\.safetensors"):
        striata.load(run.path)


def test_a_damaged_encoder_and_an_unsafe_one(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    weights = tmp_path / "roberta" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(StriataError, match="cannot be loaded") as caught:
        striata.train(study)
    assert "\n" not in str(caught.value)
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(StriataError, match=r"pytorch_model\.bin may run code when opened"):
        striata.train(study)


@pytest.mark.parametrize(
    ("optimizer", "schedule"), [("lion", "cosine"), ("adamw", "linear"), ("adam", "constant"), ("sgd", "linear")]
)
def test_every_optimizer_and_schedule_trains(tmp_path: Path, optimizer: str, schedule: str) -> None:
    rate = {"lion": 1e-3, "sgd": 0.1}.get(optimizer, 1e-2)
    recipe = {
        "optimizer": optimizer, "schedule": schedule, "learning_rate": rate, "label_smoothing": 0.1, "class_weights": "balanced",
        "max_steps": 6, "evaluate_every": 3,
    }  # fmt: skip
    trained = striata.train(study_of(tmp_path, layouts=["0-2 r2 query"], recipe=recipe, ensemble={"size": 1}))
    (run,) = trained.runs.values()
    rates = [entry["learning_rate"] for entry in run.history() if entry["learning_rate"] is not None]
    assert rates[0] == 0
    assert rates[1] == pytest.approx(rate)
    assert (rates[-1] == pytest.approx(rate)) == (schedule == "constant")


def test_what_needs_no_data_is_refused_before_it_is_read(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    (tmp_path / "train.csv").unlink()
    with pytest.raises(StriataError, match="unknown device 'tpu'"):
        striata.train(study, device="tpu")
    with pytest.raises(StudyError, match="unknown tracker 'tensorbord'"):
        striata.train(study, track=["tensorbord"])


def test_trackers_get_the_figures(tmp_path: Path) -> None:
    striata.train(study_of(tmp_path, layouts=["0-2 r2 query"], recipe={"max_steps": 5}), track=["tensorboard"])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folders = {p.parent for p in (tmp_path / "out" / "trackers").rglob("events.*")}
    tags = [tag for folder in folders for tag in EventAccumulator(str(folder)).Reload().Tags()["scalars"]]
    assert sum(tag.endswith("train/loss") for tag in tags) == 1
    assert sum(tag.endswith("validation/accuracy") for tag in tags) == 1
    with pytest.raises(StudyError, match=r"unknown tracker 'tensorbord' \(did you mean 'tensorboard'\?\)"):
        striata.train(study_of(tmp_path, output=str(tmp_path / "other")), track=["tensorbord"])


def test_pairs_of_texts_are_trained_on(tmp_path: Path) -> None:
    base = make_base(tmp_path, "bert")
    lines = write_texts(tmp_path / "one.csv", 60).read_text().splitlines()[1:]
    rows = [{"sentence1": line.split(",")[0], "sentence2": "w1 w2", "label": line.split(",")[1]} for line in lines]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    study = study_of(tmp_path, base=str(base), layouts=["0-2 r2 query"], recipe={"max_steps": 5}) | {
        "data": {"train": str(tmp_path / "pairs.jsonl"), "validation": 20, "max_length": 32},
    }
    (run,) = striata.train(study).runs.values()
    assert striata.load(run.path).predict([rows[0]["sentence1"]], ["w1 w2"])[0] in LABELS


def test_equal_plans_are_trained_once_whatever_they_are_called(tmp_path: Path) -> None:
    text = "0-2 r2 a4 d0.05 query"
    layouts = [{"layout": text, "name": "one"}, {"layout": text, "name": "two"}]
    lines: list[str] = []
    short = {"max_steps": 5}
    trained = striata.train(study_of(tmp_path, layouts=layouts, controls=["reversed"], recipe=short), listen=noting(lines))
    assert list(trained.runs) == ["one-seed0"]
    assert trained.runs["one-seed0"].aliases == ("two",)
    assert "one stands for two too: one and the same plan and recipe, trained once" in lines
    (row,) = leaderboard(StudyFolder.open(tmp_path / "out"))
    assert row.aliases == ("two",)
    # The other order names the member differently; its run is there all the same.
    before = tree(tmp_path / "out" / "runs")
    lines.clear()
    again = striata.train(study_of(tmp_path, layouts=layouts[::-1], recipe=short), listen=noting(lines))
    assert any("all 1 members are finished" in line for line in lines)
    assert list(again.runs) == ["one-seed0"]
    assert tree(tmp_path / "out" / "runs") == before


def test_check_says_what_would_keep_the_study_from_writing_its_folder(tmp_path: Path) -> None:
    study = load_study(study_of(tmp_path))
    check_output(study)
    assert not Path(study.output).exists()

    def refused(output: Path, match: str, **changes: Any) -> None:
        with pytest.raises(StudyError, match=match) as error:
            check_output(load_study(study_of(tmp_path, output=str(output), **changes)))
        assert "\n" not in str(error.value)

    refused(tmp_path / "train.csv", r"output .*train\.csv is a file; choose a folder")
    refused(tmp_path / "train.csv" / "inside", r"lies in .*train\.csv, which is a file")
    striata.train(study_of(tmp_path, layouts=[], baselines=["majority"]))
    refused(tmp_path / "out", "was written by another study: there data.seed is 0, here 1", data={"seed": 1})


def test_what_a_process_left_that_was_killed_over_its_first_file_is_no_other_study(tmp_path: Path) -> None:
    left = tmp_path / "out" / ".study.json.abcdefgh.striata"
    left.mkdir(parents=True)
    (left / "new").write_text("")
    check_output(load_study(study_of(tmp_path, output=str(tmp_path / "out"))))
    assert not left.exists()


def test_names_of_choices_are_taken_in_any_case(tmp_path: Path) -> None:
    study = load_study(study_of(tmp_path, recipe={"optimizer": "AdamW", "schedule": "Linear"}, head="Mean"))
    assert (study.recipe.optimizer.name, study.recipe.schedule, study.head) == ("adamw", "linear", "mean")
    assert study.recipe.optimizer == load_study(study_of(tmp_path, recipe={"optimizer": "adamw"})).recipe.optimizer
