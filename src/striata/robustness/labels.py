"""Labels that are probably wrong, in all of a study's rows."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import Splits, Table
from ..data.copies import conflicting
from ..disk.files import apart, write_text
from ..ensemble import load_ensemble
from ..errors import DataError, StudyError
from ..extras import require
from ..runs import Run, StudyFolder
from ..runs.joined import join
from ..runs.study_folder import find_run
from ..settings import Study, load_study
from ..study import Prepared, find_encoder, prepare
from ..study.embeddings import StudyEmbeddings
from ..tasks import check_one_label, task_named
from .checks import FORMAT, sample_rows, study_of
from .documents import AUDIT, keep
from .label_noise import cross_fitted, find_suspicious

SHOWN = 200  # rows in the document
_PAIRS, _EXAMPLES, _EXCERPT = 20, 3, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A row where the user finds it.

    Args:
        part: "train", "validation" or "test".
        source: file the row is from.
        row: its number there, from 0.
        label: given.
        text: its beginning.
    """

    part: str
    source: str
    row: int
    label: str
    text: str

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {key: getattr(self, key) for key in ("part", "source", "row", "label", "text")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A row whose label is probably wrong.

    Args:
        place: of the row, and its label.
        suggested: the most likely label.
        quality: (1 + probability of the label - highest probability of another) / 2.
    """

    place: Place
    suggested: str
    quality: float

    def to_json(self) -> dict[str, object]:
        """All fields, those of the place among them."""
        return {**self.place.to_json(), "suggested": self.suggested, "quality": self.quality}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two rows that are copies of each other and have different labels.

    Args:
        first: one.
        second: the other.
        similarity: share of word triples in common.
        exact: whether the texts are equal but for case and white space.
    """

    first: Place
    second: Place
    similarity: float
    exact: bool

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "first": self.first.to_json(), "second": self.second.to_json(), "similarity": self.similarity, "exact": self.exact,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Two labels that are taken for each other.

    Args:
        label: given.
        predicted: most likely.
        rows: how many.
        examples: the most suspicious of them.
    """

    label: str
    predicted: str
    rows: int
    examples: tuple[Place, ...]

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "label": self.label, "predicted": self.predicted, "rows": self.rows,
            "examples": [place.to_json() for place in self.examples],
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPart:
    """One table of the study.

    Args:
        name: "train", "validation" or "test".
        source: of its rows.
        rows: how many.
        judged: of which a random sample of this many.
        by: "runs" (mean probability of the runs, which did not train on these rows) or "embeddings" (a cross-fitted logistic
            regression on the frozen encoder's embeddings).
        suspects: rows with a suspicious label.
    """

    name: str
    source: str
    rows: int
    judged: int
    by: str
    suspects: int

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {key: getattr(self, key) for key in ("name", "source", "rows", "judged", "by", "suspects")}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAudit:
    """What is suspicious about a study's labels.

    Args:
        runs: checksum by name of the runs whose probabilities were used.
        fingerprint: of the data.
        seed: of samples and folds.
        parts: the tables.
        suspects: most suspicious first.
        conflicts: most alike first.
        confusions: most frequent first.
    """

    runs: Mapping[str, str]
    fingerprint: str
    seed: int
    parts: tuple[JudgedPart, ...]
    suspects: tuple[Suspect, ...]
    conflicts: tuple[Conflict, ...]
    confusions: tuple[Confusion, ...]

    def to_json(self) -> dict[str, object]:
        """The document that `audit.json` holds.

        Keys: `format_version` 1, `kind` "audit", `runs` (checksum by name), `data_fingerprint`, `seed`, `parts` (a list of
        `name`, `source`, `rows`, `judged`, `by` "runs" or "embeddings", `suspects`), `suspect_rows` and `conflict_pairs` (how
        many in all), `suspects` (`part`, `source`, `row`, `label`, `suggested`, `quality`, `text`), `conflicts` (`first` and
        `second`, each with `part`, `source`, `row`, `label`, `text`; `similarity`, `exact`), `confusions` (`label`,
        `predicted`, `rows`, `examples`). The first 200 suspects and conflicts are listed.
        """
        return {
            "format_version": FORMAT,
            "kind": "audit",
            "runs": dict(self.runs),
            "data_fingerprint": self.fingerprint,
            "seed": self.seed,
            "parts": [part.to_json() for part in self.parts],
            "suspect_rows": len(self.suspects),
            "conflict_pairs": len(self.conflicts),
            "suspects": [row.to_json() for row in self.suspects[:SHOWN]],
            "conflicts": [row.to_json() for row in self.conflicts[:SHOWN]],
            "confusions": [row.to_json() for row in self.confusions],
        }


@dataclass(frozen=True, slots=True)
class _Judged:
    """Rows with out-of-sample probabilities, from one way of getting them."""

    places: list[Place]
    targets: np.ndarray
    probabilities: np.ndarray


def audit_labels(
    target: str | Path,
    *,
    data: object = None,
    base: str | Path | None = None,
    rows: int = 20000,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    out: Path | None = None,
    write: Callable[[LabelAudit, Mapping[str, Table], Path], None] | None = None,
) -> LabelAudit:
    """Looks for wrong labels in a study's data.

    The result is also written to `checks/audit.json` in the study's folder, where there is one.

    Args:
        target: a study file, a study's folder, or the folder of a run or an ensemble in one.
        data: the study's rows, where they are in memory and not in files (see :func:`striata.train`).
        base: where the study's encoder lies now; None for where it was.
        rows: the most of each table to embed; a random sample when there are more.
        seed: of samples and folds.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto", which is what the study says.
        out: also write the suspects to this file, and first, so that an earlier result stays where that fails.
        write: writes them, told of the audit, the tables by part, and the file; None for CSV.

    Raises:
        StudyError: the target is neither, or its data is not what its runs were trained on.
        RunError: a run is damaged, or runs cannot be joined on their validation rows.
        DataError: the data cannot be read, or `rows` is out of range.
        ExtraError: cleanlab is not installed.
        StriataError: the encoder cannot be loaded, or the result cannot be written.
    """
    if rows < 10:
        raise DataError(f"{rows}: expected at least 10", argument="rows")
    study, runs, folder = find_audited(Path(target))
    check_one_label(task_named(study.task), "an audit of labels", DataError)
    require("the audit of labels", "cleanlab")
    study = find_encoder(study, base)
    prepared = prepare(study, data)
    _check_runs(runs, prepared, target)
    tables = prepared.splits.tables()
    if out is not None:
        apart(out, target, *(table.source for table in tables.values()))
    sampled = {name: sample_rows(table, rows, seed) for name, table in tables.items()}
    if runs:
        sampled["validation"] = np.arange(len(prepared.splits.validation))
    embedded = {name: places for name, places in sampled.items() if name != "validation" or not runs}
    judged = [_by_runs(prepared, runs)] if runs else []
    multiplied = study.recipe.precision if precision == "auto" else precision
    embeddings = StudyEmbeddings(study, folder, precision=multiplied, device=device)
    _check_encoder(runs, embeddings.base_sha256, study.base)
    judged.append(_by_embeddings(prepared, embedded, seed, embeddings))
    suspects, confusions = _suspects(judged, prepared.splits)
    counts = Counter(suspect.place.part for suspect in suspects)
    audit = LabelAudit(
        runs={run.name: run.checksum for run in runs},
        fingerprint=prepared.splits.fingerprint,
        seed=seed,
        parts=tuple(
            JudgedPart(
                name=name, source=table.source, rows=len(table), judged=len(sampled[name]),
                by="embeddings" if name in embedded else "runs", suspects=counts[name],
            )
            for name, table in tables.items()
        ),
        suspects=suspects,
        conflicts=_conflicts(prepared),
        confusions=confusions,
    )  # fmt: skip
    if out is not None:
        write_suspects(audit, out) if write is None else write(audit, tables, out)
    keep(folder, "audit", AUDIT, audit.to_json())
    return audit


def find_audited(path: Path) -> tuple[Study, list[Run], Path | None]:
    """The study that a path means, the runs to ask, and the study's folder.

    Raises:
        StudyError, RunError, EnsembleError: it is none of these, or damaged.
    """
    if path.is_file():
        study = load_study(path)
        output = Path(study.output).expanduser()
        if not (output / "study.json").is_file():
            return study, [], None
        return study, StudyFolder.open(output).runs(), output
    if (path / "study.json").is_file():
        opened = StudyFolder.open(path)
        return opened.study(), opened.runs(), path
    if not path.exists():
        raise StudyError(f"there is no {path}; give a study file, a study's folder, or the folder of a run or an ensemble")
    runs = list(load_ensemble(path).runs.values()) if (path / "ensemble.json").is_file() else [find_run(path)]
    folder = study_of(path)
    study = load_study(runs[0].facts.study) if folder is None else StudyFolder.open(folder).study()
    return study, runs, folder


def _check_runs(runs: Sequence[Run], prepared: Prepared, target: str | Path) -> None:
    """Refuses data that is not what the runs were trained on."""
    for run in runs:
        if run.facts.data_fingerprint != prepared.splits.fingerprint:
            raise StudyError(
                f"the data of {target} is not what run {run.name} was trained on; restore it, "
                "or audit a study file with another `output`"
            )


def _check_encoder(runs: Sequence[Run], sha256: str, base: str) -> None:
    """Refuses an encoder that is not the one the runs were trained on."""
    for run in runs:
        if run.facts.base_sha256 not in (None, sha256):
            raise StudyError(
                f"encoder {base} is not the one that run {run.name} was trained on "
                f"(SHA-256 {str(run.facts.base_sha256)[:12]}..., here {sha256[:12]}...); give it the same weights"
            )


def _places(part: str, table: Table, rows: np.ndarray) -> list[Place]:
    ids, texts, labels = table.ids.tolist(), table.whole_texts, table.labels or []
    return [
        Place(part=part, source=table.source, row=ids[at], label=labels[at], text=" ".join(texts[at].split())[:_EXCERPT])
        for at in rows.tolist()
    ]


def _by_runs(prepared: Prepared, runs: Sequence[Run]) -> _Judged:
    table = prepared.splits.validation
    pool = join({run.name: run for run in runs}).numbered(table.ids)
    mean = pool.task.probabilities(pool.logits.astype(np.float64)).mean(0)
    return _Judged(_places("validation", table, np.arange(len(table))), prepared.targets["validation"], mean)


def _by_embeddings(prepared: Prepared, sampled: Mapping[str, np.ndarray], seed: int, embeddings: StudyEmbeddings) -> _Judged:
    tables = prepared.splits.tables()
    vectors = np.concatenate([embeddings.of(tables[name].take(rows)).means for name, rows in sampled.items()]).astype(np.float32)
    targets = np.concatenate([prepared.targets[name][rows] for name, rows in sampled.items()])
    texts = [text for name, rows in sampled.items() for text in tables[name].take(rows).whole_texts]
    probabilities = cross_fitted(vectors, targets, texts, len(prepared.splits.labels), seed=seed)
    places = [place for name, rows in sampled.items() for place in _places(name, tables[name], rows)]
    return _Judged(places, targets, probabilities)


def _suspects(judged: Sequence[_Judged], splits: Splits) -> tuple[tuple[Suspect, ...], tuple[Confusion, ...]]:
    suspects: list[Suspect] = []
    labels = splits.labels
    confused: dict[tuple[str, str], list[tuple[float, Place]]] = {}
    for part in judged:
        rows, quality = find_suspicious(part.targets, part.probabilities)
        likely = splits.task.decide(np.log(np.maximum(part.probabilities, np.finfo(np.float64).tiny)))
        suspects += [
            Suspect(place=part.places[at], suggested=labels[likely[at]], quality=float(quality[at])) for at in rows.tolist()
        ]
        for at in np.flatnonzero(likely != part.targets).tolist():
            key = part.places[at].label, labels[likely[at]]
            confused.setdefault(key, []).append((float(quality[at]), part.places[at]))
    confusions = [
        Confusion(
            label=label,
            predicted=predicted,
            rows=len(examples),
            examples=tuple(place for _, place in sorted(examples, key=lambda example: example[0])[:_EXAMPLES]),
        )
        for (label, predicted), examples in confused.items()
    ]
    confusions.sort(key=lambda pair: (-pair.rows, pair.label, pair.predicted))
    return tuple(sorted(suspects, key=lambda suspect: suspect.quality)), tuple(confusions[:_PAIRS])


def _conflicts(prepared: Prepared) -> tuple[Conflict, ...]:
    tables = prepared.splits.tables()
    texts = [text for table in tables.values() for text in table.whole_texts]
    places = [place for name, table in tables.items() for place in _places(name, table, np.arange(len(table)))]
    return tuple(
        Conflict(first=places[copy.row], second=places[copy.other], similarity=copy.similarity, exact=copy.exact)
        for copy in conflicting(texts, [place.label for place in places])
    )


def write_suspects(audit: LabelAudit, path: Path) -> None:
    """Writes all suspects as CSV: part, source, row, label, suggested, quality, text.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, ("part", "source", "row", "label", "suggested", "quality", "text"), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**suspect.to_json(), "quality": f"{suspect.quality:.4f}"} for suspect in audit.suspects)
    write_text(path, text.getvalue())
