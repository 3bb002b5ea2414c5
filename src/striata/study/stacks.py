"""Stacks of a study, trained: each member writes its run as it ends."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from ..disk.locks import HeldError, holding
from ..engine import Encoder, Stack
from ..layout import Head
from ..runs import Member, RunFacts, StudyFolder
from ..runs.adapter import write_adapter
from ..runs.facts import Adapted
from ..runs.run import Run, RunRecord, Validation, write_run
from ..runs.study_folder import is_run
from ..training.events import Event, Listener, doing, note
from ..training.loop import Judge, Outcome, Recruit, Trainer
from ..training.pretraining import Pretraining
from ..training.state import Trainee, read_checkpoint
from ..training.trackers import tracking
from ..training.validation import Validator
from .claim import discard
from .members import twins
from .preparation import Prepared
from .race import Race
from .stack_folder import BusyError, StackFolder
from .work import Work


@dataclass(frozen=True, slots=True)
class Context:
    """What every run of a study has in common."""

    prepared: Prepared
    encoder: Encoder
    folder: StudyFolder

    @classmethod
    def load(cls, work: Work, *, head: Head, device: str) -> Context:
        """With the study's encoder loaded."""
        study, recipe = work.prepared.study, work.prepared.study.recipe
        encoder = Encoder.load(study.base, head=head, precision=recipe.precision, device=device, dropout=recipe.encoder_dropout)
        return cls(work.prepared, encoder, work.folder)


def train_planned(
    work: Work,
    names: Sequence[str] | None,
    listen: Listener,
    trackers: Sequence[str],
    device: str,
    overdue: Callable[[], bool] | None,
) -> None:
    """Trains stacks on one encoder, each from its checkpoint on when it has one; see :func:`striata.steps.train_stacks`."""
    chosen = work.chosen(names)
    if not chosen:
        return
    with leaving_nothing_new(work, chosen):
        doing(listen, "loading the encoder")
        context = Context.load(work, head=work.members[0].plan.head, device=device)
        with listening(context, listen, trackers) as both:
            for name in chosen:
                _train(context, work, StackFolder(work.folder.stacks / name), both, overdue)


def _train(context: Context, work: Work, stack: StackFolder, listen: Listener, overdue: Callable[[], bool] | None = None) -> None:
    members = {member.name: member for member in work.members}
    with stack.held():
        together = stack.resumed(members)
        if together:
            states = stack.states()
            of = " of their adaptation" if any(state.adapting for state in states) else ""
            note(listen, f"going on with {len(together)} members from step {max(state.step for state in states)}{of}")
        elif stack.is_planned and set(stack.members()) <= set(members):
            together = [members[name] for name in stack.members()]
        else:
            raise BusyError(
                f"stack {stack.name} of {context.folder.path} is no longer planned: another process has trained it or planned "
                "it anew; run the same command again"
            )

        settings = work.prepared.study.race
        racing = stack.members() if stack.is_planned else list(members)
        race = None if settings is None else Race(settings, racing, twins(work.members))

        def ending(trainees: Sequence[Trainee]) -> dict[str, str]:
            if overdue is None or not overdue():
                return {}
            # while they race there are many, each of which would have to be judged on all validation rows
            return {t.member.name: "time" for t in trainees if race is None or race.is_over(t.step, t.steps)}

        train_together(context, together, stack.checkpoint, listen, leaving=None if race is None else race.leaving, ending=ending)
        stack.remove()


@contextlib.contextmanager
def leaving_nothing_new(work: Work, names: Sequence[str]) -> Iterator[None]:
    """When the block raises and nothing was trained, a folder that was made for it goes again."""
    try:
        yield
    except BaseException:
        if work.new:
            for stack in (StackFolder(work.folder.stacks / name) for name in names):
                with contextlib.suppress(HeldError), holding(stack.lock):  # another process may train it
                    if not stack.checkpoint.exists():
                        stack.remove()
            discard(work.folder)
        raise


@contextlib.contextmanager
def listening(context: Context, listen: Listener, track: Iterable[str]) -> Iterator[Listener]:
    """Yields a listener that passes everything on to `listen` and to experiment trackers."""
    folder = context.folder.path
    settings = context.prepared.study.model_dump(mode="json", include={"base", "head", "recipe"})
    with tracking(tuple(track), folder.name, folder / "trackers", settings) as tracker:
        yield _both(listen, tracker)


