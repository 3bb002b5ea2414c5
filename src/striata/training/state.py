"""A member under training, and the one file from which the whole stack goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..disk.documents import parse_json, reason_of, strictly
from ..disk.files import write_bytes
from ..disk.upgrades import current_version, upgrade
from ..engine import Engine
from ..errors import RunError
from ..runs import Member
from .optimizers import load_optimizer, make_optimizer, make_schedule, optimizer_tensors

_KIND = "checkpoint"


class BestState(BaseModel):
    """What a checkpoint says of a member's kept weights; losses may be infinite."""

    model_config = ConfigDict(extra="forbid")
    step: int
    scores: dict[str, float]


class TraineeState(BaseModel):
    """What a checkpoint says of a member beside its tensors; see :class:`Trainee`. `plan` is the plan's hash; `adapting` stands
    there where it is true."""

    model_config = ConfigDict(extra="forbid")
    name: str
    plan: str
    step: int
    reference: float | None
    stale: int
    seconds: float
    history: list[dict[str, int | float]]  # a number keeps its kind, which the run's history shows
    best: BestState | None
    adapting: bool = False


class _States(BaseModel):
    members: list[TraineeState]


@dataclass(slots=True)
class Best:
    """The kept checkpoint.

    Args:
        step: when it was taken.
        scores: figures by name on the validation rows used during training.
        logits: for these rows, (rows, labels) float32.
        tensors: the member's weights.
    """

    step: int
    scores: Mapping[str, float]
    logits: np.ndarray
    tensors: dict[str, np.ndarray]


@dataclass(slots=True)
class Trainee:
    """A member in the stack with its own optimizer, schedule and record.

    Args:
        member: what is trained.
        slot: its place in the stack.
        optimizer: of its parameters alone.
        schedule: of its learning rate.
        steps: most optimizer steps.
        step: optimizer steps taken.
        reference: merit of the last evaluation that counted as a gain; None before the first.
        stale: evaluations since then.
        seconds: its share of the time spent.
        best: its kept checkpoint.
        history: one entry per step and per evaluation.
        adapting: whether its optimizer and its step are of the adaptation to texts without labels, before it learns labels.
    """

    member: Member
    slot: int
    optimizer: Optimizer
    schedule: LambdaLR
    steps: int
    step: int = 0
    reference: float | None = None
    stale: int = 0
    seconds: float = 0.0
    best: Best | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    adapting: bool = False

    @property
    def key(self) -> tuple[str | int, ...]:
        """What the member's random streams, of dropout, start from."""
        return (self.member.name, self.member.seed)

    @property
    def best_value(self) -> float | None:
        """Of the figure that decides, with the kept checkpoint; None without."""
        return None if self.best is None else self.best.scores[self.member.recipe.best_by]

    def update(self) -> float:
        """Steps optimizer and schedule by the gradients there are, which go; returns the learning rate of the step."""
        if self.member.recipe.clip is not None:
            clip_grad_norm_([p for group in self.optimizer.param_groups for p in group["params"]], self.member.recipe.clip)
        rate = float(self.optimizer.param_groups[0]["lr"])
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        return rate

    def weigh(self, scores: Mapping[str, float]) -> bool:
        """Counts an evaluation as a gain or as one more without, by the figure that the recipe names; returns whether it is the
        best so far, which is another question.

        A gain is more than `min_delta` over the last value that was one, not over the best so far: gains that are small one by
        one then add up, and a member that rises slowly but steadily is not stopped.
        """
        recipe, merit = self.member.recipe, self.member.recipe.merit(scores)
        if self.reference is None or merit - self.reference > recipe.min_delta:
            self.reference, self.stale = merit, 0
        else:
            self.stale += 1
        if self.best is None:
            return True
        return (merit, -scores["loss"]) > (recipe.merit(self.best.scores), -self.best.scores["loss"])


def begin(stack: Engine, members: Sequence[Member], rows: int) -> list[Trainee]:
    """Every member with fresh weights, slot by slot.

    Args:
        stack: made of the members' plans, in this order.
        members: to be trained.
        rows: training rows.
    """
    return [enter(stack, member, slot, rows) for slot, member in zip(stack.slots, members, strict=True)]


