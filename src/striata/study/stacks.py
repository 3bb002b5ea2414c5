"""From a study file to finished runs: reads the data, trains what is not finished, writes each run as it ends."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
import torch

from ..data import Audit, Encoded, Splits
from ..data.audit import write_audit
from ..engine import Encoder, Stack
from ..errors import StudyError
from ..runs import Member, RunFacts, StudyFolder
from ..runs.adapter import write_adapter
from ..runs.run import Run, RunRecord, Validation, write_run
from ..settings.file import Study
from ..training.events import Event, Listener
from ..training.loop import Judge, Outcome, Recruit, Trainer
from ..training.state import read_checkpoint
from ..training.trackers import tracking
from ..training.validation import Validator
from .claim import open_study_folder, unfinished
from .members import plan_members, shared_plans
from .preparation import Prepared

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Context:
    """What every run of a study has in common."""

    study: Study
    splits: Splits
    encoded: dict[str, Encoded]
    targets: dict[str, np.ndarray]
    encoder: Encoder
    folder: StudyFolder


def train_study(
    study: Study, prepared: Prepared, *, listen: Listener, announce: Announce, track: Iterable[str] = (), device: str = "auto"
) -> StudyFolder:
    """Trains the members of a study that are not finished yet.

    Args:
        study: from :func:`striata.study.load_study`.
        prepared: its data, from :func:`striata.study.preparation`.
        listen: told of every step, evaluation and ending.
        announce: told, line by line, what is about to happen.
        track: names of experiment trackers.
        device: "cpu", "cuda" or "auto".

    Returns:
        The study's folder.

    Raises:
        StriataError: anything in the study, its data, its encoder or its folder is wrong.
    """
    asked = plan_members(study, len(prepared.splits.labels))
    with open_study_folder(study, prepared.splits.fingerprint) as folder:
        _announce(announce, asked, prepared.audit)
        write_audit(folder.path, prepared.audit)
        pending = unfinished(folder, asked)
        if not pending:
            announce(f"all {len(asked)} members are finished in {folder.path}; nothing to train")
            folder.checkpoint.unlink(missing_ok=True)
            return folder
        encoder = Encoder.load(study.base, head=asked[0].plan.head, precision=study.recipe.precision, device=device)
        context = Context(study, prepared.splits, prepared.encoded, prepared.targets, encoder, folder)
        with listening(context, listen, track) as both:
            _train(context, asked, pending, announce, both)
    return folder


@contextlib.contextmanager
def listening(context: Context, listen: Listener, track: Iterable[str]) -> Iterator[Listener]:
    """Yields a listener that passes everything on to `listen` and to experiment trackers."""
    folder = context.folder.path
    with tracking(tuple(track), folder.name, folder / "trackers", _flat(context.study)) as tracker:
        yield _both(listen, tracker)


def _train(context: Context, asked: tuple[Member, ...], pending: list[Member], announce: Announce, listen: Listener) -> None:
    """First the stack that was interrupted, with the neighbours it had, then what it did not hold."""
    checkpoint = context.folder.checkpoint
    if checkpoint.exists():
        by_name = {member.name: member for member in asked}
        states, _ = read_checkpoint(checkpoint)
        held = [by_name[state["name"]] for state in states if state["name"] in by_name]
        if len(held) != len(states) or any(m.plan.hash != s["plan"] for m, s in zip(held, states, strict=True)):
            raise StudyError(f"checkpoint {checkpoint} belongs to other members; delete it to start them anew")
        if any(member.name == other.name for member in pending for other in held):
            announce(f"going on with {len(held)} members from step {max(state['step'] for state in states)}")
            train_stack(context, held, listen)
            names = {member.name for member in held}
            pending = [member for member in pending if member.name not in names]
        else:
            checkpoint.unlink()
    if pending:
        train_stack(context, pending, listen)


def train_stack(
    context: Context,
    together: Sequence[Member],
    listen: Listener,
    *,
    ended: Callable[[Outcome], None] | None = None,
    judge: Judge | None = None,
    recruit: Recruit | None = None,
) -> None:
    """Trains members as one stack, going on from the study's checkpoint when there is one; each writes its run as it ends.

    Args:
        context: what they have in common.
        together: the members, in the order of the checkpoint.
        listen: told of every step, evaluation and ending.
        ended: called after a member's run, or its failure, is on disk.
        judge: see :class:`striata.training.loop.Trainer`.
        recruit: likewise.
    """

    def keep(outcome: Outcome) -> None:
        _keep(context, outcome)
        if ended is not None:
            ended(outcome)

    stack = Stack(context.encoder, [member.plan for member in together])
    trainer = Trainer(
        stack,
        together,
        texts=context.encoded["train"],
        targets=context.targets["train"],
        names=context.splits.labels,
        validator=Validator(
            context.encoded["validation"], context.targets["validation"], context.study.data.seed, context.splits.task
        ),
        checkpoint=context.folder.checkpoint,
        ended=keep,
        listen=listen,
        judge=judge,
        recruit=recruit,
    )
    trainer.run()


def _keep(context: Context, outcome: Outcome) -> None:
    """Writes a finished member's run, unless a process before this one already has."""
    member = outcome.member
    if outcome.best is None:
        context.folder.record_failure(member.name, outcome.stopped)
        return
    target = context.folder.run_folder(member.name)
    if target.exists():
        Run.load(target)
        return
    write_weights = partial(write_adapter, plan=member.plan, tensors=outcome.best.tensors)
    write_run(target, _record(context, member, outcome), write_weights)


