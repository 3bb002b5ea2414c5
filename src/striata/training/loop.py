"""The one training loop: all members of a stack, step by step, until each has ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..data import Encoded
from ..engine import Engine, RandomStream, check_receipt, collate, on_device, on_host, seed_of
from ..runs import Member
from .events import Event, Listener, nobody
from .interruption import deferring
from .losses import Loss, make_loss
from .order import rows_at
from .state import Best, Trainee, begin, enter, read_checkpoint, restore, save_checkpoint
from .validation import Validator

Judge = Callable[[Sequence[Trainee]], Mapping[str, str]]
Recruit = Callable[[int], Sequence[Member]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a member ended.

    Args:
        member: which.
        best: its kept checkpoint with logits for all validation rows; None when it failed.
        stopped: "max_steps", "patience", the reason of who ended it, or why it failed.
        steps: optimizer steps taken.
        seconds: its share of the time spent.
        history: one entry per step and per evaluation.
        receipt: what was live when training began.
    """

    member: Member
    best: Best | None
    stopped: str
    steps: int
    seconds: float
    history: list[dict[str, float]]
    receipt: dict[str, object]


class Trainer:
    """Trains the members of one stack.

    Args:
        stack: made of the members' plans, in order.
        members: the same members.
        texts: training texts.
        targets: their labels, (rows,) int64; or numbers in standard deviations, (rows,) float32; or probabilities of the labels,
            (rows, labels) float32, for recipes without class weights.
        weights: how much each training row counts, (rows,); None where all count alike.
        names: label names.
        validator: evaluates members on validation rows.
        checkpoint: file to go on from; written at every evaluation.
        ended: called once for each member when it ends, before it leaves the stack.
        listen: told of everything that happens.
        judge: asked after an evaluation which of the members just evaluated are to stop: reasons by name.
        recruit: asked, when members may have left, for new ones to take their places; told how many are left.
        leaving: asked after every step, before any evaluation, which members leave without a run: reasons by name.
        ending: asked after that which of the others are evaluated and end, with the best they have: reasons by name.
    """

    def __init__(
        self,
        stack: Engine,
        members: Sequence[Member],
        *,
        texts: Encoded,
        targets: np.ndarray,
        weights: np.ndarray | None = None,
        names: Sequence[str],
        validator: Validator,
        checkpoint: Path | None,
        ended: Callable[[Outcome], None],
        listen: Listener = nobody,
        judge: Judge | None = None,
        recruit: Recruit | None = None,
        leaving: Judge | None = None,
        ending: Judge | None = None,
    ) -> None:
        self.stack, self.texts, self.targets, self.validator = stack, texts, targets, validator
        self.weights = None if weights is None else weights.astype(np.float32)
        self.checkpoint, self.ended, self.listen = checkpoint, ended, listen
        self.names, self.judge, self.recruit, self.leaving, self.ending = names, judge, recruit, leaving, ending
        if checkpoint is not None and checkpoint.exists():
            self.live = restore(stack, members, len(texts), read_checkpoint(checkpoint))
        else:
            self.live = begin(stack, members, len(texts))
        self.receipts: dict[str, dict[str, object]] = {}
        self._losses: dict[int, Loss] = {}
        self._streams: dict[int, RandomStream] = {}
        for t in self.live:
            self._admit(t)

    def add(self, member: Member) -> None:
        """Takes a new member in, beside those under way; it begins at its own step 0.

        Raises:
            PlanError: what is live is not what its plan says.
        """
        t = enter(self.stack, member, self.stack.add(member.plan), len(self.texts))
        self._admit(t)
        self.live.append(t)

    def _admit(self, t: Trainee) -> None:
        receipt = self.stack.receipt(t.slot)
        check_receipt(t.member.plan, receipt, t.member.name)
        self.receipts[t.member.name] = receipt.to_json()
        task, device = self.validator.task, self.stack.device
        self._losses[t.slot] = make_loss(t.member.recipe, task, self.targets, self.names, device, self.weights)
        self._streams[t.slot] = RandomStream(self.stack.device)

    def run(self) -> None:
        """Trains until no member is left.

        Raises:
            KeyboardInterrupt: after Ctrl-C (or SIGTERM), with the step under way finished and saved.
        """
        self._tell(Event(kind="begun"))
        began, done = time.monotonic(), 0
        if self.recruit is not None:
            self._save()  # who is in the stack together is then known even before the first evaluation
        with deferring() as interruption:
            while self.live:
                started = time.monotonic()
                self.step()
                left = self._leave()
                reasons = self.ending(self.live) if self.ending is not None else {}
                due = [t for t in self.live if self._due(t) or t.member.name in reasons]
                if due:
                    self._evaluate(due)
                done += 1
                spent = (time.monotonic() - started) / max(1, len(self.live))
                for t in self.live:
                    t.seconds += spent
                self._report((time.monotonic() - began) / done * max((t.steps - t.step for t in self.live), default=0))
                if due:
                    self._end(due, reasons)
                if due or not self.live:
                    self._refill()
                if due or left or interruption.came:
                    self._save()
                if interruption.came:
                    raise KeyboardInterrupt

    def step(self) -> None:
        """One optimizer step of every member that is left, each on its own rows; a member whose loss is not finite leaves.

        Evaluations, checkpoints and endings are :meth:`run`'s.
        """
        device, chosen = self.stack.device, []
        for t in self.live:
            chosen.append(rows_at(t.step, rows=len(self.texts), batch_size=t.member.recipe.batch_size, seed=t.member.seed))
            self._streams[t.slot].restart(seed_of(*t.key, "step", t.step))
        labels = on_device(torch.from_numpy(self.targets[np.concatenate(chosen)]), device)
        targets, weights = torch.split(labels, [len(rows) for rows in chosen]), self._weights_of(chosen)
        batch = collate([(t.slot, self.texts.take(rows)) for t, rows in zip(self.live, chosen, strict=True)], device)
        logits = self.stack.forward(batch, {t.slot: self._streams[t.slot] for t in self.live})
        parts = zip(self.live, targets, weights, strict=True)
        losses = torch.stack([self._losses[t.slot](logits[t.slot], answers, rows=rows) for t, answers, rows in parts])
        read = on_host(losses)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        rates = [t.update() for t in self.live]
        # Read last, so that a GPU has the whole step before it is waited for. What is not finite stays in its own member.
        for t, loss, rate in zip(list(self.live), read(), rates, strict=True):
            if math.isfinite(loss):
                t.step += 1
                t.history.append({"step": t.step, "loss": loss, "learning_rate": rate})
            else:
                self._fail(t, loss)

    def _weights_of(self, chosen: Sequence[np.ndarray]) -> Sequence[Tensor | None]:
        """Weights of each member's rows of a step."""
        if self.weights is None:
            return [None] * len(chosen)
        weights = on_device(torch.from_numpy(self.weights[np.concatenate(chosen)]), self.stack.device)
        return torch.split(weights, [len(rows) for rows in chosen])

    def _due(self, t: Trainee) -> bool:
        return t.step % t.member.recipe.evaluate_every == 0 or t.step >= t.steps

    def _evaluate(self, due: Sequence[Trainee]) -> None:
        for t, seen in zip(due, self.validator.during(self.stack, due), strict=True):
            figures = self._recorded(t, seen.scores)
            t.history.append({"step": t.step} | {f"validation_{name}": value for name, value in figures.items()})
            if t.weigh(seen.scores):
                t.best = Best(t.step, seen.scores, seen.logits, self.stack.tensors(t.slot))
            self._tell(
                Event(
                    kind="evaluated",
                    member=t.member.name,
                    step=t.step,
                    steps=t.steps,
                    figure=t.member.recipe.best_by,
                    value=seen.scores[t.member.recipe.best_by],
                    validation_loss=seen.scores["loss"],
                    figures=figures,
                    rows=len(seen.logits),
                    best=t.best_value,
                )
            )

    def _recorded(self, t: Trainee, scores: Mapping[str, float]) -> dict[str, float]:
        """What of an evaluation is recorded: the task's first figure, the loss, and the figure that decides."""
        first = self.validator.task.rankings[0]
        return {name: scores[name] for name in dict.fromkeys((first, "loss", t.member.recipe.best_by))}

    def _leave(self) -> bool:
        """Lets go of the members that are told to leave; returns whether there were any."""
        reasons = self.leaving(self.live) if self.leaving is not None else {}
        for t in [t for t in self.live if t.member.name in reasons]:
            self._drop(t, reasons[t.member.name], "left")
        return bool(reasons)

    def _drop(self, t: Trainee, why: str, kind: Literal["left", "failed"]) -> None:
        """Takes a member out of the stack that gets no run."""
        self.live.remove(t)
        self.ended(self._outcome(t, None, why))
        self.stack.drop(t.slot)
        self._tell(Event(kind=kind, member=t.member.name, step=t.step, steps=t.steps, message=why))

    def _stopped(self, t: Trainee) -> str | None:
        patience = t.member.recipe.patience
        if t.step >= t.steps:
            return "max_steps"
        return "patience" if patience is not None and t.stale >= patience else None

    def _refill(self) -> None:
        for member in self.recruit(len(self.live)) if self.recruit is not None else ():
            self.add(member)

    def _end(self, due: Sequence[Trainee], reasons: Mapping[str, str]) -> None:
        """Members that are through: kept weights back in, all validation rows, out of the stack."""
        verdicts = {**(self.judge(due) if self.judge is not None else {}), **reasons}
        over = [(t, why) for t in due if (why := self._stopped(t) or verdicts.get(t.member.name)) is not None]
        if not over:
            return
        for t, _ in over:
            assert t.best is not None
            self.stack.load(t.slot, t.best.tensors)
        self.validator.finally_(self.stack, [t for t, _ in over])
        for t, why in over:
            self.live.remove(t)
            self.ended(self._outcome(t, t.best, why))
            self.stack.drop(t.slot)
            best = t.best
            assert best is not None
            self._tell(
                Event(
                    kind="finished",
                    member=t.member.name,
                    step=t.step,
                    steps=t.steps,
                    figure=t.member.recipe.best_by,
                    value=t.best_value,
                    validation_loss=best.scores["loss"],
                    figures=self._recorded(t, best.scores),
                    rows=len(best.logits),
                    best=t.best_value,
                    message=why,
                )
            )

    def _fail(self, t: Trainee, loss: float) -> None:
        why = (
            f"the training loss became {loss} at step {t.step + 1}; "
            f"try a lower learning rate than {t.member.recipe.learning_rate:g}, more warmup, or precision fp32"
        )
        self._drop(t, why, "failed")

    def _outcome(self, t: Trainee, best: Best | None, why: str) -> Outcome:
        return Outcome(t.member, best, why, t.step, t.seconds, t.history, self.receipts[t.member.name])

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        if self.live:
            save_checkpoint(self.checkpoint, self.stack, self.live)
            self._tell(Event(kind="saved"))
        else:
            self.checkpoint.unlink(missing_ok=True)

    def _report(self, seconds_left: float) -> None:
        for t in self.live:
            latest = next(entry for entry in reversed(t.history) if "loss" in entry)
            self._tell(
                Event(
                    kind="step",
                    member=t.member.name,
                    step=t.step,
                    steps=t.steps,
                    loss=latest["loss"],
                    learning_rate=latest["learning_rate"],
                    figure=t.member.recipe.best_by,
                    best=t.best_value,
                    seconds_left=seconds_left,
                )
            )

    def _tell(self, event: Event) -> None:
        self.listen(event)
