"""What training, validation, prediction and merging need of an engine.

Tests hold every implementation to the same contract (`tests/engine/contract.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..data import Encoded
from ..layout import Plan
from .batch import Batch
from .random_streams import RandomStream
from .receipt import Receipt


class Engine(Protocol):
    """Members on one frozen encoder, each with adapters and a head of its own; all have one kind of head and as many labels.

    A member is known by its slot, a number that no other member of the engine has, had or will have. What one member is, learns
    and answers does not depend on the others, except for the last bits of floats.

    Any number of threads may call :meth:`forward`, :meth:`predict` and :meth:`embed` at once, and get what one thread would get,
    bit for bit. :meth:`add`, :meth:`drop` and :meth:`load` may be called beside them and wait until no pass is under way.
    """

    @property
    def slots(self) -> tuple[int, ...]:
        """The members, in the order they came."""
        ...

    @property
    def device(self) -> torch.device:
        """Where batches and random streams must be."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the encoder's weights and activations; adapters, heads and logits are fp32."""
        ...

    def add(self, plan: Plan) -> int:
        """Attaches a member, whose weights are yet to be initialised or loaded; returns its slot.

        Raises:
            PlanError: its head or number of labels is not that of the members there are.
        """
        ...

    def drop(self, slot: int) -> None:
        """Takes a member out. The others keep their weights, in the parameters they have."""
        ...

    def initialise(self, slot: int, *key: str | int) -> None:
        """Fresh weights, which depend on the key (a name and a seed) only; the adapters then add nothing yet."""
        ...

    def parameters(self, slot: int) -> dict[str, nn.Parameter]:
        """A member's trainable parameters by the names peft gives them; the same objects for as long as it stays."""
        ...

    def tensors(self, slot: int) -> dict[str, npt.NDArray[np.float32]]:
        """A copy of a member's weights, by the names of its parameters."""
        ...

    def load(self, slot: int, tensors: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Puts weights into a member.

        Raises:
            RunError: a weight is missing, unknown, or of another shape than the plan's; the member's weights are then unchanged.
        """
        ...

    def settle(self) -> None:
        """For use after training: :meth:`predict` may take ways that are faster and differ in the last bits of logits.

        A member that is alone is multiplied once, by W + scale * B A in place of W, A and B, for which a copy of every adapted
        weight is kept; the encoder's own, which others may share, stay as they are, and so do :meth:`forward` and :meth:`embed`.
        Attention over one text goes without buckets. In bf16, which would round most of a small product away, nothing changes.
        Lasts until a member comes, goes or gets weights by a method of the engine.
        """
        ...

    def receipt(self, slot: int) -> Receipt:
        """What is live for a member, read from what the next forward pass will multiply, without looking at its plan's sites."""
        ...

    def forward(self, batch: Batch, streams: Mapping[int, RandomStream] | None = None) -> dict[int, Tensor]:
        """Logits of each member in a batch for its own texts, for autograd.

        Args:
            batch: from :func:`striata.engine.collate`, of some or all members in the order of :attr:`slots`.
            streams: a stream of random bits for each slot in the batch, to train with dropout; None for no dropout.

        Returns:
            slot -> (its sequences, labels), fp32.
        """
        ...

    def hidden(self, batch: Batch, streams: Mapping[int, RandomStream] | None = None) -> dict[int, Tensor]:
        """Last hidden states of each member in a batch for its own texts, before any head, for autograd.

        Args:
            batch: from :func:`striata.engine.collate`, of some or all members in the order of :attr:`slots`.
            streams: a stream of random bits for each slot in the batch, to train with dropout; None for no dropout.

        Returns:
            slot -> (its tokens, hidden size), in :attr:`dtype`.
        """
        ...

    def predict(
        self, encoded: Encoded, *, slots: Sequence[int] | None = None, max_tokens: int = 16384
    ) -> npt.NDArray[np.float32]:
        """Logits of several members for the same texts, without dropout and gradients.

        Args:
            encoded: the texts.
            slots: which members, in any order; all by default.
            max_tokens: most tokens in one forward pass, counted over all members; one text always goes.

        Returns:
            (members, texts, labels), in the order of `slots` and of the texts.
        """
        ...

    def look_up(self, ids: Tensor) -> Tensor:
        """Embeddings of tokens before any layer, (tokens,) -> (tokens, size) fp32, as :attr:`striata.engine.Batch.embeddings` has
        them."""
        ...

    @property
    def padding(self) -> int:
        """Id of the token that stands for nothing."""
        ...

    def embed(self, encoded: Encoded, *, max_tokens: int = 16384) -> npt.NDArray[np.float32]:
        """The mean of the frozen encoder's last hidden states over each text's tokens; members do not matter.

        Args:
            encoded: the texts.
            max_tokens: most tokens in one forward pass.

        Returns:
            (texts, hidden size), in the order of the texts.
        """
        ...
