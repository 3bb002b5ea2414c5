"""Suspicious rows out to labelling tools and back: what comes back is joined by row and text, or refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from striata.choices import REVIEWS
from striata.cli.app import app
from striata.data import Columns, read_table
from striata.errors import DataError
from striata.robustness import apply_answers, read_answers, write_review
from striata.robustness.labels import Place, Suspect
from striata.settings import Study, load_study

from ..study.small import LABELS

ROWS = [2, 5, 7, 11]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    texts = [f'row {at}, "quoted"\nand more' if at % 2 else f"row {at} żółć" for at in range(20)]
    table = pd.DataFrame({"id": [f"A{at:03}" for at in range(20)], "text": texts, "label": [LABELS[at % 3] for at in range(20)]})
    table.to_csv(tmp_path / "train.csv", index=False)
    table[:6].assign(label=[0, 1, 2] * 2).to_json(tmp_path / "test.jsonl", orient="records", lines=True)
    data = {"train": str(tmp_path / "train.csv"), "validation": 5}
    return load_study({"base": "none", "data": data, "baselines": ["lexical"], "output": str(tmp_path / "out")})


def sent(study: Study, path: Path, to: str, rows: list[int] = ROWS) -> list[dict[str, Any]] | None:
    """Writes suspects of the training file, and returns the file's content where it is JSON."""
    table = read_table(study.data.train, Columns())
    assert table.labels is not None
    suspects = [
        Suspect(
            place=Place(part="train", source=table.source, row=row, label=table.labels[row], text=table.texts[row][:9]),
            suggested=LABELS[(row + 1) % 3], quality=0.1,
        )
        for row in rows
    ]  # fmt: skip
    write_review(suspects, {"train": table}, path, to)
    text = path.read_text()
    if to == "label-studio":
        tasks: list[dict[str, Any]] = json.loads(text)
        return tasks
    return [json.loads(line) for line in text.splitlines()] if to == "doccano" else None


def answered(study: Study, path: Path, to: str, answers: list[str | None]) -> Path:
    """A file as the tool gives it back."""
    content = sent(study, path, to)
    if to == "label-studio":
        assert content is not None
        for at, (task, answer) in enumerate(zip(content, answers, strict=True)):
            result = [{"type": "choices", "from_name": "label", "to_name": "text", "value": {"choices": [answer]}}]
            task |= {"id": at, "annotations": [] if answer is None else [{"id": at, "was_cancelled": False, "result": result}]}
        path.write_text(json.dumps(content))
    elif to == "doccano":
        assert content is not None
        for at, (row, answer) in enumerate(zip(content, answers, strict=True)):
            row |= {"id": at, "label": [] if answer is None else [answer], "Comments": []}
        path.write_text("".join(json.dumps(row) + "\n" for row in reversed(content)))
    else:
        frame = pd.read_csv(path, keep_default_na=False, dtype=str).assign(answer=["" if a is None else a for a in answers])
        frame.to_csv(path, index=False)
    return path


def cells(path: Path) -> list[list[str]]:
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("to", REVIEWS)
def test_answers_come_back_to_their_rows(study: Study, tmp_path: Path, to: str) -> None:
    answers = [LABELS[0], LABELS[5 % 3], None, LABELS[1]]  # changed, confirmed, none, changed
    file = answered(study, tmp_path / "answers", to, answers)
    applied = apply_answers(study, read_answers(file), tmp_path / "fixed")
    assert (applied.changed, applied.confirmed, applied.unanswered) == (2, 1, 1)
    before, after = (cells(tmp_path / name) for name in ("train.csv", "fixed/train.csv"))
    expected = [list(row) for row in before]
    expected[1 + 2][2], expected[1 + 11][2] = LABELS[0], LABELS[1]
    assert after == expected
    assert list(applied.files.values()) == [tmp_path / "fixed/train.csv"]


