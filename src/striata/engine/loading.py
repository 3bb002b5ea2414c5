"""Loading a pretrained encoder: from safe files only, in one precision, on one device."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from ..choices import DEVICES, PRECISIONS
from ..disk.documents import parse_json
from ..disk.files import sha256_file
from ..disk.paths import is_file
from ..errors import EncoderError
from .attention import IMPLEMENTATION, packed_attention

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_LOADING = threading.Lock()  # transformers' verbosity and its table of attention functions are the process's


def choose_device(device: str) -> torch.device:
    """ "auto" is a GPU when there is one.

    Raises:
        EncoderError: a GPU was asked for and there is none, or the device is unknown.
    """
    if not re.fullmatch(r"cuda:\d+", device):
        DEVICES.check(device, EncoderError)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EncoderError(f"device '{device}' was asked for, but torch {torch.__version__} sees no GPU here; use 'cpu'")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # With its number, as the tensors that are there have it.
    place = torch.device(device) if ":" in device else torch.device("cuda", torch.cuda.current_device())
    if place.index >= (count := torch.cuda.device_count()):
        raise EncoderError(f"device '{device}' was asked for, but torch sees {count} of them here, the last is cuda:{count - 1}")
    return place


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
    """The safetensors files that an encoder is loaded from: in its folder, or fetched from the Hub into transformers' cache.

    In a folder, as transformers has it, model.safetensors, or else those that model.safetensors.index.json names.

    Raises:
        EncoderError: there are none, the index names anything else, or the Hub cannot be reached.
    """
    folder = Path(base).expanduser()
    if folder.exists():
        if not folder.is_dir():
            raise EncoderError(f"base '{base}' is a file; expected a model folder or a Hub name")
        return _in_folder(folder, base)
    from transformers.utils.hub import cached_file

    try:
        single = cached_file(base, WEIGHTS, _raise_exceptions_for_missing_entries=False)
        if single is not None:
            return [Path(single)]
        index = Path(cached_file(base, INDEX))
        names = _listed(index, base)
        return [Path(cached_file(base, name)) for name in names]
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"encoder '{base}' is neither a folder here nor a model with safetensors on the Hub that can be reached "
            f"({str(error).splitlines()[0][:160]}); check the name, or give a local folder"
        ) from error


def _in_folder(folder: Path, base: str) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        files = [folder / name for name in _listed(folder / INDEX, base)]
        for file in files:
            if not is_file(file):
                raise EncoderError(f"encoder folder {base} lacks {file.name}, which {INDEX} names; copy the whole model")
        return files
    others = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".ckpt", ".h5", ".msgpack"))
    hint = f"; {others[0]} may run code when opened, convert it to safetensors" if others else ""
    raise EncoderError(f"encoder folder {base} has no weights: expected {WEIGHTS}{hint}")


def _listed(index: Path, base: str) -> list[str]:
    """The files that an index names, sorted: safetensors below its own folder, and nothing else."""
    try:
        content = parse_json(index.read_bytes())
        names = sorted(set(content["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncoderError(f"{index} of encoder '{base}' cannot be read: it names no weights; copy the whole model") from error
    for name in names:
        inside = (
            isinstance(name, str) and not PurePosixPath(name).is_absolute() and not {"..", ""} & set(re.split(r"[/\\]", name))
        )
        if not inside or not name.endswith(".safetensors"):
            raise EncoderError(
                f"{INDEX} of encoder '{base}' names {name!r}; expected names of safetensors files in its folder; give a model "
                "that is safetensors only"
            )
    if not names:
        raise EncoderError(f"{INDEX} of encoder '{base}' names no weights; copy the whole model")
    return names


def companion_files(base: str, names: Sequence[str], *, needed: bool) -> dict[str, Path]:
    """Files that lie beside an encoder's weights, by name.

    Args:
        base: a local folder or a Hub name.
        names: of the files.
        needed: whether all must be there; else those that are.

    Raises:
        EncoderError: one that is needed is missing.
    """
    folder, files = Path(base).expanduser(), dict[str, Path]()
    for name in names:
        if folder.is_dir():
            file: Path | None = folder / name
        else:
            from transformers.utils.hub import cached_file

            cached = cached_file(
                base, name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
            )
            file = None if cached is None else Path(cached)
        if file is not None and file.is_file():
            files[name] = file
        elif needed:
            raise EncoderError(f"encoder '{base}' has no {name}; copy the whole model")
    return files


def fingerprint(files: list[Path]) -> str:
    """SHA-256 of one file, or of the digests of several."""
    digests = [sha256_file(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def load_model(
    base: str, files: Sequence[Path], *, packed: bool, pooler: bool | None, dtype: torch.dtype, dropout: float | None = None
) -> nn.Module:
    """The transformers model of an encoder.

    Args:
        base: a Hub name or a local folder, with its configuration.
        files: all of its weights; see :func:`weight_files`.
        packed: whether it runs with striata's own attention, without padding.
        pooler: whether its pooler is needed; None for a family that has none.
        dtype: of its weights.
        dropout: takes the place of every share that its configuration drops; None leaves them.

    Raises:
        EncoderError: its files are damaged, or lack weights.
    """
    with _LOADING:
        model, missing = _load(base, files, packed=packed, pooler=pooler, dtype=dtype, dropout=dropout)
    if missing:
        poolers = pooler and all("pooler" in key for key in missing)
        hint = "use head 'linear' or 'mean', which need no pooler" if poolers else "give a complete model"
        raise EncoderError(
            f"encoder '{base}' lacks the weights of {len(missing)} parameters (first: {missing[0]}), which would be "
            f"random and frozen; {hint}"
        )
    return model


def load_masked_model(base: str, files: Sequence[Path], *, dtype: torch.dtype) -> nn.Module:
    """An encoder with its masked-language head, as transformers has both.

    Args:
        base: a Hub name or a local folder, with its configuration.
        files: all of its weights; see :func:`weight_files`.
        dtype: of its weights.

    Raises:
        EncoderError: its files are damaged, or lack weights.
    """
    with _LOADING:
        model, missing = _load(base, files, packed=False, pooler=None, dtype=dtype, dropout=None, masked=True)
    if missing:
        raise EncoderError(
            f"encoder '{base}' has no whole masked-language head: it lacks the weights of {len(missing)} parameters (first: "
            f"{missing[0]}); give a complete model, or take another objective"
        )
    return model


def _load(
    base: str,
    files: Sequence[Path],
    *,
    packed: bool,
    pooler: bool | None,
    dtype: torch.dtype,
    dropout: float | None,
    masked: bool = False,
) -> tuple[nn.Module, list[str]]:
    from transformers import AttentionInterface, AutoConfig, AutoModel, AutoModelForMaskedLM
    from transformers.utils import logging

    AttentionInterface.register(IMPLEMENTATION, packed_attention)
    folder = Path(base).expanduser()
    config = AutoConfig.from_pretrained(str(folder) if folder.is_dir() else base, trust_remote_code=False)
    if dropout is not None:
        for key, value in config.to_dict().items():
            if "drop" in key and isinstance(value, int | float):
                setattr(config, key, dropout)
    options: dict[str, Any] = {}
    if pooler is not None:
        options["add_pooling_layer"] = pooler
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        # By weights and not by place, where transformers would choose among the files by rules of its own.
        weights = {name: tensor for file in files for name, tensor in load_file(file).items()}
        kind = AutoModelForMaskedLM if masked else AutoModel
        model, info = kind._model_mapping[type(config)].from_pretrained(
            None,
            config=config,
            state_dict=weights,
            attn_implementation=IMPLEMENTATION if packed else "eager",
            dtype=dtype,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # transformers and safetensors raise many kinds for one cause: unusable files
        raise EncoderError(
            f"encoder '{base}' cannot be loaded: {str(error).strip().splitlines()[0][:200]}; expected config.json and "
            "model.safetensors of one model"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
    return model, sorted(info["missing_keys"])
