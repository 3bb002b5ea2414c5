"""Suspicious rows out to where people label, and their answers back into copies of the data files."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..choices import PREDICTIONS, REVIEWS
from ..data import Columns, Table, open_source, read_table
from ..data.carried import Pieces, carried_columns, types_by_values
from ..data.columns import find_columns
from ..disk.files import new_folder, write_bytes, write_text
from ..disk.paths import is_there
from ..errors import DataError, StriataError, did_you_mean
from ..model.writers import Rows, write_rows
from ..settings import Study
from ..shown import Shown
from ..tasks import check_one_label, task_named
from .labels import Suspect

_KEYS = ("part", "row", "hash", "label", "suggested", "quality")
_PORTION = 4096


def write_review(suspects: Sequence[Suspect], tables: Mapping[str, Table], path: Path, to: str) -> None:
    """Writes suspicious rows with their whole texts, to be labelled again; no answer is filled in.

    Args:
        suspects: of an audit.
        tables: of its study, by part.
        path: the file.
        to: of :data:`striata.choices.REVIEWS`.

    Raises:
        DataError: `to` is unknown.
        StriataError: the file cannot be written.
    """
    REVIEWS.check(to, DataError)
    rows = list(_review_rows(suspects, tables))
    if to == "label-studio":
        text = json.dumps([_task(row) for row in rows], ensure_ascii=False, indent=1) + "\n"
    elif to == "doccano":
        text = "".join(json.dumps({**row, "label": [], "given": row["label"]}, ensure_ascii=False) + "\n" for row in rows)
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, (*_KEYS, "text", "answer"), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "answer": ""} for row in rows)
        text = buffer.getvalue()
    write_text(path, text)


def _review_rows(suspects: Sequence[Suspect], tables: Mapping[str, Table]) -> Iterator[dict[str, Any]]:
    places = {part: {row: at for at, row in enumerate(table.ids.tolist())} for part, table in tables.items()}
    hashes = {part: table.text_hashes() for part, table in tables.items()}
    texts = {part: table.whole_texts for part, table in tables.items()}
    for suspect in suspects:
        part, row = suspect.place.part, suspect.place.row
        at = places[part][row]
        values = (part, row, f"{int(hashes[part][at]):016x}", suspect.place.label, suspect.suggested, round(suspect.quality, 4))
        yield {**dict(zip(_KEYS, values, strict=True)), "text": texts[part][at]}


def _task(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as Label Studio imports it, with the suggested label as a prediction, which is no answer."""
    result = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [row["suggested"]]}}
    return {"data": dict(row), "predictions": [{"model_version": "striata", "result": [result]}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person says of a row.

    Args:
        part: "train", "validation" or "test".
        row: its number in its source, from 0.
        hash: of its text when it went out.
        before: its label then.
        text: as it came back.
        label: the answer; None where there is none.
    """

    part: str
    row: int
    hash: str
    before: str
    text: str
    label: str | None

    @property
    def name(self) -> str:
        """The row as messages name it."""
        return f"row {self.row} (counted from 0) of the {self.part} rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relabelled(Shown):
    """Answers, applied.

    Args:
        folder: of the new files.
        files: by the source that each is a copy of.
        changed: rows with a new label.
        confirmed: rows whose label was found to be right.
        unanswered: rows without an answer.
    """

    folder: Path
    files: Mapping[str, Path] = field(default_factory=dict)
    changed: int = 0
    confirmed: int = 0
    unanswered: int = 0

    def __repr__(self) -> str:
        return f"Relabelled({self.folder}: {self.changed} changed, {self.confirmed} confirmed, {self.unanswered} unanswered)"

    def to_json(self) -> dict[str, object]:
        """All fields, paths as text."""
        return {
            "folder": str(self.folder), "files": {source: str(file) for source, file in self.files.items()},
            "changed": self.changed, "confirmed": self.confirmed, "unanswered": self.unanswered,
        }  # fmt: skip


def read_answers(path: Path) -> list[Answer]:
    """Answers from a file that :func:`write_review` wrote and people filled in: Label Studio's JSON export, doccano's JSON Lines
    export, or the CSV file with its column `answer`.

    Raises:
        DataError: the file is none of these, or a row has two answers.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("["):
            return [_answer(_one(row["data"], _chosen(row)), row["data"]) for row in json.loads(text)]
        if text.lstrip().startswith("{"):
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
            return [_answer(_one(row, row["label"]), {**row, "label": row["given"]}) for row in rows]
        table = list(csv.DictReader(io.StringIO(text, newline="")))
        return [_answer(row["answer"].strip() or None, row) for row in table]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, StriataError):
            raise
        reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path} holds no answers ({reason}); expected a file of `striata audit` in the form {REVIEWS.names}, filled in",
            path=str(path),
        ) from None


def _chosen(task: Mapping[str, Any]) -> list[str]:
    """The choices of all annotations of a task that were not cancelled."""
    annotations = [one for one in task.get("annotations", ()) if not one.get("was_cancelled")]
    results = [result for one in annotations for result in one["result"] if result["type"] == "choices"]
    return [choice for result in results for choice in result["value"]["choices"]]


def _one(row: Mapping[str, Any], labels: Sequence[str]) -> str | None:
    different = list(dict.fromkeys(labels))
    if len(different) > 1:
        shown = " and ".join(map(repr, different))
        raise DataError(f"row {row['row']} (counted from 0) of the {row['part']} rows has the answers {shown}; expected one")
    return different[0] if different else None


