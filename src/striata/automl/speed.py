"""How fast this machine is: the encoder before anything is fitted, then what was seen meanwhile, then a training step."""

from __future__ import annotations

import time

import numpy as np

from ..baselines import BASELINES
from ..data import Encoded, Table
from ..layout import Head, make_plan
from ..runs import Member, Run
from ..runs.study_folder import is_run
from ..settings import Recipe
from ..study import Work
from .layouts import HEAD
from .timing import BATCH, Costs

FROZEN = "frozen"  # the baseline that tells how fast texts were embedded
PROBE, _PROBES = 64, 4  # texts with which the encoder's speed is measured, and how often
_STEPS = 5  # of which the middle one says how long one takes; another one before them is slower


def embedded_rows(work: Work) -> int:
    """Training rows that the study embeds for baselines."""
    baselines, rows = work.prepared.study.baselines, len(work.prepared.splits.train)
    return min(rows, baselines.embedded_rows or rows) if FROZEN in baselines.kinds else 0


def fitting_time(work: Work) -> float | None:
    """Seconds in which the baselines on embeddings were fitted; None where there are none."""
    folders = [work.folder.run_folder(kind) for kind, method in BASELINES.items() if method.embedded]
    facts = [Run.load(folder).facts for folder in folders if is_run(folder)]
    return sum(one.seconds - one.shared_seconds for one in facts) if facts else None


def costs_now(work: Work, device: str) -> Costs:
    """What there is to do once baselines are there, at the speed that the encoder had in them, or has where none used it."""
    study, splits = work.prepared.study, work.prepared.splits
    rows, lengths = len(splits.train), work.prepared.encoded["train"].lengths
    seconds = observed_speed(work, embedded_rows(work) + len(splits.validation))
    return Costs(
        rows=rows,
        validated=len(splits.validation),
        tested=sum(map(len, splits.tables().values())) - rows - len(splits.validation),
        labels=len(splits.labels),
        tokens=float(lengths.mean()),
        characters=characters(splits.train),
        seconds_a_token=seconds or measure_speed(study.base, splits.train, study.data.max_length, device),
        refit=study.baselines.refit,
    )


def characters(table: Table) -> float:
    """Of a text in the mean."""
    return sum(map(len, table.whole_texts)) / len(table)


def observed_speed(work: Work, embedded: int) -> float | None:
    """Seconds a token took when texts were embedded for baselines; None where none were."""
    folder = work.folder.run_folder(FROZEN)
    if not is_run(folder):
        return None
    seconds = Run.load(folder).facts.shared_seconds / embedded
    return seconds / float(work.prepared.encoded["train"].lengths.mean())


def measure_speed(base: str, some: Table, max_length: int, device: str) -> float:
    """Seconds a token takes through the frozen encoder forward: the least of a few times over some of the texts, for what else
    the machine does adds to it."""
    from ..data import Tokenizer
    from ..engine import Encoder, embed

    encoder = Encoder.load(base, head=Head(kind="mean", pooling="mean", steps=()), precision="auto", device=device)
    texts = some.take(np.arange(min(PROBE, len(some))))
    encoded = Tokenizer.load(base, max_length).encode(texts.texts, texts.pairs)
    seconds = []
    for _ in range(_PROBES):
        start = time.perf_counter()
        embed(encoder, encoded)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / int(encoded.lengths.sum())


def typical(texts: Encoded) -> Encoded:
    """A batch of texts that are as long as all of them: from the shortest to the longest in equal strides."""
    order = np.argsort(texts.lengths, kind="stable")
    return texts.take(order[(np.arange(BATCH) * 2 + 1) * len(order) // (2 * BATCH)])


def measure_step(base: str, batch: Encoded, layout: str, labels: int, device: str) -> float:
    """Seconds of one text in a training step of adapters: of a few steps over one batch the middle one's.

    Args:
        base: the encoder.
        batch: texts of a step, as long as others.
        layout: of the adapters.
        labels: how many.
        device: "cpu", "cuda" or "auto".
    """
    import torch

    from ..engine import Encoder, Stack
    from ..training.loop import Trainer
    from ..training.validation import Validator

    plan = make_plan(layout, base=base, labels=labels, head=HEAD)
    targets, names = np.zeros(len(batch), np.int64), [str(label) for label in range(labels)]
    recipe = Recipe.model_validate({"optimizer": "adamw", "batch_size": len(batch), "max_steps": _STEPS + 1})
    member = Member(name="step", title="step", layout=plan.layout, seed=0, recipe=recipe, plan=plan)
    encoder = Encoder.load(base, head=plan.head, precision=recipe.precision, device=device)
    trainer = Trainer(
        Stack(encoder, [plan]), [member], texts=batch, targets=targets, names=names, validator=Validator(batch, targets, 0),
        checkpoint=None, ended=lambda _: None,
    )  # fmt: skip
    seconds = []
    for _ in range(_STEPS + 1):
        start = time.perf_counter()
        trainer.step()
        if encoder.device.type == "cuda":
            torch.cuda.synchronize(encoder.device)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:])) / len(batch)