def train_together(
    context: Context,
    together: Sequence[Member],
    checkpoint: Path,
    listen: Listener,
    *,
    ended: Callable[[Outcome], None] | None = None,
    judge: Judge | None = None,
    recruit: Recruit | None = None,
    leaving: Judge | None = None,
    ending: Judge | None = None,
) -> None:
    """Trains members as one stack; each writes its run as it ends.

    Args:
        context: what they have in common.
        together: the members, in the order of the checkpoint.
        checkpoint: the file to go on from when there is one, and to write.
        listen: told of every step, evaluation and ending.
        ended: called after a member's run, or its failure, is on disk.
        judge: see :class:`striata.training.loop.Trainer`.
        recruit: likewise.
        leaving: likewise.
        ending: likewise.
    """

    def keep(outcome: Outcome) -> None:
        outcome = sound(outcome)
        _keep(context, outcome, validator.texts_per_second)
        if ended is not None:
            ended(outcome)

    prepared = context.prepared
    stack = Stack(context.encoder, [member.plan for member in together])
    task, targets, scale = prepared.splits.task, prepared.targets, prepared.scale
    validator = Validator(prepared.encoded["validation"], targets["validation"], prepared.study.data.seed, task, scale)
    together = adapted(context, stack, together, checkpoint, keep, listen)
    if not together:
        return
    trainer = Trainer(
        stack,
        together,
        texts=prepared.encoded["train"],
        targets=targets["train"] if scale is None else scale.standard(targets["train"]),
        weights=prepared.weights,
        names=prepared.splits.labels,
        validator=validator,
        checkpoint=checkpoint,
        ended=keep,
        listen=listen,
        judge=judge,
        recruit=recruit,
        leaving=leaving,
        ending=ending,
    )
    trainer.run()


def adapted(
    context: Context,
    stack: Stack,
    together: Sequence[Member],
    checkpoint: Path,
    ended: Callable[[Outcome], None],
    listen: Listener,
) -> Sequence[Member]:
    """The members that are to be trained, after those that the study adapts are; arguments as :func:`train_together`."""
    adaptation = context.prepared.adaptation
    if all(member.adapt is None for member in together):
        return together
    assert adaptation is not None
    if checkpoint.exists() and not any(state.adapting for state in read_checkpoint(checkpoint)[0]):
        return together  # all are through
    doing(listen, f"adapting to {len(adaptation.texts):,} texts without labels")
    pretraining = Pretraining(
        stack,
        together,
        texts=adaptation.texts,
        objective=adaptation.make_objective(context.encoder),
        recipe=adaptation.recipe,
        rows=len(context.prepared.splits.train),
        checkpoint=checkpoint,
        ended=ended,
        listen=listen,
    )
    return pretraining.run()


def sound(outcome: Outcome) -> Outcome:
    """The outcome; that of a member whose kept weights give no numbers is a failure, though its last loss was finite."""
    if outcome.best is None or np.isfinite(outcome.best.logits).all():
        return outcome
    why = (
        f"its logits for the validation rows are no finite numbers after step {outcome.steps}; "
        f"try a lower learning rate than {outcome.member.recipe.learning_rate:g}, more warmup, or precision fp32"
    )
    return replace(outcome, best=None, stopped=why)


def _keep(context: Context, outcome: Outcome, texts_per_second: float | None) -> None:
    """Writes a finished member's run, unless a process before this one already has."""
    member = outcome.member
    if outcome.best is None:
        context.folder.record_failure(member.name, outcome.stopped)
        return
    target = context.folder.run_folder(member.name)
    if is_run(target):
        Run.load(target).check()
        return
    scale, tensors = context.prepared.scale, outcome.best.tensors
    if scale is not None:  # so that the run answers in the numbers' own unit
        tensors = scale.folded(tensors, member.plan.head.steps[-1].module)
    write_weights = partial(write_adapter, plan=member.plan, tensors=tensors)
    write_run(target, record_of(context, member, outcome, texts_per_second), write_weights)


def record_of(context: Context, member: Member, outcome: Outcome, texts_per_second: float | None) -> RunRecord:
    prepared, best = context.prepared, outcome.best
    splits, study = prepared.splits, prepared.study
    assert best is not None
    scores = splits.task.scores(best.logits, prepared.targets["validation"])
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
        plan_hash=member.plan.hash,
        trainable=member.plan.trainable,
        lora=member.plan.lora,
        task=splits.task.name,
        labels=splits.labels,
        base=study.base,
        head=study.head,
        max_length=study.data.max_length,
        base_sha256=context.encoder.sha256,
        tokenizer_sha256=prepared.tokenizer_sha256,
        columns=study.columns.by_name,
        data_fingerprint=splits.fingerprint,
        best_step=best.step,
        steps=outcome.steps,
        metrics=scores.to_json(),
        stopped=outcome.stopped,
        seconds=outcome.seconds,
        texts_per_second=texts_per_second,
        versions=_versions(),
        hardware=_hardware(context.encoder),
        split={"train": len(splits.train), "validation": len(splits.validation)},
        study=study.to_dict(),
        adapted=_adapted(context, member, outcome),
    )
    validation = Validation(
        ids=splits.validation.ids,
        texts=splits.validation.text_hashes(),
        labels=prepared.targets["validation"],
        logits=best.logits,
    )
    receipt = {**outcome.receipt, "transductive": True} if facts.transductive else outcome.receipt
    return RunRecord(facts=facts, plan=member.plan, receipt=receipt, history=outcome.history, validation=validation)


def _adapted(context: Context, member: Member, outcome: Outcome) -> Adapted | None:
    """What the member learned from before it learned labels."""
    adaptation = context.prepared.adaptation
    if member.adapt is None or adaptation is None:
        return None
    return adaptation.facts([entry["adaptation_loss"] for entry in outcome.history if "adaptation_loss" in entry])


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


def _both(first: Listener, second: Listener) -> Listener:
    def listen(event: Event) -> None:
        first(event)
        second(event)

    return listen