def _answer(label: str | None, row: Mapping[str, Any]) -> Answer:
    return Answer(
        part=str(row["part"]), row=int(row["row"]), hash=str(row["hash"]), before=str(row["label"]), text=str(row["text"]),
        label=label,
    )  # fmt: skip


def apply_answers(study: Study, answers: Sequence[Answer], out: Path) -> Relabelled:
    """Writes copies of a study's data files with the labels that people gave, each row known by its number and its text.

    Args:
        study: whose data was audited.
        answers: from :func:`read_answers`.
        out: a new folder; a file in it has the name of its source, and the format, or else CSV.

    Raises:
        DataError: a row's text or label is not what went out, an answer is no label of its file, or there is no answer.
        StriataError: the folder is there already, or cannot be written.
    """
    check_one_label(task_named(study.task), "an audit of labels", DataError)
    if is_there(out):
        raise DataError(f"{out} is there already; give another name", argument="out", path=str(out))
    counts = Counter(_kind(answer) for answer in answers)
    if len(answers) == counts["unanswered"]:
        raise DataError(f"none of the {len(answers):,} rows has an answer; fill them in first")
    by_source: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        if answer.label is not None:
            by_source.setdefault(_source_of(study, answer.part), []).append(answer)
    files: dict[str, Path] = {}
    with new_folder(out) as folder:
        for (source, split), own in by_source.items():
            name = _file_name(source)
            if name in {file.name for file in files.values()}:
                raise DataError(f"two of the sources are called {name}; apply the answers of one after the other")
            _check(read_table(source, study.columns, split=split), own)
            _write_copy(source, split, study.columns, {answer.row: str(answer.label) for answer in own}, folder / name)
            files[source] = out / name
    return Relabelled(
        folder=out, files=files, changed=counts["changed"], confirmed=counts["confirmed"], unanswered=counts["unanswered"]
    )


def _kind(answer: Answer) -> str:
    if answer.label is None:
        return "unanswered"
    return "confirmed" if answer.label == answer.before else "changed"


def _source_of(study: Study, part: str) -> tuple[str, str]:
    """The source of a part's rows, and the split by which it is opened: rows held out are rows of the training data."""
    if part not in ("train", "validation", "test"):
        raise DataError(f"there is no part '{part}'; expected train, validation or test")
    own = getattr(study.data, part)
    source, split = (own, part) if isinstance(own, str) else (study.data.train, "train")
    if not isinstance(source, str) or source.startswith("rows sha256:"):
        raise DataError("the study's rows were in memory, and there is no file to copy; change their labels where they are")
    return source, split


def _file_name(source: str) -> str:
    path = Path(source)
    return path.name if path.suffix.lower() in PREDICTIONS else f"{path.name.split('.')[0]}.csv"


def _check(table: Table, answers: Sequence[Answer]) -> None:
    """Refuses answers to rows that are not what they were."""
    labels = table.label_names or tuple(dict.fromkeys(table.labels or ()))
    places = {row: at for at, row in enumerate(table.ids.tolist())}
    hashes, texts = table.text_hashes(), table.whole_texts
    for answer in answers:
        at = places.get(answer.row)
        if at is None or f"{int(hashes[at]):016x}" != answer.hash:
            raise DataError(f"{table.source}: {answer.name} has another text than when it went out; audit again", row=answer.row)
        if _unbroken(texts[at]) != _unbroken(answer.text):
            raise DataError(f"{answer.name}: its text was changed where it was labelled; expected labels alone", row=answer.row)
        if table.labels is not None and table.labels[at] != answer.before:
            raise DataError(
                f"{table.source}: {answer.name} has the label '{table.labels[at]}' now, and '{answer.before}' when it went out; "
                "audit again",
                row=answer.row,
            )
        if answer.label not in labels:
            near = did_you_mean(str(answer.label), labels)
            raise DataError(f"{answer.name} has the answer '{answer.label}', which is no label of {table.source}{near}")


def _unbroken(text: str) -> str:
    """A text as tools give it back, whatever ends their lines."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _write_copy(source: str, split: str, columns: Columns, labels: Mapping[int, str], path: Path) -> None:
    reader = open_source(source, split=split)
    roles = find_columns(reader.columns, columns, reader.source, label=True)
    name = str(roles.label)
    types = types_by_values(reader, carried_columns(reader))
    names = reader.declared(name)

    def parts() -> Iterator[Rows]:
        pieces, first = Pieces(reader, list(types), rows=_PORTION), 0
        while len(chunk := pieces.take(_PORTION)):
            values = dict(chunk.values)
            changed = {row: label for row, label in labels.items() if first <= row < first + len(chunk)}
            for row, label in changed.items():
                values[name] = list(values[name])
                values[name][row - first] = _like(values[name][row - first], label, names)
            yield Rows(first, values)
            first += len(chunk)

    buffer = io.BytesIO()
    write_rows(buffer, path.suffix.lower(), types, parts(), source)
    write_bytes(path, buffer.getvalue())


def _like(old: object, label: str, names: Sequence[str] | None) -> object:
    """A label as the source writes it: its place among the declared names, a number, or text."""
    if isinstance(old, bool | np.bool_):
        return label.lower() == "true"
    if isinstance(old, int | np.integer):
        return int(label) if names is None else list(names).index(label)
    return float(label) if isinstance(old, float) else label
