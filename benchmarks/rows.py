"""The rows of the table, grouped by what can be measured alternately in one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from . import peer
from .measure import Product, Row, quotients, row
from .memory import measured
from .ours import Study
from .work import PEER_LAYOUT, SEED_LAYOUTS, Work

ENSEMBLE = ("s1", "s2", "s4", "s8")
AUTOCAST, AS_IT_COMES = "Trainer + peft, bf16 autocast", "Trainer + peft, fp32"
STEP, SHARE = "s a step and member", "FLOP/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure.

    Args:
        alternations: ours, peer, ours, peer, ...: how often each.
        steps: the peer's training steps in one of them.
        texts: predicted in one of them.
        threads: of each process.
        source: CSV with the texts, for the rows that run in processes of their own.
    """

    alternations: int
    steps: int
    texts: int
    threads: int
    source: Path


Measured = dict[str, list[float]]


class Rated(Protocol):
    """Something whose rate is measured between the sides."""

    def rate(self) -> float: ...


def training(work: Work, effort: Effort, precision: str, ours: dict[str, tuple[Study, int]], product: Rated) -> Measured:
    """Alternates the peer's steps, our studies' and the large product; seconds a step and member, and FLOP/s."""
    measured: Measured = defaultdict(list)
    for study, _ in ours.values():
        study.steps(1 if work.device == "cpu" else 5)  # a GPU's memory is fetched as new sizes come

    def between(seconds: float) -> None:
        measured["peer"].append(seconds)
        measured["product"].append(product.rate())
        for name, (study, steps) in ours.items():
            spent = study.steps(steps)
            measured[name].append(spent)
            measured[f"{name} FLOP/s"].append(study.tokens * work.flop_per_token() / (spent * study.members * steps))

    peer.train(work, precision, steps=effort.steps, blocks=effort.alternations, between=between)
    return measured


def _speed(name: str, what: str, measured: Measured, key: str, versus: str, target: float) -> Row:
    ratios = quotients(measured["peer"], measured[key])
    return row(name, what, STEP, measured[key], measured["peer"], ratios, versus=versus, target=target)


def _share(name: str, what: str, measured: Measured, key: str, target: float) -> Row:
    reached = measured[f"{key} FLOP/s"]
    ratios = quotients(reached, measured["product"])
    return row(name, what, SHARE, reached, measured["product"], ratios, versus="one large product", target=target)


def autocast(work: Work, effort: Effort) -> list[Row]:
    """Nine layouts and one alone, in bf16, against the peer in bf16."""
    few = max(1, effort.steps // 3)
    ours = {"nine": (Study(work, SEED_LAYOUTS, "bf16"), few), "one": (Study(work, [PEER_LAYOUT], "bf16"), effort.steps)}
    measured = training(work, effort, "bf16", ours, Product(torch.bfloat16, work.device))
    return [
        _speed("study-bf16", "nine layouts in one study, bf16", measured, "nine", AUTOCAST, 6),
        _speed("one-bf16", "one member alone, bf16", measured, "one", AUTOCAST, 4),
        _share("share-bf16", "share of the arithmetic limit, nine layouts, bf16", measured, "nine", 0.45),
    ]


def full(work: Work, effort: Effort) -> list[Row]:
    """Nine layouts in bf16 and in fp32 against the peer as it comes."""
    few = max(1, effort.steps // 3)
    ours = {name: (Study(work, SEED_LAYOUTS, name), few) for name in ("bf16", "fp32")}
    measured = training(work, effort, "fp32", ours, Product(torch.float32, work.device))
    return [
        _speed("study-fp32", "nine layouts in one study, bf16", measured, "bf16", AS_IT_COMES, 10),
        _speed("forced-fp32", "nine layouts in one study, fp32 forced", measured, "fp32", AS_IT_COMES, 1.8),
        _share("share-fp32", "share of the arithmetic limit, nine layouts, fp32", measured, "fp32", 0.45),
    ]


def prediction(work: Work, effort: Effort) -> list[Row]:
    """One run, and an ensemble of four over one encoder, against `Trainer.predict` once and four times."""
    one, four = Study(work, [PEER_LAYOUT], "bf16"), Study(work, ENSEMBLE, "bf16")
    count = effort.texts
    texts = work.texts.take(range(count))
    measured: Measured = defaultdict(list)
    with peer.predictor(work, count) as autocast, peer.predictor(work, count, whole=True) as whole:
        for measurement in range(effort.alternations + 1):
            seconds = {"one": one.predict(texts), "peer": autocast(), "four": four.predict(texts), "whole": whole()}
            if measurement:  # the first is warm-up
                for key, value in seconds.items():
                    measured[key].append(count / value)
    separate = [rate / len(ENSEMBLE) for rate in measured["peer"]]
    versus = "Trainer.predict, bf16, batch 256"
    unit = "texts a second"

    def line(name: str, what: str, key: str, other: list[float], against: str, target: float) -> Row:
        return row(name, what, unit, measured[key], other, quotients(measured[key], other), versus=against, target=target)

    return [
        line("predict", "prediction by one run", "one", measured["peer"], versus, 3),
        line("predict-whole", "prediction by one run", "one", measured["whole"], f"{versus}, bf16_full_eval", 3),
        line("ensemble", "prediction by an ensemble of four", "four", separate, f"four times {versus}", 4),
    ]


def memory(work: Work, effort: Effort) -> list[Row]:
    """Peak memory of a study against nine runs of the peer."""
    measure = partial(measured, base=work.base, texts=effort.source, rows=512, steps=max(2, effort.steps), threads=effort.threads)
    ours, theirs = [], []
    for _ in range(min(3, effort.alternations)):  # a peak hardly varies
        ours.append(measure("ours") / 1e9)
        theirs.append(measure("peer") * len(SEED_LAYOUTS) / 1e9)
    what, versus = "peak memory of the nine-layout study", f"nine times one run of {AUTOCAST}"
    ratios = quotients(ours, theirs)
    return [row("memory", what, "GB", ours, theirs, ratios, versus=versus, target=0.5, better="lower")]


def gpu(work: Work, effort: Effort) -> list[Row]:
    """The first group's work on a GPU, against nine runs of the peer there."""
    measured = training(
        work, effort, "bf16", {"nine": (Study(work, SEED_LAYOUTS, "bf16"), effort.steps)}, Product(torch.bfloat16, work.device)
    )
    return [
        _speed("gpu-study", "GPU: nine layouts in one study, bf16", measured, "nine", f"nine runs of {AUTOCAST}", 25),
        _share("gpu-share", "GPU: share of the measured bf16 product's rate", measured, "nine", 0.35),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows that are measured together.

    Args:
        rows: their names.
        device: where.
        measure: measures them.
    """

    rows: tuple[str, ...]
    device: str
    measure: Callable[[Work, Effort], list[Row]]


GROUPS = (
    Group(rows=("study-bf16", "one-bf16", "share-bf16"), device="cpu", measure=autocast),
    Group(rows=("study-fp32", "forced-fp32", "share-fp32"), device="cpu", measure=full),
    Group(rows=("predict", "predict-whole", "ensemble"), device="cpu", measure=prediction),
    Group(rows=("memory",), device="cpu", measure=memory),
    Group(rows=("gpu-study", "gpu-share"), device="cuda", measure=gpu),
)
