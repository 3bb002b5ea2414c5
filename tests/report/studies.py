"""Studies to report: written from logits, with whatever other commands leave in a study's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from striata.data.audit import Audit, AuditedTable, write_audit
from striata.ensemble import write_ensemble
from striata.figures.intervals import paired_difference, share
from striata.layout import make_plan
from striata.robustness.documents import AUDIT, EVALUATION, SHIFT, STRESS, keep
from striata.robustness.labels import Confusion, JudgedPart, LabelAudit, Place, Suspect
from striata.robustness.shift import Part, Shift
from striata.robustness.stress import Slice, Stress, Stressed
from striata.robustness.twosample import TwoSample
from striata.robustness.wording import Wording
from striata.runs import StudyFolder

from ..study.synthetic import BASE, write_synthetic_run, write_synthetic_study

LABELS = ("World", "Sports", "Business", "Sci/Tech")


def write_study(
    folder: Path,
    layouts: Sequence[str],
    *,
    seeds: Sequence[int] = (0, 1),
    rows: int = 400,
    steps: int = 60,
    names: Sequence[str] = LABELS,
    **settings: Any,
) -> StudyFolder:
    """A study whose runs have curves, receipts and honest mistakes.

    Args:
        folder: of the study; made.
        layouts: each is trained with each seed.
        seeds: of the runs.
        rows: of validation.
        steps: of each run.
        names: of the labels.
        settings: keys of the study that differ.
    """
    rng = np.random.default_rng(3)
    labels = rng.integers(0, len(names), rows)
    hard = rng.normal(0, 1, rows)
    study = write_synthetic_study(folder, {}, labels, layouts=list(layouts), seeds=list(seeds), **settings)
    for place, layout in enumerate(layouts):
        plan = make_plan(layout, base=BASE, labels=len(names), head="linear")
        for seed in seeds:
            own = np.random.default_rng([place, seed])
            logits = own.normal(0, 0.7, (rows, len(names)))
            logits[np.arange(rows), labels] += 3.0 + 0.05 * np.sin(1.7 * place) + hard * 1.4 + own.normal(0, 0.3, rows)
            logits[np.arange(rows), (labels + 1) % len(names)] += 0.9
            write_synthetic_run(
                folder,
                layout,
                seed,
                logits,
                labels,
                names=names,
                history=curves(own, steps, 0.3 + 0.002 * place),
                steps=steps,
                best_step=steps,
                seconds=float(300 + plan.lora / 900 + own.normal(0, 15)),
                study=study.settings(),
            )
    return study


def curves(rng: np.random.Generator, steps: int, floor: float) -> list[dict[str, float]]:
    """A history that looks like training."""
    found: list[dict[str, float]] = []
    for step in range(1, steps + 1):
        share_done = step / steps
        rate = 5e-4 * min(share_done / 0.06, 0.5 + 0.5 * np.cos(np.pi * share_done))
        loss = floor + 1.2 * np.exp(-10 * share_done) + abs(rng.normal(0, 0.1))
        found.append({"step": step, "loss": float(loss), "learning_rate": float(rate)})
        if step % max(steps // 20, 1) == 0:
            accuracy = 0.91 - 0.5 * np.exp(-8 * share_done) + rng.normal(0, 0.003)
            validation = floor - 0.02 + 1.1 * np.exp(-9 * share_done) + 0.05 * share_done
            found.append({"step": step, "validation_accuracy": float(accuracy), "validation_loss": float(validation)})
    return found


def add_everything(study: StudyFolder) -> None:
    """Adds the data's audit, an ensemble, and what stress, shift and audit keep."""
    folder, size = study.path, min(3, len(study.runs()))
    counts = dict.fromkeys(study.runs()[0].labels, 100)
    part = AuditedTable(
        source="fancyzhx/ag_news",
        rows=sum(counts.values()),
        labels=counts,
        truncated=31,
        empty=0,
        duplicates=7,
        tokens={"mean": 53.1, "median": 50.0, "p95": 92.0, "longest": 256.0},
        conflicting=1,
    )
    audit = Audit(
        parts={"train": part, "validation": part},
        shared={"train and validation": 14},
        max_length=256,
        fingerprint="abfa8a1dad7686",
    )
    write_audit(folder, audit)
    made = write_ensemble(folder, size=size, method="greedy")
    identity = made.combiner.identity_of({name: run.checksum for name, run in made.runs.items()})
    model: dict[str, object] = {
        "name": "ensemble",
        "folder": str(folder / "ensemble"),
        "identity": f"{identity} torch.float32 cpu",
    }
    keep(folder, "evaluate-ensemble-test.csv", EVALUATION, evaluation(model))
    keep(folder, "stress-ensemble", STRESS, stress(model).to_json())
    keep(folder, "shift-ensemble", SHIFT, shift(model).to_json())
    keep(folder, "audit", AUDIT, label_audit().to_json())


