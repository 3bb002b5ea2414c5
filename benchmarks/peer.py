"""The other side of every row: transformers' Trainer on a peft model, as their documentation shows it.

RoBERTa's classification model with LoRA r16 on every query, dropout 0.1 in the base and in LoRA, AdamW, padded to the longest
text of a batch; bf16 is Trainer's autocast.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from striata.layout import shape_of

from .work import BATCH, LABELS, Work

WARMUP = 2


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Times every step and, at the end of a block of steps, lets the other side run before the next one begins."""

    def __init__(self, steps: int, between: Callable[[float], None], cuda: bool) -> None:
        self.steps, self.between, self.cuda = steps, between, cuda
        self.spent: list[float] = []
        self.started = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if self.cuda:
            torch.cuda.synchronize()
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.cuda:
            torch.cuda.synchronize()
        self.spent.append(time.perf_counter() - self.started)
        done = state.global_step - WARMUP
        if done > 0 and done % self.steps == 0:
            self.between(sum(self.spent[-self.steps :]) / self.steps)


def adapted(base: Path) -> nn.Module:
    """The classification model with LoRA on every query."""
    query = shape_of(str(base)).family.targets["query"].rpartition(".")[2]
    config = LoraConfig(r=16, lora_alpha=4, lora_dropout=0.1, target_modules=[query], task_type="SEQ_CLS")
    model: nn.Module = get_peft_model(AutoModelForSequenceClassification.from_pretrained(base, num_labels=LABELS), config)
    return model


def dataset(work: Work, rows: int | None = None) -> Dataset:
    """The first texts as Trainer wants them, tokenized once before any clock runs."""
    starts = work.texts.starts
    count = len(work.texts) if rows is None else rows
    ids = [work.texts.ids[starts[row] : starts[row + 1]].tolist() for row in range(count)]
    masks = [[1] * len(tokens) for tokens in ids]
    return Dataset.from_dict({"input_ids": ids, "attention_mask": masks, "labels": work.targets[:count].tolist()})


def arguments(folder: str, device: str, **options: Any) -> TrainingArguments:
    """Trainer's settings that all rows share."""
    return TrainingArguments(
        output_dir=folder, use_cpu=device == "cpu", report_to=[], logging_steps=10**6, save_strategy="no", learning_rate=1e-4,
        disable_tqdm=True, seed=0, **options,
    )  # fmt: skip


def train(work: Work, precision: str, *, steps: int, blocks: int, between: Callable[[float], None]) -> None:
    """Trains in blocks of steps, after two steps that do not count, in a process of its own.

    What our engine sets for its process (how glibc keeps memory) would otherwise speed the peer up as well.

    Args:
        work: encoder, texts and labels.
        precision: "fp32" or "bf16".
        steps: in a block.
        blocks: how many.
        between: called after each block with its seconds per step; Trainer waits until it returns.
    """
    with apart(_training, work, precision, steps, blocks) as pipe:
        for _ in range(blocks):
            between(float(answer(pipe)))
            pipe.send(None)


@contextmanager
def apart(serve: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """Runs `serve(pipe, *arguments)` in a new process with as many threads as this one; yields the pipe's other end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_begin, args=(serve, theirs, torch.get_num_threads(), arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(30)
        if process.is_alive():
            process.terminate()


def _begin(serve: Callable[..., None], pipe: Connection, threads: int, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(threads)
    with suppress(EOFError, BrokenPipeError):  # the other side has seen enough
        serve(pipe, *arguments)


def answer(pipe: Connection) -> Any:
    """What the other process sends."""
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError("the peer's process ended early; its error is above") from None


def _training(pipe: Connection, work: Work, precision: str, steps: int, blocks: int) -> None:
    def between(seconds: float) -> None:
        pipe.send(seconds)
        pipe.recv()

    train_here(work, precision, steps=steps, blocks=blocks, between=between)


def train_here(work: Work, precision: str, *, steps: int, blocks: int, between: Callable[[float], None]) -> None:
    """The same in this process, whose memory is then the peer's."""
    with TemporaryDirectory() as folder:
        settings = arguments(
            folder, work.device, max_steps=WARMUP + steps * blocks, per_device_train_batch_size=BATCH, bf16=precision == "bf16"
        )
        Trainer(
            model=adapted(work.base),
            args=settings,
            train_dataset=dataset(work),
            data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(work.base)),
            callbacks=[_Clock(steps, between, work.device == "cuda")],
        ).train()


@contextmanager
def predictor(work: Work, rows: int, *, whole: bool = False) -> Iterator[Callable[[], float]]:
    """Yields a function that runs `Trainer.predict` once, in a process of its own, and returns its seconds.

    Args:
        work: encoder and texts.
        rows: how many texts, from the first on.
        whole: False is Trainer's autocast (`bf16`), True has all weights in bf16 (`bf16_full_eval`).
    """
    with apart(_prediction, work, rows, whole) as pipe:

        def seconds() -> float:
            pipe.send(None)
            return float(answer(pipe))

        yield seconds


def _prediction(pipe: Connection, work: Work, rows: int, whole: bool) -> None:
    data = dataset(work, rows)
    option = {"bf16_full_eval": True} if whole else {"bf16": True}
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            model=adapted(work.base),
            args=arguments(folder, work.device, per_device_eval_batch_size=256, **option),
            data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(work.base)),
        )
        while True:
            pipe.recv()
            started = time.perf_counter()
            trainer.predict(data)
            pipe.send(time.perf_counter() - started)