def enter(stack: Engine, member: Member, slot: int, rows: int) -> Trainee:
    """One member with fresh weights in its slot.

    Args:
        stack: has the member's plan in this slot.
        member: to be trained.
        slot: its place.
        rows: training rows.
    """
    stack.initialise(slot, member.name, member.seed)
    return ready(stack, member, slot, rows)


def ready(stack: Engine, member: Member, slot: int, rows: int) -> Trainee:
    """One member before its first step, with the weights it has; arguments as :func:`enter`."""
    optimizer = make_optimizer(member.recipe, stack.parameters(slot))
    schedule = make_schedule(member.recipe, optimizer, rows=rows)
    return Trainee(member, slot, optimizer, schedule, member.recipe.steps(rows))


def save_checkpoint(path: Path, stack: Engine, trainees: Sequence[Trainee]) -> None:
    """Writes everything the members under training are into one file, in one step."""
    tensors: dict[str, np.ndarray] = {}
    states: list[dict[str, Any]] = []
    for at, t in enumerate(trainees):
        groups = {"weights": stack.tensors(t.slot), "optimizer": optimizer_tensors(t.optimizer)}
        state: dict[str, Any] = {"name": t.member.name, "plan": t.member.plan.hash, "step": t.step}
        state |= {"reference": t.reference, "stale": t.stale, "seconds": t.seconds, "history": t.history, "best": None}
        if t.best is not None:
            groups |= {"best": t.best.tensors, "logits": {"": t.best.logits}}
            state["best"] = {"step": t.best.step, "scores": dict(t.best.scores)}
        for group, named in groups.items():
            tensors |= {f"{at}/{group}/{name}": np.ascontiguousarray(array) for name, array in named.items()}
        states.append(state | ({"adapting": True} if t.adapting else {}))
    members = json.dumps({"members": states})
    metadata = {"format_version": str(current_version(_KIND)), "state": members, "checksum": _checksum(members, tensors)}
    write_bytes(path, save(tensors, metadata))


def read_checkpoint(path: Path) -> tuple[list[TraineeState], dict[str, np.ndarray]]:
    """The states and the tensors of a checkpoint, every byte of them checked.

    Raises:
        RunError: the file is damaged or of an unknown format.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = metadata["state"]
        if metadata["checksum"] != _checksum(state, tensors):
            raise ValueError("its checksum is not that of its content")
        version = metadata["format_version"]
        content = upgrade(_KIND, int(version) if version.isdecimal() else version, parse_json(state.encode(), finite=False))
        return strictly(_States)(content).members, tensors
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise RunError(
            f"checkpoint {path} cannot be read ({reason_of(error)}); delete it to train its unfinished members from the start"
        ) from error


def _checksum(state: str, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def restore(
    stack: Engine, members: Sequence[Member], rows: int, checkpoint: tuple[list[TraineeState], dict[str, np.ndarray]]
) -> list[Trainee]:
    """Members as they were when the checkpoint was written.

    Args:
        stack: made of these members' plans, in this order.
        members: those the checkpoint names, in its order.
        rows: training rows.
        checkpoint: from :func:`read_checkpoint`.
    """
    states, tensors = checkpoint
    trainees = []
    for at, (slot, member, state) in enumerate(zip(stack.slots, members, states, strict=True)):
        named: dict[str, dict[str, np.ndarray]] = {"weights": {}, "optimizer": {}, "best": {}, "logits": {}}
        for full, array in tensors.items():
            place, group, name = full.split("/", 2)
            if int(place) == at:
                named[group][name] = array
        stack.load(slot, named["weights"])
        optimizer = make_optimizer(member.recipe, stack.parameters(slot))
        load_optimizer(optimizer, named["optimizer"])
        schedule = make_schedule(member.recipe, optimizer, rows=rows, step=state.step)
        trainee = Trainee(member, slot, optimizer, schedule, member.recipe.steps(rows))
        trainee.step, trainee.seconds = state.step, state.seconds
        trainee.reference, trainee.stale = state.reference, state.stale
        trainee.history, trainee.adapting = state.history, state.adapting
        if state.best is not None:
            trainee.best = Best(**state.best.model_dump(), logits=named["logits"][""], tensors=named["best"])
        trainees.append(trainee)
    return trainees
