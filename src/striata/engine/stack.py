"""Members that share one frozen encoder and one stream of tokens, each with its own adapters and head."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Encoded
from ..errors import PlanError, RunError
from ..layout import Plan
from .adapter import Adapter
from .batch import Batch, Shared, collate, on_device, token_chunks
from .embedding import embed
from .encoder import Encoder
from .head import MemberHead, mean_pool
from .random_streams import RandomStream, seed_of
from .readback import read_back
from .receipt import Receipt
from .shared_lock import SharedLock
from .stacked_linear import StackedLinear

PREFIX = "base_model.model."


class Stack:
    """The members attached to an encoder: the :class:`striata.engine.Engine` there is, whether members share launches or run one
    by one, without padding or padded; that is the encoder's.

    Args:
        encoder: carries this stack and no other.
        plans: one per member, all with one kind of head and one number of labels.

    Raises:
        PlanError: they have not.
    """

    def __init__(self, encoder: Encoder, plans: Sequence[Plan]) -> None:
        self.encoder = encoder
        self.plans: dict[int, Plan] = {}
        self.heads: dict[int, MemberHead] = {}
        self._sites: dict[str, StackedLinear] = {}
        self._merged: dict[str, Tensor] | None = None  # unless settled
        self._slots = itertools.count()
        self._lock = SharedLock()
        for plan in plans:
            self.add(plan)

    def add(self, plan: Plan) -> int:
        """Attaches one more member, which still needs weights; see :meth:`striata.engine.Engine.add`."""
        for other in self.plans.values():
            if (plan.head.kind, plan.labels) != (other.head.kind, other.labels):
                raise PlanError(
                    f"layout {plan.layout} has head '{plan.head.kind}' and {plan.labels} labels, the stack's members have "
                    f"'{other.head.kind}' and {other.labels}; train it in another stack"
                )
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
        self._merged = None
        for linear in self._sites.values():
            linear.regroup(self.slots, banked=self.encoder.banked)

    @property
    def slots(self) -> tuple[int, ...]:
        """The members that are still in the stack, in the order they came."""
        return tuple(self.plans)

    @property
    def device(self) -> torch.device:
        """The encoder's."""
        return self.encoder.device

    @property
    def dtype(self) -> torch.dtype:
        """The encoder's."""
        return self.encoder.dtype

    def _stacked(self, module: str) -> StackedLinear:
        """The stacked layer at a site; puts one in place of the encoder's own layer the first time."""
        if module not in self._sites:
            path = module.removeprefix(self._prefix)
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

    @property
    def _prefix(self) -> str:
        """What plans put before the paths of the encoder's modules: with a native head they are of the classification model."""
        native = any(plan.head.kind == "native" for plan in self.plans.values())
        return self.encoder.shape.family.prefix + "." if native else ""

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
        self._merged = None
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
            self._merged = None
            for name, parameter in live.items():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(tensors[name])))

    def settle(self) -> None:
        """Makes predictions faster and other in their last bits; see :meth:`striata.engine.Engine.settle`."""
        if self.dtype != torch.float32:
            return
        with self._lock.changing(), torch.no_grad():
            alone = self.sites(self.slots[0]) if len(self.slots) == 1 else {}
            linears = [(self._sites[module], adapter) for module, adapter in alone.items()]
            self._merged = {linear.path: adapter.merged(linear.base.weight) for linear, adapter in linears}

    def receipt(self, slot: int) -> Receipt:
        """What is live for a member, read from what the next forward pass will multiply."""
        return read_back(self.encoder.model, self.heads[slot], slot, prefix=self._prefix)

    def drop(self, slot: int) -> None:
        """Takes a member out; the others go on without it."""
        with self._lock.changing():
            for linear in self._sites.values():
                if linear.adapter(slot) is not None:
                    del linear.adapters[str(slot)]
            del self.heads[slot], self.plans[slot]
            self._regroup()

    def forward(self, batch: Batch, streams: Mapping[int, RandomStream] | None = None) -> dict[int, Tensor]:
        """Logits of each member for its own texts; see :meth:`striata.engine.Engine.forward`."""
        return self._forward(batch, streams)

    def _forward(
        self,
        batch: Batch,
        streams: Mapping[int, RandomStream] | None = None,
        *,
        shared: Shared | None = None,
        predicting: bool = False,
    ) -> dict[int, Tensor]:
        """In predictions with layers that run once for all members, or settled."""
        with self._lock.reading():
            merged = self._merged if predicting else None
            encoder, slots = self.encoder, self.slots
            pooling = self.plans[slots[0]].head.pooling
            if pooling == "mean":
                lengths = on_device(torch.tensor(batch.lengths), encoder.device)
                pooled = mean_pool(encoder.hidden(batch, streams, slots=slots, shared=shared, merged=merged), lengths)
            else:
                first = encoder.first_hidden(batch, streams, slots=slots, shared=shared, merged=merged)
                pooled = (encoder.pooler(first) if pooling == "pooler" else first).float()
            parts = torch.split(pooled, [s.sequences.stop - s.sequences.start for s in batch.segments])
            return {
                s.slot: self.heads[s.slot](part, (streams or {}).get(s.slot))
                for s, part in zip(batch.segments, parts, strict=True)
            }

    def hidden(self, batch: Batch, streams: Mapping[int, RandomStream] | None = None) -> dict[int, Tensor]:
        """Each member's last hidden states of its own texts; see :meth:`striata.engine.Engine.hidden`."""
        with self._lock.reading():
            hidden = self.encoder.hidden(batch, streams, slots=self.slots)
            return {segment.slot: hidden[segment.tokens] for segment in batch.segments}

    def _differing(self, slots: Sequence[int]) -> tuple[str, ...]:
        """The layers from the first in which one of these members has an adapter; none where nothing below can be shared."""
        shape = self.encoder.shape
        lowest = min((site.layer for slot in slots for site in self.plans[slot].sites), default=shape.depth - 1)
        if len(slots) == 1 or lowest == 0 or not shape.family.packed or shape.family.passes is not None:
            return ()
        return tuple(map(shape.layer, range(lowest, shape.depth)))

    def predict(self, encoded: Encoded, *, slots: Sequence[int] | None = None, max_tokens: int = 16384) -> np.ndarray:
        """Logits of several members for the same texts; see :meth:`striata.engine.Engine.predict`.

        The layers below the lowest in which one of the members has an adapter run once for all of them.
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
                logits = self._forward(batch, shared=shared, predicting=True)
                result[:, rows] = torch.stack([logits[slot] for slot in slots]).cpu().numpy()
        return result

    def look_up(self, ids: Tensor) -> Tensor:
        """Embeddings of tokens before any layer; see :meth:`striata.engine.Engine.look_up`."""
        return self.encoder.look_up(ids)

    @property
    def padding(self) -> int:
        """The encoder's."""
        return self.encoder.padding

    def embed(self, encoded: Encoded, *, max_tokens: int = 16384) -> np.ndarray:
        """Means of the frozen encoder's last hidden states; see :meth:`striata.engine.Engine.embed`."""
        return embed(self.encoder, encoded, max_tokens=max_tokens)
