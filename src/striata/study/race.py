"""Candidates of a study race: the weaker half leaves at each of a few steps, by the loss on rows before they are learned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..settings.file import RaceSettings

if TYPE_CHECKING:
    from ..training.state import Trainee


class Race:
    """Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943) of the members of a stack.

    What decides is the progressive loss: the training loss of a member's latest batches, each measured before the member learned
    it (Dawid 1984, prequential). It costs nothing, and while no row comes twice it is a loss on new rows. Members of one seed see
    the same rows in the same order, so that they are compared on equal terms. An adapted member and the same without adaptation
    are one candidate, judged by the better of both, so that both or none are there to be compared in the end.

    Args:
        settings: how many are left at the end, and when that is.
        members: names of all that race.
        twins: of these, those without adaptation, with the adapted member that each belongs to.
    """

    def __init__(self, settings: RaceSettings, members: Sequence[str], twins: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._candidates = {name: (twins or {}).get(name, name) for name in members}
        self._rounds = max(0, math.ceil(math.log2(self.size / settings.survivors)))

    @property
    def size(self) -> int:
        """Number of candidates."""
        return len(set(self._candidates.values()))

    def rungs(self, steps: int) -> list[int]:
        """Steps after which the weaker half leaves.

        Args:
            steps: of a member's whole training.
        """
        ends = [math.ceil(self._settings.until * steps * 2.0 ** (at + 1 - self._rounds)) for at in range(self._rounds)]
        return list(dict.fromkeys(ends))

    def is_over(self, step: int, steps: int) -> bool:
        """Whether nobody leaves after a step any more, of so many of a member's whole training."""
        return all(rung <= step for rung in self.rungs(steps))

    def total(self, steps: int) -> int:
        """Steps of all candidates together.

        Args:
            steps: of a member's whole training.
        """
        racing, before, total = self.size, 0, 0
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
        best: dict[str, float] = {}
        for name, loss in losses.items():
            candidate = self._candidates[name]
            best[candidate] = min(loss, best.get(candidate, loss))
        ranked = sorted(best, key=lambda candidate: (best[candidate], candidate))
        out = ranked[self._staying(len(ranked)) :]
        return {
            name: f"left the race at step {step}: mean loss {loss:.4f} on its latest rows, the best one's {best[ranked[0]]:.4f}"
            for name, loss in losses.items()
            if self._candidates[name] in out
        }


def _progressive(trainee: Trainee, after: int) -> float:
    """Mean training loss of the steps after `after`."""
    return float(np.mean([entry["loss"] for entry in trainee.history if "loss" in entry and entry["step"] > after]))
