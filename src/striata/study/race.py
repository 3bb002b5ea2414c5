"""Candidates of a study race: the weaker half leaves at each of a few steps, by the loss on rows before they are learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..settings.file import RaceSettings

if TYPE_CHECKING:
    from ..training.state import Trainee


class Race:
    """Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943) of the members of a stack.

    What decides is the progressive loss: the training loss of a member's latest batches, each measured before the member learned
    it (Dawid 1984, prequential). It costs nothing, and while no row comes twice it is a loss on new rows. Members of one seed see
    the same rows in the same order, so that they are compared on equal terms.

    Args:
        settings: how many are left at the end, and when that is.
        candidates: names of all that race.
    """

    def __init__(self, settings: RaceSettings, candidates: Sequence[str]) -> None:
        self._settings, self._candidates = settings, frozenset(candidates)
        self._rounds = max(0, math.ceil(math.log2(len(candidates) / settings.survivors)))

    def rungs(self, steps: int) -> list[int]:
        """Steps after which the weaker half leaves.

        Args:
            steps: of a member's whole training.
        """
        ends = [math.ceil(self._settings.until * steps * 2.0 ** (at + 1 - self._rounds)) for at in range(self._rounds)]
        return list(dict.fromkeys(ends))

    def total(self, steps: int) -> int:
        """Steps of all candidates together.

        Args:
            steps: of a member's whole training.
        """
        racing, before, total = len(self._candidates), 0, 0
        for rung in self.rungs(steps):
            total += racing * (rung - before)
            racing, before = self._staying(racing), rung
        return total + racing * (steps - before)

    def _staying(self, racing: int) -> int:
        return min(racing, max(self._settings.survivors, math.ceil(racing / 2)))

    def leaving(self, trainees: Sequence[Trainee]) -> dict[str, str]:
        """Who leaves now, with the reason in words.

        Args:
            trainees: all members of the stack, after a step that all of them have taken.
        """
        racing = [trainee for trainee in trainees if trainee.member.name in self._candidates]
        steps = {(trainee.step, trainee.steps) for trainee in racing}
        if len(steps) != 1:
            return {}
        step, most = next(iter(steps))
        rungs = self.rungs(most)
        if step not in rungs:
            return {}
        before = ([0, *rungs])[rungs.index(step)]
        losses = {trainee.member.name: _progressive(trainee, max(before, step // 2)) for trainee in racing}
        ranked = sorted(losses, key=lambda name: (losses[name], name))
        return {
            name: f"left the race at step {step}: mean loss {losses[name]:.4f} on its latest rows, the best one's "
            f"{losses[ranked[0]]:.4f}"
            for name in ranked[self._staying(len(ranked)) :]
        }


def _progressive(trainee: Trainee, after: int) -> float:
    """Mean training loss of the steps after `after`."""
    return float(np.mean([entry["loss"] for entry in trainee.history if "loss" in entry and entry["step"] > after]))
