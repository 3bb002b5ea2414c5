"""Members adapted to texts without labels, together, before they learn labels: task-adaptive pretraining of their adapters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ..data import Encoded
from ..engine import Engine, RandomStream, check_receipt, collate, on_host, seed_of
from ..runs import Member
from ..settings import Recipe
from .events import Event, Listener, nobody, note
from .interruption import deferring
from .loop import Outcome
from .objectives import Objective
from .order import rows_at
from .state import Trainee, begin, read_checkpoint, ready, restore, save_checkpoint

_SAVE_EVERY = 25  # steps
_SOLVED = 0.01  # loss of a first step below which there is nothing to learn


class Pretraining:
    """Adapts the members of one stack, and leaves the checkpoint that their training begins with.

    The checkpoint is the one of their training: one with members that are adapting is gone on from, one without says that all
    are through. Members without `adapt` wait in it as they are. Heads are left alone. What members draw here follows from plan
    and seed, not from their names: of those that share both, such as the candidates of a race, one adapts for all.

    Args:
        stack: made of the members' plans, in order.
        members: the same members.
        texts: that are learned from.
        objective: what is learned.
        recipe: optimizer, steps and batch of the adaptation, for all of them.
        rows: training rows of what comes after.
        checkpoint: file to go on from, and to leave.
        ended: called for each member whose loss is no number, before it leaves the stack.
        listen: told of every step.
    """

    def __init__(
        self,
        stack: Engine,
        members: Sequence[Member],
        *,
        texts: Encoded,
        objective: Objective,
        recipe: Recipe,
        rows: int,
        checkpoint: Path,
        ended: Callable[[Outcome], None],
        listen: Listener = nobody,
    ) -> None:
        self._stack, self._texts, self._objective, self._rows = stack, texts, objective, rows
        self._checkpoint, self._ended, self._listen = checkpoint, ended, listen
        self._members = {member.name: member for member in members}
        learners = [replace(member, recipe=recipe) if member.adapt is not None else member for member in members]
        if checkpoint.exists():
            self._live = restore(stack, learners, rows, read_checkpoint(checkpoint))
        else:
            self._live = begin(stack, learners, rows)
            for t in self._live:
                t.adapting = t.member.adapt is not None
                if t.adapting:
                    stack.initialise(t.slot, *_key(t))
        for t in self._live:
            check_receipt(t.member.plan, stack.receipt(t.slot), t.member.name)
        self._streams = {t.slot: RandomStream(stack.device) for t in self._live}
        first: dict[tuple[str, int], Trainee] = {}
        self._leader = {t.slot: first.setdefault(_key(t), t) for t in self._live if t.adapting}

    def run(self) -> list[Member]:
        """Adapts the members to the end.

        Returns:
            Those that are to be trained, in the order of the checkpoint.

        Raises:
            KeyboardInterrupt: after Ctrl-C (or SIGTERM), with the step under way finished and saved.
        """
        began, done = time.monotonic(), 0
        with deferring() as interruption:
            while due := [t for t in self._live if t.adapting and t is self._leader[t.slot] and t.step < t.steps]:
                started = time.monotonic()
                self._step(due)
                done += 1
                for t in due:
                    t.seconds += (time.monotonic() - started) / len(due)
                self._report((time.monotonic() - began) / done)
                if interruption.came or done % _SAVE_EVERY == 0:
                    save_checkpoint(self._checkpoint, self._stack, self._live)
                    self._listen(Event(kind="saved"))
                if interruption.came:
                    raise KeyboardInterrupt
        return self._hand_over()

    def _step(self, due: Sequence[Trainee]) -> None:
        """One step of every member; those of one seed read the same texts and are asked the same."""
        posed = {}
        for t in due:
            rows = rows_at(t.step, rows=len(self._texts), batch_size=t.member.recipe.batch_size, seed=t.member.seed)
            posed[t.slot] = self._objective.pose(self._texts.take(rows), seed_of(t.member.seed, "adaptation", t.step))
            self._streams[t.slot].restart(seed_of(*_key(t), "adaptation", t.step))
        batch = collate([(slot, one.texts) for slot, one in posed.items()], self._stack.device)
        hidden = self._stack.hidden(batch, {slot: self._streams[slot] for slot in posed})
        losses = torch.stack([self._objective.loss(hidden[slot], one) for slot, one in posed.items()])
        read = on_host(losses)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        for t in due:
            t.update()
        for t, loss in zip(due, read(), strict=True):
            if math.isfinite(loss):
                t.step += 1
                t.history.append({"step": t.step, "adaptation_loss": loss})
            else:
                self._fail(t, loss)

    def _fail(self, t: Trainee, loss: float) -> None:
        why = (
            f"the loss of its adaptation became {loss} at step {t.step + 1}; try a lower learning rate than "
            f"{t.member.recipe.learning_rate:g} (adapt.learning_rate), or precision fp32"
        )
        for one in self._led_by(t):
            self._live.remove(one)
            self._ended(Outcome(self._members[one.member.name], None, why, t.step, t.seconds, t.history, {}))
            self._stack.drop(one.slot)
            self._listen(Event(kind="failed", member=one.member.name, step=t.step, steps=t.steps, message=why))

    def _led_by(self, leader: Trainee) -> list[Trainee]:
        """Those that one adapts for, itself among them."""
        return [t for t in self._live if t.adapting and self._leader[t.slot] is leader]

    def _report(self, seconds: float) -> None:
        for t in (t for t in self._live if t.adapting):
            leader = self._leader[t.slot]
            self._listen(
                Event(
                    kind="adapting",
                    member=t.member.name,
                    step=leader.step,
                    steps=leader.steps,
                    loss=leader.history[-1]["adaptation_loss"],
                    learning_rate=float(leader.optimizer.param_groups[0]["lr"]),
                    seconds_left=seconds * (leader.steps - leader.step),
                )
            )

    def _hand_over(self) -> list[Member]:
        """The checkpoint in which every member stands before its first step of training."""
        first = [t.history[0]["adaptation_loss"] for t in self._live if t.adapting and t is self._leader[t.slot]]
        if first and max(first) < _SOLVED:
            note(
                self._listen,
                f"the loss of the adaptation was {max(first):.2g} at its first step: the encoder could do it before, and learned "
                "next to nothing; leave `adapt` out, or compare with `controls: [no-adapt]`",
            )
        for t in self._live:
            for parameter in self._stack.parameters(t.slot).values():  # shared launches leave zeros to those that waited
                parameter.grad = None
        for t in [t for t in self._live if t.adapting]:
            leader = self._leader[t.slot]
            if t is not leader:
                self._stack.load(t.slot, self._stack.tensors(leader.slot))
        waiting = [self._trainee(t) for t in self._live]
        if waiting:
            save_checkpoint(self._checkpoint, self._stack, waiting)
        else:
            self._checkpoint.unlink(missing_ok=True)
        return [t.member for t in waiting]

    def _trainee(self, t: Trainee) -> Trainee:
        if not t.adapting:
            return t
        fresh = ready(self._stack, self._members[t.member.name], t.slot, self._rows)
        leader = self._leader[t.slot]
        fresh.seconds, fresh.history = leader.seconds / len(self._led_by(leader)), list(leader.history)
        return fresh


def _key(t: Trainee) -> tuple[str, int]:
    """What everything is drawn from that a member's adaptation draws."""
    return t.member.plan.hash, t.member.seed
