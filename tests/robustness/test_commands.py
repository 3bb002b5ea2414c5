"""stress, shift and audit on a small trained study: against brute force, against planted truth, and what they refuse."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import striata
from striata.cli import main
from striata.data import Columns, Table, Tokenizer, read_table
from striata.disk.documents import with_checksum
from striata.disk.sealed import sealing
from striata.ensemble import write_ensemble
from striata.model.scorers import EncoderScorer
from striata.robustness import audit_labels, measure_shift, perturb, read_rows, run_stress, write_shift_rows
from striata.robustness.perturbations import PERTURBATIONS
from striata.robustness.stress import find_slices
from striata.runs import StudyFolder
from striata.runs.run import Validation, write_validation
from striata.study import prepare_again

from ..study.small import LABELS, WORDS, study_of, write_texts


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained study in `out`; five of its 150 rows have a wrong label, one of them has a twin."""
    folder = tmp_path_factory.mktemp("robust")
    study = study_of(folder, recipe={"max_steps": 40}, layouts=["0-2 r4 query value", "0-2 r2 query value"])
    lines = (folder / "train.csv").read_text().splitlines()
    for row in WRONG:
        text, label = lines[row + 1].split(",")
        lines[row + 1] = f"{text},{LABELS[(LABELS.index(label) + 1) % 3]}"
    text, label = lines[WRONG[0] + 1].split(",")
    lines.append(f"{text.upper()},{LABELS[(LABELS.index(label) + 1) % 3]}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    write_texts(folder / "many.csv", 150, seed=2)
    striata.train(study)
    return folder


WRONG = (3, 30, 60, 90, 120)


@pytest.fixture(scope="module")
def model(trained: Path) -> striata.Model:
    return striata.load(trained / "out/ensemble", precision="fp32")


def test_embeddings_are_means_of_the_frozen_encoder(trained: Path, model: striata.Model) -> None:
    from transformers import AutoModel

    texts = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10"]
    scorer = model.scorers[0]
    assert isinstance(scorer, EncoderScorer)
    bare = AutoModel.from_pretrained(trained / "roberta").eval()
    with torch.inference_mode():
        for text, found in zip(texts, model.embed(texts), strict=True):
            ids = torch.tensor(scorer.tokenizer.encode([text]).ids.astype(np.int64))[None]
            np.testing.assert_allclose(found, bare(ids).last_hidden_state[0].mean(0).numpy(), atol=1e-5)
    assert model.embed([]).shape == (0, 32)
    assert np.abs(model.logits(texts) - model.logits(texts)).max() == 0  # members are where they were


def test_stress_is_what_brute_force_says(trained: Path, model: striata.Model) -> None:
    table = read_table(str(trained / "many.csv"), Columns())
    runs = snapshot(trained / "out/runs")
    found = run_stress(model, table, seed=3)
    assert found.clean.value == model.evaluate(table).accuracy
    assert {(each.perturbation, each.strength) for each in found.stressed} == {(n, s) for n in PERTURBATIONS for s in (1, 2, 3)}
    clean = np.array(model.predict(table.texts)) == np.array(table.labels)
    tokenizer = Tokenizer.load(str(trained / "roberta"), 32)
    for each in found.stressed:
        texts = [perturb(t, each.perturbation, each.strength, row=i, seed=3) for i, t in enumerate(table.texts)]
        now = np.array(model.predict(texts)) == np.array(table.labels)
        assert each.accuracy.value == now.mean()
        assert (each.broken, each.mended) == ((clean & ~now).sum(), (~clean & now).sum())
        assert each.difference.value == pytest.approx(now.mean() - clean.mean())
        tokens = [[tokenizer.encode([t]).ids.tolist() for t in each] for each in (texts, table.texts)]
        assert each.changed == np.mean([a != b for a, b in zip(*tokens, strict=True)])
    assert found.slices == find_slices(table, clean)[0]
    upper = next(each for each in found.stressed if (each.perturbation, each.strength) == ("upper_case", 3))
    assert upper.difference.high < 0  # every word is unknown then
    kept = json.loads((trained / "out/checks/stress-ensemble.json").read_text())
    assert kept == with_checksum(json.loads(json.dumps(found.to_json())))
    assert kept["format_version"] == 1
    assert all(run.checksum in kept["model"]["identity"] for run in model.runs.values())
    assert snapshot(trained / "out/runs") == runs
    assert run_stress(model, table, seed=3) == found


def test_a_sample_is_drawn_by_the_seed_alone(trained: Path, model: striata.Model) -> None:
    table = read_table(str(trained / "many.csv"), Columns())
    one, two = run_stress(model, table, rows=40, seed=1), run_stress(model, table, rows=40, seed=1)
    assert one == two
    assert (one.rows, one.rows_in_source) == (40, 150)
    order = np.random.default_rng(0).permutation(40)
    chosen = np.sort(np.random.default_rng(1).choice(150, 40, replace=False))
    shuffled = run_stress(model, table.take(chosen[order]), rows=40, seed=1)
    assert shuffled.stressed == one.stressed  # row numbers count, not places


def some_texts(rng: np.random.Generator, rows: int, first: int, last: int) -> list[str]:
    return [" ".join(WORDS[i] for i in rng.integers(first, last, int(rng.integers(8, 20)))) for _ in range(rows)]


def unlabelled(texts: list[str], name: str) -> Table:
    return Table(source=name, ids=np.arange(len(texts)), texts=texts)


def test_half_copies_half_other_text_are_told_apart(model: striata.Model, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    known, train = some_texts(rng, 200, 0, 60), some_texts(rng, 100, 0, 60)
    other = some_texts(rng, 150, 40, 86)
    near = [text + " w1" for text in train[:50]]
    mixed = known[:100] + near + other
    order = rng.permutation(300)
    found = measure_shift(model, unlabelled(known, "known"), unlabelled([mixed[i] for i in order], "mixed"), permutations=99,
                  train=unlabelled(train, "train"))  # fmt: skip
    for copy in found.copies:
        place = int(order[copy.row])
        assert (copy.of, copy.other, copy.exact) == (("known", place, True) if place < 100 else ("train", place - 100, False))
    assert len(found.copies) == 150
    whole, copies, rest = (found.part(name) for name in ("whole", "copies", "rest"))
    assert (whole.rows, copies.rows, rest.rows) == (300, 150, 150)
    assert whole.test is not None
    assert rest.test is not None
    assert copies.test is None
    assert whole.test.p_value == rest.test.p_value == 0.01
    assert 0.1 < whole.test.foreign <= 0.5 < rest.test.foreign
    assert rest.test.auc > 0.95 > whole.test.auc
    foreign = [order[row.row] >= 150 for row in found.different[:100]]
    assert np.mean(foreign) > 0.9
    write_shift_rows(found, tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    assert sum(row["copy"] == "near" and row["of"] == "train" for row in rows) == 50


def test_silence_where_nothing_shifted(model: striata.Model) -> None:
    alarms = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        known, same = some_texts(rng, 80, 0, 60), some_texts(rng, 80, 0, 60)
        found = measure_shift(model, unlabelled(known, "known"), unlabelled(same, "same"), permutations=39, seed=seed)
        test = found.part("whole").test
        assert test is not None
        assert not found.copies
        assert test.foreign == 0
        alarms += test.p_value <= 0.05
    assert alarms <= 2  # more has a probability of 0.2 % at 5 %


def test_accuracy_is_estimated_and_checked_on_known_labels(trained: Path, model: striata.Model) -> None:
    known = read_rows(str(trained / "many.csv"), Columns(), labels=True)
    assert known.labels is not None
    new = unlabelled(read_table(str(trained / "test.csv"), Columns()).texts, "test")
    found = measure_shift(model, known, new, permutations=19)
    assert found.fitted_on == "known"
    assert found.known_accuracy is not None
    assert found.known_accuracy.value == model.evaluate(known).accuracy
    assert found.known_estimate == pytest.approx(found.known_accuracy.value, abs=0.1)
    accuracy = found.part("whole").accuracy
    assert accuracy is not None
    assert accuracy.low <= accuracy.value <= accuracy.high
    bare = read_rows(str(trained / "many.csv"), Columns(), labels=False)
    assert bare.labels is None
    other = measure_shift(model, bare, new, permutations=19)
    assert other.fitted_on == "validation"
    assert other.known_accuracy is other.known_estimate is None
    kept = json.loads((trained / "out/checks/shift-ensemble.json").read_text())
    assert kept == with_checksum(json.loads(json.dumps(other.to_json())))


def test_wrong_labels_of_a_study_are_named(trained: Path) -> None:
    found = audit_labels(trained / "out")
    by = {part.name: part.by for part in found.parts}
    assert by == {"train": "embeddings", "validation": "runs"}
    named = {each.place.row for each in found.suspects}
    assert len(named & set(WRONG)) >= 3  # of five; twelve rows drawn at random would hold three once in a hundred times
    assert len(named) <= 12
    texts = read_table(str(trained / "train.csv"), Columns())
    for each in found.suspects:
        assert texts.texts[each.place.row] == each.place.text
        assert (texts.labels or [])[each.place.row] == each.place.label != each.suggested
    pair = found.conflicts[0]
    assert {pair.first.row, pair.second.row} == {WRONG[0], 150}
    assert pair.exact
    assert sum(each.rows for each in found.confusions) >= len(found.suspects)
    kept = json.loads((trained / "out/checks/audit.json").read_text())
    assert kept == with_checksum(json.loads(json.dumps(found.to_json())))
    one = audit_labels(trained / "out/ensemble")
    assert one.suspects == found.suspects


def test_a_study_that_was_not_trained_is_audited_by_embeddings(trained: Path, tmp_path: Path) -> None:
    study = yaml.safe_load((trained / "study.yaml").read_text())
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({**study, "output": str(tmp_path / "other")}))
    found = audit_labels(file)
    assert {part.by for part in found.parts} == {"embeddings"}
    assert not found.runs
    assert not (tmp_path / "other").exists()
    assert len({each.place.row for each in found.suspects} & set(WRONG)) >= 3


@pytest.fixture(scope="module")
def shuffled(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study, with the validation rows of its second run in another order."""
    out = tmp_path_factory.mktemp("shuffled") / "out"
    shutil.copytree(trained / "out", out)
    run = StudyFolder.open(out).runs()[1]
    validation = run.validation()
    order = np.random.default_rng(0).permutation(len(validation.ids))
    with sealing(run.path, "run") as folder:
        for file in (trained / "out/runs" / run.name).iterdir():
            if file.name != "manifest.json":
                shutil.copy(file, folder / file.name)
        write_validation(
            folder,
            Validation(
                ids=validation.ids[order],
                texts=validation.texts[order],
                labels=validation.labels[order],
                logits=validation.logits[order],
            ),
        )
    write_ensemble(out, size=2)
    return out


def test_an_audit_joins_the_runs_rows_by_number(trained: Path, shuffled: Path) -> None:
    one, other = audit_labels(trained / "out"), audit_labels(shuffled)
    assert other.suspects == one.suspects
    assert other.confusions == one.confusions


def test_shift_fits_on_the_runs_rows_joined_by_number(trained: Path, shuffled: Path) -> None:
    bare = read_rows(str(trained / "many.csv"), Columns(), labels=False)
    new = unlabelled(read_table(str(trained / "test.csv"), Columns()).texts, "test")
    one, other = (
        measure_shift(striata.load(out / "ensemble", precision="fp32"), bare, new, permutations=19)
        for out in (trained / "out", shuffled)
    )
    assert other.fitted_on == one.fitted_on == "validation"
    assert [(part.accuracy, part.second) for part in other.parts] == [(part.accuracy, part.second) for part in one.parts]


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command in the folder of the study, in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(trained)
        monkeypatch.setattr("sys.argv", ["striata", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


def test_commands_print_and_write(say: Say, tmp_path: Path) -> None:
    code, shown, _ = say("stress", "out/ensemble", "many.csv", "--rows", 60, "--out", tmp_path / "s.json")
    assert code == 0
    assert "60 rows (a random sample of 150)" in shown
    assert json.loads((tmp_path / "s.json").read_text())["rows"] == 60
    code, shown, _ = say(
        "shift",
        "out/ensemble",
        "--known",
        "many.csv",
        "--unlabelled",
        "test.csv",
        "--permutations",
        19,
        "--out",
        tmp_path / "r.csv",
    )
    assert code == 0
    assert "check of the estimate" in shown
    assert (tmp_path / "r.csv").read_text().startswith("row,copy,of,other,similarity,score\n")
    code, shown, _ = say("audit", "study.yaml")
    assert code == 0
    assert "pairs of copies have different labels" in shown
    code, shown, _ = say("audit", "study.yaml", "--json", "--out", tmp_path / "a.csv")
    assert code == 0
    value: dict[str, Any] = json.loads(shown)
    with open(tmp_path / "a.csv", newline="") as file:
        assert [int(row["row"]) for row in csv.DictReader(file)] == [each["row"] for each in value["suspects"]]


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (("stress", "out/ensemble", "many.csv"), "stress-ensemble"),
        (("shift", "out/ensemble", "--known", "many.csv", "--unlabelled", "test.csv", "--permutations", 19), "shift-ensemble"),
        (("audit", "out"), "audit"),
    ],
    ids=["stress", "shift", "audit"],
)
def test_a_result_that_cannot_be_written_where_asked_replaces_none(
    trained: Path, say: Say, tmp_path: Path, command: tuple[object, ...], kept: str
) -> None:
    file = trained / "out/checks" / f"{kept}.json"
    assert say(*command, "--rows", 30)[0] == 0
    before = file.read_bytes()
    code, shown, error = say(*command, "--rows", 40, "--seed", 1, "--out", trained / "many.csv" / "x")
    assert (code, shown) == (2, "")
    assert "cannot write" in error.splitlines()[-1]
    assert file.read_bytes() == before
    assert say(*command, "--rows", 40, "--seed", 1, "--out", tmp_path / "x")[0] == 0
    assert (tmp_path / "x").stat().st_size
    assert json.loads(file.read_text())["seed"] == 1


def test_rows_are_compared_with_the_studys_validation_rows_and_an_exit_code_says_what_came_out(
    trained: Path, model: striata.Model, say: Say, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    foreign = some_texts(rng, 60, 40, 86)
    (trained / "foreign.csv").write_text("text\n" + "\n".join(foreign) + "\n")
    options = ("--unlabelled", "foreign.csv", "--permutations", 99, "--exit-code")
    code, shown, _ = say("shift", "out/ensemble", *options, "--json")
    assert code == 3
    validation = prepare_again(StudyFolder.open(trained / "out")).splits.validation
    found = measure_shift(model, unlabelled(validation.texts, "known"), unlabelled(foreign, "foreign"), permutations=99)
    test = found.part("whole").test
    assert test is not None
    assert json.loads(shown)["parts"][0]["test"]["p_value"] == test.p_value <= 0.05
    same = some_texts(rng, 60, 40, 86)
    (trained / "same.csv").write_text("text\n" + "\n".join(same) + "\n")
    assert say("shift", "out/ensemble", "--known", "same.csv", *options)[0] == 0
    shutil.copytree(trained / "out/runs" / next(iter(model.runs)), tmp_path / "alone")
    code, _, error = say("shift", tmp_path / "alone", *options)
    assert code == 2
    assert "cannot be read; give rows that it is meant for" in error


def test_an_audit_of_a_sample_says_so(say: Say) -> None:
    code, shown, _ = say("audit", "out", "--rows", 40)
    assert code == 0
    assert "only a random sample was judged: 40 of 111 train and 40 of 40 validation rows" in " ".join(shown.split())
    code, shown, _ = say("audit", "out")
    assert code == 0
    assert "sample" not in shown


def test_errors_are_one_line(trained: Path, say: Say) -> None:
    (trained / "few.csv").write_text("text\nw1 w2\n")
    (trained / "gap.csv").write_text("text\n" + "w1 w2\n" * 40 + '" "\n')
    shift_of = ("shift", "out/ensemble", "--known")
    for arguments, message in (
        (("stress", "nothing", "many.csv"), "there is no run folder nothing"),
        (("stress", "out/ensemble", "many.csv", "--rows", 0), "--rows 0: expected at least 1"),
        (("stress", "out/ensemble", "few.csv"), "no label column among 'text'"),
        ((*shift_of, "many.csv", "--unlabelled", "few.csv"), "few.csv has 1 rows; expected at least 30"),
        ((*shift_of, "many.csv", "--unlabelled", "gap.csv"), "empty text: 1 row has no text"),
        ((*shift_of, "many.csv", "--unlabelled", "many.csv", "--rows", 5), "--rows 5: expected at least 30"),
        ((*shift_of, "many.csv", "--unlabelled", "many.csv", "--permutations", 5), "--permutations 5: expected at least 19"),
        ((*shift_of, "none.csv", "--unlabelled", "many.csv"), "data file none.csv does not exist"),
        (("audit", "nothing"), "there is no nothing; give a study file"),
        (("audit", "out", "--rows", 1), "--rows 1: expected at least 10"),
        (("audit", "roberta"), "roberta is no finished run"),
    ):
        code, shown, error = say(*arguments)
        assert (code, shown) == (2, ""), arguments
        last = error.strip().splitlines()[-1]
        assert last.startswith("error: ")
        assert message in last


def test_an_audit_refuses_data_that_is_not_the_runs(trained: Path) -> None:
    before = (trained / "train.csv").read_text()
    (trained / "train.csv").write_text(before + "w1 w2,World\n")
    try:
        with pytest.raises(striata.StriataError, match=r"is not what run .* was trained on; restore it"):
            audit_labels(trained / "out")
    finally:
        (trained / "train.csv").write_text(before)
