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
from .dropout import Draws, seed_of
from .encoder import Encoder
from .head import MemberHead, mean_pool
from .lora import StackedLinear

PREFIX = "base_model.model."


class Stack:
    """The members attached to an encoder; each is known by its slot, its place in `plans`.

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
        for plan in plans:
            self.add(plan)

    def add(self, plan: Plan) -> int:
        """Attaches one more member, which still needs weights; the others go on beside it.

        Args:
            plan: of the same kind of head and labels as the others'.

        Returns:
            Its slot, which no member of this stack has had before.
        """
        slot = next(self._slots)
        self.plans[slot] = plan
        with self.encoder.device:
            for site in plan.sites:
                self._stacked(site.module).adapters[str(slot)] = Adapter(
                    site.in_features, site.out_features, rank=site.rank, scale=site.scale, dropout=site.dropout
                )
            self.heads[slot] = MemberHead(plan.head)
        self._regroup()
        return slot

    def _regroup(self) -> None:
        self.encoder.current.slots = self.slots
        for linear in self._sites.values():
            linear.regroup()

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
            found = getattr(parent, name)
            if not isinstance(found, StackedLinear):  # else of an earlier stack, whose members have all left
                assert isinstance(found, nn.Linear), f"{module} is no linear layer"
                found = StackedLinear(found, self.encoder.current, path)
                setattr(parent, name, found)
            assert not found.adapters, f"{module} still carries another stack"
            self._sites[module] = found
        return self._sites[module]

    def path_in_encoder(self, module: str) -> str:
        """A plan's module path without the classification model's prefix."""
        if any(plan.head.kind == "native" for plan in self.plans.values()):
            return module.removeprefix(self.encoder.shape.prefix + ".")
        return module

    def sites(self, slot: int) -> dict[str, Adapter]:
        """A member's adapters by module path, in the plan's order, read from the live layers."""
        found = {module: linear.adapter(slot) for module, linear in self._sites.items()}
        order = {site.module: at for at, site in enumerate(self.plans[slot].sites)}
        present = [(module, adapter) for module, adapter in found.items() if adapter is not None]
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
        with torch.no_grad():
            for name, parameter in live.items():
                if tuple(parameter.shape) != tensors[name].shape:
                    raise RunError(f"weight '{name}' has shape {tensors[name].shape}, the plan says {tuple(parameter.shape)}")
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(tensors[name])))

    def drop(self, slot: int) -> None:
        """Takes a member out; the others go on without it."""
        for linear in self._sites.values():
            if linear.adapter(slot) is not None:
                del linear.adapters[str(slot)]
        del self.heads[slot], self.plans[slot]
        self._regroup()

    def forward(self, batch: Batch, draws: dict[int, Draws] | None = None, shared: Shared | None = None) -> dict[int, Tensor]:
        """Logits of each member for its own texts.

        Args:
            batch: as made by :func:`striata.engine.collate`.
            draws: one per slot to train with dropout; None to evaluate.
            shared: layers to run once for all members; to evaluate only.

        Returns:
            slot -> (its sequences, labels), fp32.
        """
        pooling = next(iter(self.plans.values())).head.pooling
        if pooling == "mean":
            lengths = on_device(torch.tensor(batch.lengths), self.encoder.device)
            pooled = mean_pool(self.encoder.hidden(batch, draws, shared), lengths)
        else:
            first = self.encoder.first_hidden(batch, draws, shared)
            pooled = (self.encoder.pooler(first) if pooling == "pooler" else first).float()
        chosen = draws or {}
        parts = torch.split(pooled, [s.sequences.stop - s.sequences.start for s in batch.segments])
        return {s.slot: self.heads[s.slot](part, chosen.get(s.slot)) for s, part in zip(batch.segments, parts, strict=True)}

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
        labels = next(iter(self.plans.values())).labels
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