def evaluation(model: dict[str, object]) -> dict[str, object]:
    """What `striata evaluate` keeps, with made-up figures."""
    right = share(910, 1000)
    return {
        "kind": "evaluation", "model": model, "source": "/home/somebody/test.csv", "rows": 1000, "accuracy": right.to_json(),
        "macro_f1": 0.9, "loss": 0.31, "calibration_error": 0.012, "brier": 0.14,
        "per_label": {name: {"rows": 250, "precision": 0.9, "recall": 0.91, "f1": 0.9} for name in LABELS},
    }  # fmt: skip


def stress(model: dict[str, object]) -> Stress:
    """What `striata stress` keeps, with made-up counts."""
    kinds = ("typing errors", "lower case", "no punctuation", "HTML remains", "dropped words", "swapped words", "cut", "shuffled")
    stressed = [
        Stressed(
            perturbation=kind,
            strength=strength,
            amount=f"{10 * strength} % of the words",
            changed=0.9,
            accuracy=share(900 - (12 * at - 20) * strength, 1000),
            difference=paired_difference(14 * at * strength, 2 * at * strength + 3, 1000),
            broken=14 * at * strength,
            mended=2 * at * strength + 3,
        )
        for at, kind in enumerate(kinds)
        for strength in (1, 2, 3)
    ]
    slices = tuple(
        Slice(by="label", name=name, rows=250, accuracy=share(200 + 12 * at, 250), p_value=0.01 * (at + 1))
        for at, name in enumerate(LABELS)
    )
    return Stress(
        model=model, source="test.csv", rows=1000, rows_in_source=7600, seed=0, clean=share(910, 1000), stressed=tuple(stressed),
        slices=slices, small=(),
    )  # fmt: skip


def shift(model: dict[str, object]) -> Shift:
    """What `striata shift` keeps, with made-up figures."""
    test = TwoSample(rows=(1000, 1000), auc=0.83, p_value=0.001, permutations=999, foreign=0.41, scores=np.zeros(2000))
    parts = (
        Part(name="whole", rows=8000, sampled=1000, test=test, accuracy=share(840, 1000), second=0.81),
        Part(name="copies", rows=4000, sampled=500, test=None, accuracy=share(468, 500), second=0.93),
        Part(name="rest", rows=4000, sampled=500, test=test, accuracy=share(390, 500), second=0.75),
    )
    wording = Wording(
        tokens_known=53.0, tokens_other=71.0, length_p_value=0.001, unseen_known=0.12, unseen_other=0.29, divergence_known=0.2,
        divergence_other=0.5, words=("virus",),
    )  # fmt: skip
    return Shift(
        model=model, sources={"known": "test.csv", "unlabelled": "test_unlabelled.pkl", "train": None}, rows=(7600, 1000), seed=0,
        parts=parts, copies=(), wording=wording, fitted_on="known", known_accuracy=share(920, 1000), known_estimate=0.918,
        different=(),
    )  # fmt: skip


def label_audit() -> LabelAudit:
    """What `striata audit` keeps, with two made-up rows."""
    places = [
        Place(
            part="train", source="train.csv", row=17, label="World", text="Stocks rise on hopes of a deal, and fall again on news"
        ),
        Place(part="validation", source="train.csv", row=4312, label="Business", text="The cup goes to extra time & beyond"),
    ]
    return LabelAudit(
        runs={},
        fingerprint="abfa",
        seed=0,
        parts=(JudgedPart(name="train", source="train.csv", rows=400, judged=400, by="embeddings", suspects=2),),
        suspects=tuple(
            Suspect(place=place, suggested=name, quality=0.02 + 0.01 * at)
            for at, (place, name) in enumerate(zip(places, ("Business", "Sports"), strict=True))
        ),
        conflicts=(),
        confusions=(Confusion(label="World", predicted="Business", rows=41, examples=()),),
    )
