"""Members dealt into stacks by the cores, GPUs and memory of machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ClusterError
from ..layout import Shape, shape_of

if TYPE_CHECKING:
    from ..runs import Member
    from ..study import Prepared
    from .cluster import Machine

_PROCESS = 900 * 2**20  # bytes of Python, torch and transformers
_PER_TOKEN = 17  # numbers kept of a token in a layer, by hidden size (Korthikanti et al. 2022, arXiv:2205.05198)
_SLACK = 1.5  # for what is copied meanwhile: of nine members on RoBERTa 4.6 GB were measured, where this says 4.9
_STATES = 5 * 4  # bytes of a trainable parameter: weight, gradient, two moments, the best so far
_GUESSING, _GUESSING_ONCE = 8, 12  # bytes of a logit of the masked-language head, for each member and for one of them on top:
# of 2,000 guessed tokens of RoBERTa's 50,265, measured with one and with four members


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a stack needs: so many, and so many more for each member."""

    stack: int
    member: int

    def of(self, members: int) -> int:
        """With so many members."""
        return self.stack + members * self.member


@dataclass(frozen=True, slots=True)
class Places:
    """Where a task can work: a GPU each, where there are any; else so many cores of a machine.

    Args:
        machines: that have one.
        count: how many there are.
        cores: of each, which are its threads too.
        gpus: of each: 1 or none.
        room: bytes of the smallest, of the GPU or of the machine.
    """

    machines: tuple[Machine, ...]
    count: int
    cores: int
    gpus: int
    room: int


def places_of(machines: Sequence[Machine], *, cores: int | None = None, gpu: bool = True) -> Places:
    """The places of a cluster.

    Args:
        machines: of the cluster.
        cores: of each place; None for all of a machine (of the one with the fewest), or a GPU's share of them.
        gpu: whether GPUs may be used.

    Raises:
        ClusterError: no machine has so many cores.
    """
    on_gpu = tuple(machine for machine in machines if machine.gpus and gpu)
    if on_gpu:
        share = cores or max(1, min(machine.cores // machine.gpus for machine in on_gpu))
        room = min(machine.gpu_memory or 2**62 for machine in on_gpu)
        return Places(on_gpu, sum(machine.gpus for machine in on_gpu), share, 1, room)
    share = cores or min(machine.cores for machine in machines if machine.cores)
    fitting = tuple(machine for machine in machines if machine.cores >= share)
    if not fitting:
        most = max(machine.cores for machine in machines)
        raise ClusterError(f"cores: no machine of the cluster has {share} cores for a task; the largest has {most}")
    room = min(machine.memory // (machine.cores // share) for machine in fitting)
    return Places(fitting, sum(machine.cores // share for machine in fitting), share, 0, room)


def device_of(device: str, gpus: int) -> str:
    """What a task computes on: one that has no GPU of its own takes none that its machine may have.

    Args:
        device: "cpu", "cuda" or "auto".
        gpus: of the task.
    """
    return "cpu" if device == "auto" and not gpus else device


@dataclass(frozen=True, slots=True)
class Deal:
    """Into how many stacks members are dealt, and what each of them gets.

    Args:
        stacks: how many.
        at_once: how many of them train at one time.
        cores: of a stack, which are its threads too.
        gpus: of a stack: 1 or none.
        memory: of a stack, in bytes of the machine.
    """

    stacks: int
    at_once: int
    cores: int
    gpus: int
    memory: int

    @property
    def sentence(self) -> str:
        """In words."""
        share = "a GPU" if self.gpus else f"{self.cores} core{'s' if self.cores > 1 else ''}"
        return f"{self.stacks} stack{'s' if self.stacks > 1 else ''}, {self.at_once} at a time, each with {share}"


def memory_of(members: Sequence[Member], prepared: Prepared) -> Memory:
    """Bytes that members need in a stack, estimated from the encoder's shape, the batch and the lengths of the texts; where they
    are adapted first, what that needs if it is more.

    Args:
        members: of a study; the one that needs most counts.
        prepared: its data.
    """
    study = prepared.study
    lengths = prepared.encoded["train"].lengths
    tokens = max(member.recipe.batch_size for member in members) * float(np.percentile(lengths, 90))
    trainable, adaptation, guessed = max(member.plan.trainable for member in members), prepared.adaptation, 0.0
    if adaptation is not None:
        read = adaptation.recipe.batch_size * adaptation.readings * float(np.percentile(adaptation.texts.lengths, 90))
        tokens, guessed = max(tokens, read), adaptation.guessed * read
    number = 2 if study.recipe.precision == "bf16" else 4
    return estimate(shape_of(study.base), tokens=tokens, trainable=trainable, number=number, guessed=guessed)


def estimate(shape: Shape, *, tokens: float, trainable: int, number: int, guessed: float = 0.0) -> Memory:
    """The same from figures.

    Args:
        shape: of the encoder.
        tokens: in a member's batch.
        trainable: parameters of a member.
        number: bytes of a number in the encoder.
        guessed: of the tokens, those that a masked-language head guesses; its checkpoint is then read beside the encoder.
    """
    layers = int(shape.config.get("num_hidden_layers") or shape.depth)
    products = layers * sum(into * out for into, out in map(shape.sizes, shape.family.targets))
    vocabulary = int(shape.config.get("vocab_size", 0))
    weights = number * (products + vocabulary * shape.hidden) * (2 if guessed else 1)
    activations, logits = _SLACK * _PER_TOKEN * tokens * layers * shape.hidden * number, guessed * vocabulary
    member = activations + _STATES * trainable + _GUESSING * logits
    return Memory(stack=round(_PROCESS + weights + _GUESSING_ONCE * logits), member=round(member))


def deal(
    members: int,
    memory: Memory,
    machines: Sequence[Machine],
    *,
    stacks: int | None = None,
    together: int | None = None,
    cores: int | None = None,
    gpu: bool = True,
) -> Deal:
    """Deals members into as many stacks as there are places for, or more where a place has not the memory for its share.

    Args:
        members: how many.
        memory: what they need.
        machines: of the cluster.
        stacks: into how many, where that is not to be decided.
        together: how many train in a stack at one time, where others follow them, as in a search; None for all of it.
        cores: of each stack; see :func:`places_of`.
        gpu: whether GPUs may be used.

    Raises:
        ClusterError: there is no such place, or its memory is too small.
    """
    places = places_of(machines, cores=cores, gpu=gpu)
    room = places.room
    most = (room - memory.stack) // memory.member
    if together is None:
        count = stacks or min(members, max(places.count, -(-members // max(1, most))))
        largest = -(-members // count)
    else:
        count, largest = stacks or min(places.count, -(-members // together)), together
    if largest > most:
        raise ClusterError(
            f"a stack of {largest} member{'s' if largest > 1 else ''} needs about {memory.of(largest) / 2**30:.1f} GiB, and a "
            f"place in the cluster has {room / 2**30:.1f} GiB; {_advice(most, members, together)}"
        )
    host = _PROCESS + memory.stack if places.gpus else memory.of(largest)
    return Deal(stacks=count, at_once=min(count, places.count), cores=places.cores, gpus=places.gpus, memory=host)


def _advice(most: int, members: int, together: int | None) -> str:
    if most >= 1 and together is not None:
        return f"let `search.generation` be at most {most}"
    if most >= 1:
        return f"ask for at least {-(-members // most)} stacks"
    return "give a stack more cores, which are a larger share of a machine's memory, or make the batch or the texts shorter"
