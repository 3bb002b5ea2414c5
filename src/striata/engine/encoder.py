"""Loading a pretrained encoder: frozen, in one precision, from safe files only, running without padding."""

from __future__ import annotations

import hashlib
import inspect
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..choices import PRECISIONS
from ..disk.files import sha256_file
from ..errors import EncoderError
from ..layout import Head, Shape, shape_of
from .attention import IMPLEMENTATION, pack, packed_attention
from .batch import on_device
from .dropout import Draws, Pass, Pools, StackedDropout
from .grouped import fast_products, groups_of
from .memory import keep_freed_memory
from .residual import ResidualOutput

if TYPE_CHECKING:
    from .batch import Batch, Shared


def choose_device(device: str) -> torch.device:
    """ "auto" is a GPU when there is one.

    Raises:
        EncoderError: a GPU was asked for and there is none, or the device is unknown.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EncoderError(f"device '{device}' was asked for, but torch {torch.__version__} sees no GPU here; use 'cpu'")
    if device != "cpu" and not re.fullmatch(r"cuda(:\d+)?", device):
        raise EncoderError(f"device '{device}' is unknown; expected cpu, cuda or auto")
    return torch.device(device)


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """ "auto" is bf16 where the hardware multiplies in bf16, and fp32 elsewhere."""
    named = PRECISIONS.check(precision, EncoderError).dtype
    if named is not None:
        dtype: torch.dtype = getattr(torch, named)
        return dtype
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device)[0] >= 8  # is_bf16_supported() says yes where it is emulated
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def weight_files(base: str) -> list[Path]:
    """The safetensors files of a model: in its folder, or fetched from the Hub into transformers' cache.

    Raises:
        EncoderError: there are none, or the Hub cannot be reached.
    """
    from transformers.utils.hub import cached_file, get_checkpoint_shard_files

    folder = Path(base)
    if folder.exists():
        if not folder.is_dir():
            raise EncoderError(f"base '{base}' is a file; expected a model folder or a Hub name")
        found = sorted(folder.glob("*.safetensors"))
        if found:
            return found
        others = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".ckpt", ".h5", ".msgpack"))
        hint = f"; {others[0]} may run code when opened, convert it to safetensors" if others else ""
        raise EncoderError(f"encoder folder {base} has no weights: expected model.safetensors{hint}")
    try:
        single = cached_file(base, "model.safetensors", _raise_exceptions_for_missing_entries=False)
        if single is not None:
            return [Path(single)]
        index = cached_file(base, "model.safetensors.index.json")
        shards, _ = get_checkpoint_shard_files(base, index)
        return sorted(map(Path, shards))
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"encoder '{base}' is neither a folder here nor a model with safetensors on the Hub that can be reached "
            f"({str(error).splitlines()[0][:160]}); check the name, or give a local folder"
        ) from error


def _fingerprint(files: list[Path]) -> str:
    digests = [sha256_file(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _load(base: str, *, packed: bool, pooler: bool, dtype: torch.dtype) -> nn.Module:
    from transformers import MODEL_MAPPING, AttentionInterface, AutoConfig, AutoModel
    from transformers.utils import logging

    AttentionInterface.register(IMPLEMENTATION, packed_attention)
    config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    options: dict[str, Any] = {}
    if "add_pooling_layer" in inspect.signature(MODEL_MAPPING[type(config)].__init__).parameters:
        options["add_pooling_layer"] = pooler
    shown = logging.get_verbosity()
    logging.set_verbosity_error()
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model, info = AutoModel.from_pretrained(
            base,
            config=config,
            attn_implementation=IMPLEMENTATION if packed else "eager",
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # transformers and safetensors raise many kinds for one cause: unusable files
        raise EncoderError(
            f"encoder '{base}' cannot be loaded: {str(error).strip().splitlines()[0][:200]}; expected config.json and "
            "model.safetensors of one model"
        ) from error
    finally:
        logging.set_verbosity(shown)
        if bar:
            logging.enable_progress_bar()
    missing = sorted(info["missing_keys"])
    if missing:
        poolers = pooler and all("pooler" in key for key in missing)
        hint = "use head 'linear' or 'mean', which need no pooler" if poolers else "give a complete model"
        raise EncoderError(
            f"encoder '{base}' lacks the weights of {len(missing)} parameters (first: {missing[0]}), which would be "
            f"random and frozen; {hint}"
        )
    result: nn.Module = model
    return result


class Encoder:
    """A frozen pretrained transformer that takes batches without padding.

    Args:
        model: the transformers model.
        shape: its facts.
        base: its name or folder.
        sha256: over its weight files.
        device: where it runs.
        grouped: whether members share launches.

    Attributes:
        current: the pass under way; the modules that depend on members read it.
        dtype: of weights and activations.
    """

    def __init__(
        self, model: nn.Module, shape: Shape, base: str, sha256: str, device: torch.device, *, grouped: bool = False
    ) -> None:
        self.model, self.shape, self.base, self.sha256, self.device = model, shape, base, sha256, device
        config: Any = model.config
        self.initializer_range = float(getattr(config, "initializer_range", 0.02))
        self.dtype = next(model.parameters()).dtype
        self.current = Pass(grouped=grouped, banks=grouped and fast_products(device, self.dtype))
        accepted = inspect.signature(model.forward).parameters
        self._typed = "token_type_ids" in accepted and int(getattr(config, "type_vocab_size", 0) or 0) > 0
        # fairseq's models count positions from behind the padding token's.
        fairseq = hasattr(getattr(model, "embeddings", None), "create_position_ids_from_input_ids")
        self._offset = int(config.pad_token_id) + 1 if fairseq else 0
        self._pad = int(getattr(config, "pad_token_id", 0) or 0)
        model.requires_grad_(False)
        model.eval()
        self._replace_modules()

    @classmethod
    def load(
        cls, base: str, *, head: Head, precision: str = "auto", device: str = "auto", grouped: bool | None = None
    ) -> Encoder:
        """Loads and freezes the encoder under a head.

        Args:
            base: a Hub name or a local folder with config.json and safetensors.
            head: decides whether the encoder's own pooler is needed.
            precision: "fp32", "bf16", or "auto" (bf16 where the hardware multiplies in it).
            device: "cpu", "cuda", or "auto".
            grouped: whether all members share launches; by default where it pays, on devices other than CPUs. Families that
                run padded run member by member in any case.

        Raises:
            EncoderError: missing or damaged files, weights that are not there, an unsupported family, no such device.
        """
        shape = shape_of(base)
        place = choose_device(device)
        if place.type == "cpu":
            keep_freed_memory()
        files = weight_files(base)
        dtype = choose_precision(precision, place)
        model = _load(base, packed=shape.packed, pooler=head.pooling == "pooler", dtype=dtype)
        grouped = shape.packed and (place.type != "cpu" if grouped is None else grouped)
        return cls(model.to(place), shape, base, _fingerprint(files), place, grouped=grouped)

    def _replace_modules(self) -> None:
        last = self.shape.module("attention_output", self.shape.depth - 1).removesuffix(".dense")
        for path, parent in list(self.model.named_modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Dropout):
                    setattr(parent, name, StackedDropout(child.p, self.current))
                elif self.shape.packed and ResidualOutput.fits(child):
                    setattr(parent, name, ResidualOutput(child, self.current, last=f"{path}.{name}" == last))

    def pooler(self, first: Tensor) -> Tensor:
        """The encoder's own frozen pooler on first tokens, (sequences, size) -> (sequences, size)."""
        layer: Any = self.model.pooler
        pooled: Tensor = layer(first[:, None]).reshape(first.shape)
        # ALBERT keeps the pooler's activation beside it.
        activation = getattr(self.model, "pooler_activation", None)
        return pooled if activation is None else activation(pooled)

    def hidden(self, batch: Batch, draws: dict[int, Draws] | None = None, shared: Shared | None = None) -> Tensor:
        """Last hidden states of a batch.

        Args:
            batch: the texts of all members.
            draws: a stream of random bits per slot, for dropout; None for evaluation.
            shared: layers to run once for all members; for evaluation only.

        Returns:
            (tokens, hidden size) in the encoder's dtype.
        """
        return self._run(batch, draws, None, shared)

    def first_hidden(self, batch: Batch, draws: dict[int, Draws] | None = None, shared: Shared | None = None) -> Tensor:
        """Last hidden states of the sequences' first tokens, (sequences, hidden size); arguments as of :meth:`hidden`.

        Where the encoder allows it, the last layer is computed for these tokens only.
        """
        hidden = self._run(batch, draws, batch.firsts, shared)
        return hidden if len(hidden) == len(batch.lengths) else hidden.index_select(0, batch.firsts)

    def _run(self, batch: Batch, draws: dict[int, Draws] | None, firsts: Tensor | None, shared: Shared | None) -> Tensor:
        if shared is None or not self.shape.packed:
            self._begin(batch, draws, firsts)
            return self._packed(batch) if self.shape.packed else self._padded(batch)
        tokens, members = len(shared.once.ids), len(batch.segments)

        def wide(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(wide, value))
            along = isinstance(value, Tensor) and value.ndim > 1 and value.shape[1] == tokens
            return torch.cat([value] * members, 1) if along else value

        def part_ways(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
            if self.current.segments is shared.once.segments:
                self._begin(batch, draws, firsts)
            return wide(given), {name: wide(value) for name, value in named.items()}

        self._begin(shared.once, draws, None)
        with ExitStack() as hooks:
            for layer in map(self.model.get_submodule, shared.layers):
                hooks.callback(layer.register_forward_pre_hook(part_ways, with_kwargs=True).remove)
            return self._packed(shared.once)

    def _begin(self, batch: Batch, draws: dict[int, Draws] | None, firsts: Tensor | None) -> None:
        current = self.current
        current.segments, current.draws, current.firsts = batch.segments, draws or {}, firsts
        current.groups = groups_of(batch.segments, current.slots, self.device) if current.banks else None
        current.pools = Pools(draws) if current.grouped and draws else None
        current.packing = pack(batch, self.dtype, coarse=current.grouped) if self.shape.packed else None
        # transformers passes an attention dropout of 0 unless its modules are in training mode.
        if self.model.training != bool(draws):
            self.model.train(bool(draws))

    def _packed(self, batch: Batch) -> Tensor:
        inputs: dict[str, Any] = {
            "input_ids": batch.ids[None],
            "position_ids": batch.positions[None] + self._offset,
            "striata_pass": self.current,
        }
        if self._typed:
            inputs["token_type_ids"] = (torch.zeros_like(batch.ids) if batch.types is None else batch.types)[None]
        result: Tensor = self.model(**inputs).last_hidden_state.squeeze(0)
        self.current.pools = None  # not needed on the way back
        return result

    def _padded(self, batch: Batch) -> Tensor:
        """Families whose attention cannot be replaced: each member padded by itself, so that neighbours do not matter."""
        parts = []
        for segment in batch.segments:
            lengths = np.array(batch.lengths[segment.sequences])
            inside = np.arange(lengths.max()) < lengths[:, None]
            places = on_device(torch.from_numpy(np.flatnonzero(inside)), self.device)

            def padded(tokens: Tensor, value: int, shape: tuple[int, ...] = inside.shape, at: Tensor = places) -> Tensor:
                whole = torch.full(shape, value, device=self.device)
                whole.view(-1).index_copy_(0, at, tokens)
                return whole

            inputs: dict[str, Any] = {
                "input_ids": padded(batch.ids[segment.tokens], self._pad),
                "attention_mask": on_device(torch.from_numpy(inside.astype(np.int64)), self.device),
            }
            if self._typed and batch.types is not None:
                inputs["token_type_ids"] = padded(batch.types[segment.tokens], 0)
            alone = type(segment)(segment.slot, slice(0, inside.size), slice(0, len(lengths)))
            self.current.segments = (alone,)
            parts.append(self.model(**inputs).last_hidden_state.flatten(0, 1).index_select(0, places))
        return torch.cat(parts)
