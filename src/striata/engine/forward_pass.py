"""One forward pass: what the layers of an encoder must know of it, built once and never changed.

Layers read the pass that runs in their own thread from a context variable, so that passes in other threads do not meet. Where a
pass goes on with other rows from some layer on, what the layers after it must know is built beforehand, too, and put in place by
that layer. A backward pass may run in another thread: what it needs is saved by the autograd functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor

from .batch import Segment
from .fused import Sequences
from .groups import Groups
from .packing import Packing
from .random_streams import BitPool, RandomStream


@dataclass(frozen=True, slots=True, eq=False)
class FirstTokens:
    """From the last layer's attention on, a sequence's first token stands for it: the token axis becomes the sequence axis.

    Args:
        index: of each sequence's first token, (sequences,) int64.
        rest: what the layers after it read.
    """

    index: Tensor
    rest: ForwardPass


@dataclass(frozen=True, slots=True, eq=False)
class Widening:
    """Layers before these ran once for all members; from here on each member has the tokens for itself.

    Args:
        layers: paths of the layers that differ between members.
        tokens: tokens that the members share.
        members: how many members there are.
        rest: what these layers read; None when the first of them has run.
    """

    layers: frozenset[str]
    tokens: int
    members: int
    rest: ForwardPass | None


@dataclass(frozen=True, slots=True, eq=False)
class ForwardPass:
    """What the layers of an encoder must know of one forward pass.

    Args:
        segments: the members' parts of the rows that layers see, in order, without gaps.
        streams: one stream of random bits per slot in training; empty in evaluation, when nothing is dropped.
        packing: how attention groups the sequences; None where the encoder is run padded, where there is one sequence only, and
            where kernels take the sequences as they are.
        sequences: as the kernels of attention take them; None where it has none.
        groups: the members' rows as grouped products take them; None where members are multiplied one by one.
        pool: the members' random bits where they are drawn for several places at once; its own, and for one pass.
        first_tokens: where the pass goes on with the sequences' first tokens only; None where all tokens are wanted.
        widening: where the pass goes on, or went on, with a copy of the tokens for each member; None where it does not.
        merged: weights that hold the only member's products, by the path of the layer that they stand in for; see
            :meth:`striata.engine.Engine.settle`.
    """

    segments: tuple[Segment, ...]
    streams: Mapping[int, RandomStream]
    packing: Packing | None = None
    sequences: Sequences | None = None
    groups: Groups | None = None
    pool: BitPool | None = None
    first_tokens: FirstTokens | None = None
    widening: Widening | None = None
    merged: Mapping[str, Tensor] = field(default_factory=dict)

    def parts(self) -> list[tuple[int, int, int]]:
        """(slot, first row, last row + 1) of each member."""
        return [(segment.slot, segment.tokens.start, segment.tokens.stop) for segment in self.segments]


_CURRENT: ContextVar[ForwardPass] = ContextVar("striata_forward_pass")


def current_pass() -> ForwardPass:
    """The pass that runs in this thread.

    Raises:
        LookupError: none does; the encoder's layers run inside striata's own forward only.
    """
    return _CURRENT.get()


@contextmanager
def running(forward_pass: ForwardPass) -> Iterator[None]:
    """Makes a pass this thread's, until the block ends; then the pass before is again."""
    token = _CURRENT.set(forward_pass)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def go_on_with(rest: ForwardPass) -> None:
    """Makes the rest of the running pass this thread's, until the block of :func:`running` that it began in ends."""
    _CURRENT.set(rest)
