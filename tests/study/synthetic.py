"""Study folders written from logits, without training: for what reads studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striata.layout import Plan, make_plan
from striata.runs import RunFacts, StudyFolder
from striata.runs.adapter import write_adapter
from striata.runs.run import Run, RunRecord, Validation, write_run
from striata.settings import Recipe, load_study
from striata.tasks import NUMBER, task_of

LABELS = ("Business", "Sports", "World")
BASE = "roberta-base"


def logits_of(correct: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], *, classes: int = len(LABELS)) -> np.ndarray:
    """Logits (rows, classes) that are right exactly where `correct` says so."""
    said = np.where(correct, labels, (labels + 1) % classes)
    logits: np.ndarray = np.full((len(labels), classes), -1.0, np.float32)
    logits[np.arange(len(labels)), said] = 2.0
    return logits


def receipt_of(plan: Plan) -> dict[str, Any]:
    """A receipt that equals a plan."""
    keys = ("module", "in_features", "out_features", "rank", "scale", "dropout")
    return {
        "trainable": plan.trainable,
        "sites": [{key: getattr(site, key) for key in keys} | {"trains": True} for site in plan.sites],
        "head": {},
        "head_steps": [],
        "base_weights_that_train": [],
    }


def write_synthetic_run(
    folder: Path,
    layout: str,
    seed: int,
    logits: np.ndarray,
    labels: npt.NDArray[np.int64],
    *,
    ids: npt.NDArray[np.int64] | None = None,
    texts: npt.NDArray[np.uint64] | None = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
    **changes: Any,
) -> Run:
    """Writes one run into a study's folder.

    Args:
        folder: the study's.
        layout: name or text form.
        seed: of the run.
        logits: (rows, classes), or numbers, (rows,).
        labels: places of the true labels, (rows,), or true numbers.
        ids: row numbers; None counts them.
        texts: hashes of the texts; None takes the row numbers.
        names: of the labels; None for three, or for a number.
        title: the run's name without its seed; None takes the layout's.
        changes: fields of :class:`RunFacts`, or plan, receipt and history, that differ.
    """
    task = task_of(labels)
    names = names or ((NUMBER,) if task.numeric else LABELS)
    logits = logits.reshape(len(labels), -1)
    plan = make_plan(layout, base=BASE, labels=len(names), head="linear")
    title = title or layout.replace(":", "-")
    name = f"{title}-seed{seed}"
    with np.errstate(invalid="ignore"):
        scores = task.scores(np.nan_to_num(logits), labels)
    headline = task.rankings[0]
    steps = 20
    history: list[dict[str, float]] = []
    for step in range(1, steps + 1):
        history.append({"step": step, "loss": 1.1 * 0.9**step + scores.loss, "learning_rate": 1e-3 * (1 - step / steps)})
        if step % 5 == 0:
            value = scores[headline] - 0.01 * (steps - step) * (1 if headline == "accuracy" else -1)
            history.append({"step": step, f"validation_{headline}": value, "validation_loss": scores.loss + 0.9**step})
    matrices = {f"base_model.model.{site.module}": site for site in plan.sites}
    tensors = {f"{module}.lora_A.weight": np.zeros((site.rank, 2), np.float32) for module, site in matrices.items()}
    tensors["base_model.model.classifier.weight"] = np.zeros((len(names), 2), np.float32)
    facts: dict[str, Any] = {
        "kind": "adapter",
        "name": name,
        "title": title,
        "control": plan.control,
        "control_of": {} if plan.control is None else {plan.control: (str(plan.control_of),)},
        "layout": plan.layout,
        "seed": seed,
        "recipe": Recipe().model_dump(mode="json"),
        "plan_hash": plan.hash,
        "trainable": plan.trainable,
        "lora": plan.lora,
        "task": task.name,
        "labels": tuple(names),
        "base": BASE,
        "head": "linear",
        "max_length": 64,
        "columns": {"text": None, "text_pair": None, "label": None},
        "base_sha256": "0" * 64,
        "tokenizer_sha256": "2" * 64,
        "data_fingerprint": "1" * 64,
        "best_step": steps,
        "steps": steps,
        "metrics": scores.to_json(),
        "stopped": "max_steps",
        "seconds": 12.5,
        "versions": {"python": "3.12", "striata": "0.1.0"},
        "hardware": {"device": "cpu", "name": "x86_64", "cores": "2", "threads": "2", "precision": "torch.float32"},
        "split": {"train": 1000, "validation": len(labels)},
        "study": {"task": task.name},
    }
    record: dict[str, Any] = {"plan": plan, "receipt": receipt_of(plan), "history": history}
    record |= {key: changes.pop(key) for key in list(changes) if key in record}
    ids = np.arange(len(labels), dtype=np.int64) if ids is None else ids
    texts = ids.astype(np.uint64) if texts is None else texts
    validation = Validation(ids=ids, texts=texts, labels=labels, logits=np.asarray(logits, np.float32))
    return write_run(
        folder / "runs" / name,
        RunRecord(facts=RunFacts(**(facts | changes)), validation=validation, **record),
        partial(write_adapter, plan=plan, tensors=tensors) if record["plan"] is not None else None,
    )


def write_synthetic_study(
    folder: Path,
    logits: Mapping[tuple[str, int], np.ndarray],
    labels: npt.NDArray[np.int64],
    *,
    ids: npt.NDArray[np.int64] | None = None,
    names: Sequence[str] | None = None,
    **settings: Any,
) -> StudyFolder:
    """Writes a study's folder with one finished run for each entry.

    Args:
        folder: of the study; made.
        logits: (rows, classes) by layout and seed; see :func:`logits_of`; or numbers, (rows,).
        labels: places of the true labels, (rows,), or true numbers.
        ids: row numbers; None counts them.
        names: of the labels.
        settings: keys of the study that differ.
    """
    study = load_study(
        {
            "base": BASE,
            "head": "linear",
            "data": {"train": "train.csv", "validation": len(labels), "max_length": 64},
            "layouts": list(dict.fromkeys(layout for layout, _ in logits)),
            "baselines": "none",
            "seeds": sorted({seed for _, seed in logits}),
            "output": str(folder),
            "task": task_of(labels).name,
            **settings,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    StudyFolder(folder).write_settings(study.to_dict(), "1" * 64, "2" * 64)
    for (layout, seed), array in logits.items():
        said = {"task": study.task, "recipe": {"best_by": study.recipe.best_by}}
        write_synthetic_run(folder, layout, seed, array, labels, ids=ids, names=names, study=said)
    return StudyFolder.open(folder)