def _record(context: Context, member: Member, outcome: Outcome) -> RunRecord:
    best, splits, study = outcome.best, context.splits, context.study
    assert best is not None
    scores = splits.task.scores(best.logits, context.targets["validation"])
    facts = RunFacts(
        kind="adapter",
        name=member.name,
        title=member.title,
        layout=member.layout,
        seed=member.seed,
        control=member.control,
        control_of=dict(member.control_of),
        aliases=member.aliases,
        recipe=member.recipe.model_dump(mode="json"),
        trainable=member.plan.trainable,
        lora=member.plan.lora,
        task=splits.task.name,
        labels=splits.labels,
        base=study.base,
        head=study.head,
        max_length=study.data.max_length,
        base_sha256=context.encoder.sha256,
        columns=study.data.columns(),
        data_fingerprint=splits.fingerprint,
        best_step=best.step,
        steps=outcome.steps,
        metrics=scores.to_json(),
        stopped=outcome.stopped,
        seconds=outcome.seconds,
        versions=_versions(),
        hardware=_hardware(context.encoder),
        split={"train": len(splits.train), "validation": len(splits.validation)},
        study=study.to_dict(),
    )
    validation = Validation(ids=splits.validation.ids, labels=context.targets["validation"], logits=best.logits)
    return RunRecord(facts=facts, plan=member.plan, receipt=outcome.receipt, history=outcome.history, validation=validation)


def _announce(announce: Announce, asked: tuple[Member, ...], audit: Audit) -> None:
    for line in audit.lines():
        announce(line)
    announce("")
    width = max(len(member.name) for member in asked)
    announce(f"{'member':{width}}  {'trainable':>11}  {'LoRA':>9}  {'head':>9}  budget  sections")
    for member in asked:
        plan = member.plan
        share = "" if plan.budget is None else f"{plan.trainable / plan.budget:.1%}"
        announce(
            f"{member.name:{width}}  {plan.trainable:>11,}  {plan.lora:>9,}  {plan.head.parameters:>9,}  {share:>6}  {plan.text}"
        )
    for remark in dict.fromkeys(remark for member in asked for remark in member.plan.notes):
        announce(remark)
    for line in shared_plans(asked):
        announce(line)
    announce("")


def _versions() -> dict[str, str]:
    names = ("striata", "torch", "transformers", "tokenizers", "safetensors", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def _hardware(encoder: Encoder) -> dict[str, str]:
    device = encoder.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": device.type,
        "name": name,
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "precision": str(encoder.dtype).removeprefix("torch."),
    }


def _flat(study: Study) -> dict[str, str | int | float]:
    recipe = study.recipe.model_dump(mode="json")
    return {"base": study.base, "head": study.head} | {
        f"recipe.{key}": value for key, value in recipe.items() if isinstance(value, str | int | float)
    }


def _both(first: Listener, second: Listener) -> Listener:
    def listen(event: Event) -> None:
        first(event)
        second(event)

    return listen
