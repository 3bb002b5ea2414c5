"""Members that share one frozen encoder and one stream of tokens, each with its own adapters and head."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Encoded
from ..errors import RunError
from ..layout import Plan
from .adapter import Adapter
from .batch import Batch, Shared, collate, on_device
from .encoder import Encoder
from .head import MemberHead, mean_pool
from .random_streams import RandomStream, seed_of
from .shared_lock import SharedLock
from .stacked_linear import StackedLinear

PREFIX = "base_model.model."


class Stack:
    """The members attached to an encoder; each is known by its slot, its place in `plans`.

    Any number of threads may call :meth:`forward` and :meth:`predict`, and :meth:`add`, :meth:`drop` and :meth:`load` beside
    them, which wait until no pass is under way. A member under training answers with the weights of the moment.

    Args:
        encoder: carries this stack and no other.
        plans: one per member, all with the same kind of head and the same labels.
    """

    def __init__(self, encoder: Encoder, plans: Sequence[Plan]) -> None:
        self.encoder = encoder
        self.plans: dict[int, Plan] = {}
        self.heads: dict[int, MemberHead] = {}
        self._sites: dict[str, StackedLinear] = {}
        self._slots = itertools.count()
        self._lock = SharedLock()
        for plan in plans:
            self.add(plan)

    def add(self, plan: Plan) -> int:
        """Attaches one more member, which still needs weights; the others go on beside it.

        Args:
            plan: of the same kind of head and labels as the others'.

        Returns:
            Its slot, which no member of this stack has had before.
        """
        with self._lock.changing(), self.encoder.device:
            slot = next(self._slots)
            self.plans[slot] = plan
            for site in plan.sites:
                self._stacked(site.module).adapters[str(slot)] = Adapter(
                    site.in_features, site.out_features, rank=site.rank, scale=site.scale, dropout=site.dropout
                )
            self.heads[slot] = MemberHead(plan.head)
            self._regroup()
        return slot

    def _regroup(self) -> None:
        for linear in self._sites.values():
            linear.regroup(self.slots, banked=self.encoder.banked)

    @property
    def slots(self) -> tuple[int, ...]:
        """The members that are still in the stack."""
        return tuple(self.plans)

    def _stacked(self, module: str) -> StackedLinear:
        """The stacked layer at a site; puts one in place of the encoder's own layer the first time."""
        if module not in self._sites:
            path = self.path_in_encoder(module)
            parent_path, _, name = path.rpartition(".")
            parent = self.encoder.model.get_submodule(parent_path)
            layer = getattr(parent, name)
            if not isinstance(layer, StackedLinear):  # else of an earlier stack, whose members have all left
                assert isinstance(layer, nn.Linear), f"{module} is no linear layer"
                layer = StackedLinear(layer, path)
                setattr(parent, name, layer)
            assert not layer.adapters, f"{module} still carries another stack"
            self._sites[module] = layer
        return self._sites[module]

    def path_in_encoder(self, module: str) -> str:
        """A plan's module path without the classification model's prefix."""
        if any(plan.head.kind == "native" for plan in self.plans.values()):
            return module.removeprefix(self.encoder.shape.prefix + ".")
        return module

    def sites(self, slot: int) -> dict[str, Adapter]:
        """A member's adapters by module path, in the plan's order, read from the live layers."""
        adapters = {module: linear.adapter(slot) for module, linear in self._sites.items()}
        order = {site.module: at for at, site in enumerate(self.plans[slot].sites)}
        present = [(module, adapter) for module, adapter in adapters.items() if adapter is not None]
        return dict(sorted(present, key=lambda item: order.get(item[0], len(order))))

    def parameters(self, slot: int) -> dict[str, nn.Parameter]:
        """A member's trainable parameters by the names peft gives them."""
        named: dict[str, nn.Parameter] = {}
        for module, adapter in self.sites(slot).items():
            named[f"{PREFIX}{module}.lora_A.weight"] = adapter.a
            named[f"{PREFIX}{module}.lora_B.weight"] = adapter.b
        for name, parameter in self.heads[slot].named().items():
            named[PREFIX + name] = parameter
        return named

    def initialise(self, slot: int, *key: str | int) -> None:
        """Fresh weights for a member from its own key (its name and seed); its logits are then the base's."""
        for module, adapter in self.sites(slot).items():
            adapter.initialise(torch.Generator().manual_seed(seed_of(*key, "init", module)))
        generator = torch.Generator().manual_seed(seed_of(*key, "init", "head"))
        self.heads[slot].initialise(generator, self.encoder.initializer_range)

    def tensors(self, slot: int) -> dict[str, np.ndarray]:
        """A copy of a member's weights, fp32, by peft's names."""
        return {name: p.detach().cpu().numpy().copy() for name, p in self.parameters(slot).items()}

    def load(self, slot: int, tensors: Mapping[str, np.ndarray]) -> None:
        """Puts weights into a member.

        Raises:
            RunError: a weight is missing, unknown, or of another shape than the plan's.
        """
        live = self.parameters(slot)
        for name in sorted(set(live) ^ set(tensors)):
            where = "lacks" if name in live else "has, unlike its plan,"
            raise RunError(f"a member's weights: the file {where} '{name}'; the run's folder is not what its plan says")
        for name, parameter in live.items():
            if tuple(parameter.shape) != tensors[name].shape:
                raise RunError(f"weight '{name}' has shape {tensors[name].shape}, the plan says {tuple(parameter.shape)}")
        with self._lock.changing(), torch.no_grad():
            for name, parameter in live.items():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(tensors[name])))

    def drop(self, slot: int) -> None:
        """Takes a member out; the others go on without it."""
        with self._lock.changing():
            for linear in self._sites.values():
                if linear.adapter(slot) is not None:
                    del linear.adapters[str(slot)]
            del self.heads[slot], self.plans[slot]
            self._regroup()

    def forward(
        self, batch: Batch, streams: Mapping[int, RandomStream] | None = None, shared: Shared | None = None
    ) -> dict[int, Tensor]:
        """Logits of each member for its own texts.

        Args:
            batch: as made by :func:`striata.engine.collate`.
            streams: one per slot to train with dropout; None to evaluate.
            shared: layers to run once for all members; to evaluate only.

        Returns:
            slot -> (its sequences, labels), fp32.
        """
        with self._lock.reading():
            encoder, slots = self.encoder, self.slots
            pooling = self.plans[slots[0]].head.pooling
            if pooling == "mean":
                lengths = on_device(torch.tensor(batch.lengths), encoder.device)
                pooled = mean_pool(encoder.hidden(batch, streams, slots=slots, shared=shared), lengths)
            else:
                first = encoder.first_hidden(batch, streams, slots=slots, shared=shared)
                pooled = (encoder.pooler(first) if pooling == "pooler" else first).float()
            parts = torch.split(pooled, [s.sequences.stop - s.sequences.start for s in batch.segments])
            return {
                s.slot: self.heads[s.slot](part, (streams or {}).get(s.slot))
                for s, part in zip(batch.segments, parts, strict=True)
            }

    def _differing(self, slots: Sequence[int]) -> tuple[str, ...]:
        """The layers from the first in which one of these members has an adapter; none where nothing below can be shared."""
        shape = self.encoder.shape
        lowest = min((site.layer for slot in slots for site in self.plans[slot].sites), default=shape.depth - 1)
        if len(slots) == 1 or lowest == 0 or not shape.packed:
            return ()
        return tuple(path for at in range(lowest, shape.depth) if (path := shape.layer(at)) is not None)

    def predict(self, encoded: Encoded, *, slots: Sequence[int] | None = None, max_tokens: int = 16384) -> np.ndarray:
        """Logits of several members for the same texts.

        Args:
            encoded: the texts.
            slots: which members; all by default.
            max_tokens: most tokens in one forward pass, counted over all members.

        Returns:
            (members, texts, labels) float32, texts in the order given.
        """
        slots = self.slots if slots is None else tuple(slots)
        labels = self.plans[slots[0]].labels
        differing = self._differing(slots)
        result = np.empty((len(slots), len(encoded), labels), np.float32)
        order = np.argsort(encoded.lengths, kind="stable")
        with torch.inference_mode():
            for rows in token_chunks(order, encoded.lengths, max(1, max_tokens // len(slots))):
                part = encoded.take(rows)
                batch = collate([(slot, part) for slot in slots], self.encoder.device)
                shared = Shared(collate([(slots[0], part)], self.encoder.device), differing) if differing else None
                logits = self.forward(batch, shared=shared)
                result[:, rows] = torch.stack([logits[slot] for slot in slots]).cpu().numpy()
        return result


def token_chunks(order: np.ndarray, lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Splits rows into runs of at most `max_tokens` tokens, at least one row each."""
    before = np.cumsum(lengths[order])
    borders, start, base = [], 0, 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(before, base + max_tokens, side="right")))
        borders.append(order[start:stop])
        base, start = int(before[stop - 1]), stop
    return borders
