"""A frozen pretrained encoder that takes batches without padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import EncoderError
from ..layout import Head, Shape, shape_of
from .bank import fast_products
from .batch import Batch, Segment, Shared, on_device
from .dropout import StackedDropout
from .forward_pass import FirstTokens, ForwardPass, Widening, running
from .fused import SeededBits, kernels_work, sequences_of
from .groups import group_segments
from .loading import choose_device, choose_precision, fingerprint, load_model, weight_files
from .memory import keep_freed_memory
from .packing import pack
from .random_streams import BitPool, RandomStream
from .residual import ResidualOutput
from .widening import watch_layer


class Encoder:
    """A frozen pretrained transformer that takes batches without padding, from any number of threads at once.

    Args:
        model: the transformers model.
        shape: its facts.
        base: its name or folder.
        sha256: over its weight files.
        device: where it runs.
        grouped: whether members share launches.

    Attributes:
        grouped: whether members share launches.
        banked: whether they share those of the adapters' products, too.
        fused: whether attention and random bits are kernels' work.
        padding: id of the token that stands for nothing.
        dtype: of weights and activations.
    """

    def __init__(
        self, model: nn.Module, shape: Shape, base: str, sha256: str, device: torch.device, *, grouped: bool = False
    ) -> None:
        self.model, self.shape, self.base, self.sha256, self.device = model, shape, base, sha256, device
        config: Any = model.config
        self.initializer_range = float(config.initializer_range)
        self.dtype = next(model.parameters()).dtype
        self.grouped, self.banked = grouped, grouped and fast_products(device, self.dtype)
        self.fused = grouped and kernels_work(device)
        family = shape.family
        kinds = int(config.type_vocab_size or 0) if family.token_types else 0
        self._typed, self._two_types = kinds > 0, kinds > 1  # with one type, both texts of a pair are of it
        self.padding = int(config.pad_token_id or 0)
        self._offset = self.padding + 1 if family.positions_after_padding else 0
        model.requires_grad_(False)
        # For good: in evaluation mode, transformers passes on no dropout of attention. Whether anything is dropped is up to each
        # forward pass, since a mode of the modules would be that of all threads.
        model.train()
        self._replace_modules()

    @classmethod
    def load(
        cls,
        base: str,
        *,
        head: Head,
        precision: str = "auto",
        device: str = "auto",
        grouped: bool | None = None,
        dropout: float | None = None,
    ) -> Encoder:
        """Loads and freezes the encoder under a head.

        Args:
            base: a Hub name or a local folder with config.json and safetensors.
            head: decides whether the encoder's own pooler is needed.
            precision: "fp32", "bf16", or "auto" (bf16 where the hardware multiplies in it).
            device: "cpu", "cuda", or "auto".
            grouped: whether all members share launches; by default where it pays, on devices other than CPUs. Families that
                run padded run member by member in any case.
            dropout: share that is dropped of hidden states and attention in training; None for what the configuration says. Heads
                have their own.

        Raises:
            EncoderError: missing or damaged files, weights that are not there, an unsupported family, no such device.
        """
        shape = shape_of(base)
        place = choose_device(device)
        if place.type == "cpu":
            keep_freed_memory()
        files = weight_files(base)
        sha256 = fingerprint(files)
        dtype = choose_precision(precision, place)
        pooler = head.pooling == "pooler" if shape.family.pooler else None
        model = load_model(base, files, packed=shape.family.packed, pooler=pooler, dtype=dtype, dropout=dropout)
        grouped = shape.family.packed and (place.type != "cpu" if grouped is None else grouped)
        if fingerprint(files) != sha256:
            raise EncoderError(f"the weights of encoder '{base}' were changed while they were loaded; run the command again")
        return cls(model.to(place), shape, base, sha256, place, grouped=grouped)

    def _replace_modules(self) -> None:
        family, depth = self.shape.family, self.shape.depth
        for parent in list(self.model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Dropout):
                    setattr(parent, name, StackedDropout(child.p))
        if not family.packed:
            return
        for at, layer in enumerate(map(self.shape.layer, range(depth))):
            for place, end in enumerate(family.block_ends):
                last = place == 0 and at == depth - 1  # after the last attention, only first tokens are read
                module = self.model.get_submodule(f"{layer}.{end}")
                self.model.set_submodule(f"{layer}.{end}", ResidualOutput(module, last=last))
            if family.passes is None:
                watch_layer(self.model.get_submodule(layer), layer)

    @property
    def words(self) -> nn.Embedding:
        """Its tokens' embeddings."""
        model: Any = self.model
        table = model.get_input_embeddings()
        assert isinstance(table, nn.Embedding), "a text encoder has a table of tokens"
        return table

    def look_up(self, ids: Tensor) -> Tensor:
        """Embeddings of tokens before any layer, (tokens,) -> (tokens, size) fp32."""
        rows: Tensor = self.words(ids)
        return rows.float()

    def pooler(self, first: Tensor) -> Tensor:
        """The encoder's own frozen pooler on first tokens, (sequences, size) -> (sequences, size)."""
        pooled = first[:, None]  # BERT's pooler takes the first token of each sequence itself
        for path in self.shape.family.pooler:
            pooled = self.model.get_submodule(path)(pooled)
        return pooled.reshape(first.shape)

    def hidden(
        self,
        batch: Batch,
        streams: Mapping[int, RandomStream] | None = None,
        *,
        slots: Sequence[int] = (),
        shared: Shared | None = None,
        merged: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Last hidden states of a batch.

        Args:
            batch: the texts of all members.
            streams: a stream of random bits per slot, for dropout; None for evaluation.
            slots: of all members of the stack, in order; without them no launches are shared.
            shared: layers to run once for all members; for evaluation only.
            merged: of a settled engine, weights in place of those of layers and of their adapters, by the layers' paths; then one
                sequence needs no packing, either.

        Returns:
            (tokens, hidden size) in the encoder's dtype.
        """
        return self._run(batch, self._pass(batch, streams, slots, merged=merged), shared)

    def first_hidden(
        self,
        batch: Batch,
        streams: Mapping[int, RandomStream] | None = None,
        *,
        slots: Sequence[int] = (),
        shared: Shared | None = None,
        merged: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Last hidden states of the sequences' first tokens.

        Where the encoder allows it, the last layer is computed for these tokens only.

        Args:
            batch: the texts of all members.
            streams: a stream of random bits per slot, for dropout; None for evaluation.
            slots: of all members of the stack, in order; without them no launches are shared.
            shared: layers to run once for all members; for evaluation only.
            merged: of a settled engine, weights in place of those of layers and of their adapters, by the layers' paths; then one
                sequence needs no packing, either.

        Returns:
            (sequences, hidden size) in the encoder's dtype.
        """
        hidden = self._run(batch, self._pass(batch, streams, slots, firsts=True, merged=merged), shared)
        return hidden if len(hidden) == len(batch.lengths) else hidden.index_select(0, batch.firsts)

    def _pass(
        self,
        batch: Batch,
        streams: Mapping[int, RandomStream] | None,
        slots: Sequence[int],
        *,
        firsts: bool = False,
        merged: Mapping[str, Tensor] | None = None,
    ) -> ForwardPass:
        groups = group_segments(batch.segments, slots, self.device) if self.banked else None
        alone = merged is not None and len(batch.lengths) == 1
        packed = self.shape.family.packed and not alone
        pool = SeededBits if self.fused else BitPool
        whole = ForwardPass(
            segments=batch.segments,
            streams=streams or {},
            packing=pack(batch, self.dtype, coarse=self.grouped) if packed and not self.fused else None,
            sequences=sequences_of(batch, streams or {}) if packed and self.fused else None,
            groups=None if groups is None else groups[0],
            pool=pool(streams) if self.grouped and streams else None,
            merged=merged or {},
        )
        if not firsts:
            return whole
        segments = tuple(replace(segment, tokens=segment.sequences) for segment in batch.segments)
        rest = replace(whole, segments=segments, groups=None if groups is None else groups[1])
        return replace(whole, first_tokens=FirstTokens(batch.firsts, rest))

    def _run(self, batch: Batch, whole: ForwardPass, shared: Shared | None) -> Tensor:
        if not self.shape.family.packed:
            return self._padded(batch, whole)
        if shared is None:
            return self._packed(batch, whole)
        widening = Widening(frozenset(shared.layers), len(shared.once.ids), len(batch.segments), rest=None)
        begin = self._pass(shared.once, None, ())
        rest = replace(whole, widening=widening)
        return self._packed(shared.once, replace(begin, widening=replace(widening, rest=rest)))

    def _packed(self, batch: Batch, begin: ForwardPass) -> Tensor:
        inputs: dict[str, Any] = {"position_ids": batch.positions[None] + self._offset}
        if batch.embeddings is None:
            inputs["input_ids"] = batch.ids[None]
        else:
            inputs["inputs_embeds"] = batch.embeddings[None].to(self.dtype)
        if self._typed:
            inputs["token_type_ids"] = (
                batch.types if batch.types is not None and self._two_types else torch.zeros_like(batch.ids)
            )[None]
        with running(begin):
            hidden: Tensor = self.model(**inputs).last_hidden_state
        return hidden.squeeze(0)

    def _padded(self, batch: Batch, whole: ForwardPass) -> Tensor:
        """Families whose attention cannot be replaced: each member padded by itself, so that neighbours do not matter."""
        parts = []
        for segment in batch.segments:
            lengths = np.array(batch.lengths[segment.sequences])
            inside = np.arange(lengths.max()) < lengths[:, None]
            places = on_device(torch.from_numpy(np.flatnonzero(inside)), self.device)

            def padded(tokens: Tensor, value: int, shape: tuple[int, ...] = inside.shape, at: Tensor = places) -> Tensor:
                rectangle = torch.full(shape, value, device=self.device)
                rectangle.view(-1).index_copy_(0, at, tokens)
                return rectangle

            inputs: dict[str, Any] = {"attention_mask": on_device(torch.from_numpy(inside.astype(np.int64)), self.device)}
            if batch.embeddings is None:
                inputs["input_ids"] = padded(batch.ids[segment.tokens], self.padding)
            else:
                own = batch.embeddings[segment.tokens].to(self.dtype)
                rectangle = torch.zeros(inside.size, own.shape[-1], dtype=self.dtype, device=self.device)
                inputs["inputs_embeds"] = rectangle.index_copy(0, places, own).view(*inside.shape, -1)
            if self._two_types and batch.types is not None:
                inputs["token_type_ids"] = padded(batch.types[segment.tokens], 0)
            alone = Segment(segment.slot, slice(0, inside.size), slice(0, len(lengths)))
            with running(replace(whole, segments=(alone,))):
                hidden: Tensor = self.model(**inputs).last_hidden_state
            parts.append(hidden.flatten(0, 1).index_select(0, places))
        return torch.cat(parts)