@pytest.mark.parametrize("to", REVIEWS)
def test_what_went_out_has_no_answer_and_whole_texts(study: Study, tmp_path: Path, to: str) -> None:
    sent(study, tmp_path / "out", to)
    answers = read_answers(tmp_path / "out")
    texts = read_table(study.data.train, Columns()).texts
    assert [(answer.row, answer.label, answer.before) for answer in answers] == [(row, None, LABELS[row % 3]) for row in ROWS]
    assert [answer.text for answer in answers] == [texts[row] for row in ROWS]
    with pytest.raises(DataError, match="none of the 4 rows has an answer"):
        apply_answers(study, answers, tmp_path / "fixed")


def test_what_changed_meanwhile_is_refused_by_name(study: Study, tmp_path: Path) -> None:
    file = answered(study, tmp_path / "a.csv", "csv", [LABELS[0]] * 4)
    train, out = tmp_path / "train.csv", tmp_path / "fixed"
    whole, answers = train.read_text(), file.read_text()
    cases = [
        (whole.replace("row 7,", "row seven,"), answers, "row 7 .* of the train rows has another text than when it went out"),
        (whole.replace("row 2 żółć,World", "row 2 żółć,Sports"), answers, "row 2 .* has the label 'Sports' now"),
        (whole[: whole.index("A004")], answers, "has another text than when it went out"),
        (whole, answers.replace("row 7,", "row 7 edited,"), "row 7 .*: its text was changed where it was labelled"),
        (whole, answers.replace(",Business\n", ",Busines\n"), r"has the answer 'Busines', .*did you mean 'Business'"),
    ]  # fmt: skip
    for data, given, message in cases:
        train.write_text(data)
        file.write_text(given)
        with pytest.raises(DataError, match=message):
            apply_answers(study, read_answers(file), out)
        assert not out.exists()


def test_two_answers_and_files_of_others_are_refused(study: Study, tmp_path: Path) -> None:
    file = answered(study, tmp_path / "a.json", "label-studio", [LABELS[0]] * 4)
    tasks = json.loads(file.read_text())
    tasks[1]["annotations"].append({"was_cancelled": True, "result": tasks[2]["annotations"][0]["result"]})
    file.write_text(json.dumps(tasks))
    assert read_answers(file)[1].label == LABELS[0]
    tasks[1]["annotations"].append({"result": [{"type": "choices", "value": {"choices": [LABELS[1]]}}]})
    file.write_text(json.dumps(tasks))
    with pytest.raises(DataError, match=r"row 5 .* has the answers 'Business' and 'Sports'; expected one"):
        read_answers(file)
    for text in ('[{"data": {}}]', "[1]", '{"text": "a"}', "text,label\na,b\n", "[", '{"label": ["a"]'):
        file.write_text(text)
        with pytest.raises(DataError, match="holds no answers"):
            read_answers(file)


def test_labels_stay_numbers_and_the_test_rows_are_in_a_file_of_their_own(study: Study, tmp_path: Path) -> None:
    data = study.data.model_copy(update={"train": str(tmp_path / "test.jsonl"), "test": str(tmp_path / "test.jsonl")})
    table = read_table(str(tmp_path / "test.jsonl"), Columns())
    suspect = Suspect(place=Place(part="test", source=table.source, row=1, label="1", text=""), suggested="2", quality=0)
    write_review([suspect], {"test": table}, tmp_path / "a.csv", "csv")
    (tmp_path / "a.csv").write_text((tmp_path / "a.csv").read_text().rstrip("\n") + "2\n")
    applied = apply_answers(study.model_copy(update={"data": data}), read_answers(tmp_path / "a.csv"), tmp_path / "fixed")
    rows = [json.loads(line) for line in (tmp_path / "fixed/test.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == [0, 2, 2, 0, 1, 2]
    assert applied.changed == 1


def test_the_command_takes_answers_back(study: Study, tmp_path: Path) -> None:
    file = answered(study, tmp_path / "a.csv", "csv", [LABELS[0], None, None, None])
    (tmp_path / "study.yaml").write_text(json.dumps(json.loads(study.model_dump_json(exclude_defaults=True))))
    command = ["audit", str(tmp_path / "study.yaml"), "--apply", str(file), "--out", str(tmp_path / "fixed")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == "1 labels changed, 0 confirmed, 3 rows without an answer"
    assert CliRunner().invoke(app, command).exit_code != 0  # the folder is there
