"""Folders for other tools, one function for each."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..disk.files import write_text
from ..errors import ExportError

if TYPE_CHECKING:
    from .parts import Parts

ONNX, QUANTIZED = "onnx/model.onnx", "onnx/model_quantized.onnx"
TEMPERATURE = "inverse_temperature"  # name in the graph of what the combined logits are multiplied by
OPEN_SIZES = (2, 13)  # torch from which on the sizes of a batch are known to stay open
_OPSET = 20
_ANY_SIZE = 2**62


def write_transformers(parts: Parts, folder: Path) -> None:
    """Merged weights as transformers' own classification model.

    Raises:
        ExportError: it is an ensemble, or the head is none of transformers'.
    """
    _refuse_several(parts, "transformers")
    if parts.head is None or parts.head.kind != "native":
        kind = "mean" if parts.head is None else parts.head.kind
        raise ExportError(
            f"transformers' classification models have no {kind} head; export it to onnx"
            + (" or sentence-transformers" if kind == "mean" else "")
        )
    from transformers import AutoModelForSequenceClassification

    config = _config(parts)
    model: Any = AutoModelForSequenceClassification.from_config(config)
    model.base_model.load_state_dict(parts.classifier.encoder.state_dict())
    layers = iter(_layers(parts))
    for step in parts.head.steps:
        if step.parameters:
            module = model.get_submodule(step.module)
            module.load_state_dict(next(layers).state_dict())
    for parameter in module.parameters():  # of the last step, the labels'
        parameter.data *= parts.classifier.inverse_temperature
    model.save_pretrained(folder)
    parts.tokenizer().save_pretrained(folder)


def write_sentence_transformers(parts: Parts, folder: Path) -> None:
    """Merged weights, mean pooling, and the head as a dense layer whose outputs are the calibrated logits.

    Raises:
        ExportError: it is an ensemble, or the head is no layer on the mean.
    """
    _refuse_several(parts, "sentence-transformers")
    if parts.head is not None and parts.head.kind != "mean":
        raise ExportError(
            f"sentence-transformers pools by the mean, and this model has a {parts.head.kind} head; export it to onnx"
        )
    import tempfile

    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Pooling, Transformer
    from torch import nn

    with tempfile.TemporaryDirectory() as plain:
        parts.classifier.encoder.save_pretrained(plain)
        parts.tokenizer().save_pretrained(plain)
        words = Transformer(plain, max_seq_length=parts.max_length)
    size = words.get_word_embedding_dimension()
    layer, *more = _layers(parts)
    if more:
        raise ExportError("a network on frozen embeddings is no dense layer on their mean; export it to onnx")
    dense = Dense(size, len(parts.labels), bias=True, activation_function=nn.Identity())
    scale = parts.classifier.inverse_temperature
    dense.linear.load_state_dict({name: value * scale for name, value in layer.state_dict().items()})
    SentenceTransformer(modules=[words, Pooling(size, pooling_mode="mean"), dense], device="cpu").save(
        str(folder), create_model_card=False
    )


def write_onnx(parts: Parts, folder: Path) -> None:
    """One graph with all members: calibrated logits as `logits`, and the members' own as `member_logits` where there are several.

    The folder is laid out as transformers.js and Optimum expect it.

    Raises:
        ExportError: torch is too old.
    """
    import torch

    if tuple(map(int, torch.__version__.split(".")[:2])) < OPEN_SIZES:
        oldest = ".".join(map(str, OPEN_SIZES))
        raise ExportError(
            f"an export to ONNX needs torch {oldest} or newer (here {torch.__version__}), as older ones may write the sizes of "
            "one batch into the graph; run: pip install -U torch"
        )
    from onnx_ir.passes.common import DeduplicateInitializersPass

    from .modules import graph_of

    (folder / ONNX).parent.mkdir(parents=True)
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if parts.typed else [])]
    example = tuple(torch.ones((2, 8), dtype=torch.int64) for _ in names)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=parts.max_length)}
    with _silence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph_of(parts.classifier, members=parts.members > 1),
            example,
            input_names=names,
            output_names=["logits", "member_logits"][: 2 if parts.members > 1 else 1],
            dynamic_shapes=tuple(sizes for _ in names),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    # The exporter folds the transpose of a weight anew for each member that multiplies by it.
    DeduplicateInitializersPass(size_limit=_ANY_SIZE)(program.model)
    program.save(str(folder / ONNX), external_data=False)
    config = _config(parts)
    config.save_pretrained(folder)
    parts.tokenizer().save_pretrained(folder)


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what torch's exporter logs about itself, such as packages of images that it does not find, off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


WRITERS: dict[str, Callable[[Parts, Path], None]] = {
    "transformers": write_transformers,
    "sentence-transformers": write_sentence_transformers,
    "onnx": write_onnx,
}


def quantize(folder: Path) -> None:
    """The graph of an ONNX folder with matrix products in 8 bits, in the place of the one in fp32.

    Weights have 7 bits: processors without VNNI add two products of 8 and 8 bits in 16, which would overflow. What ONNX Runtime
    fuses it fuses before, since it does not know products in 8 bits as parts of what it could fuse.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    fused = folder / "fused.onnx"
    quant_pre_process(folder / ONNX, fused, skip_symbolic_shape=True)
    quantize_dynamic(fused, folder / QUANTIZED, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
    for file in (folder / ONNX, fused):
        file.unlink()


def rescale(file: Path, factor: float) -> None:
    """Multiplies the combined logits of a graph.

    Args:
        file: of the graph.
        factor: by which.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(file)
    (scale,) = (tensor for tensor in graph.graph.initializer if tensor.name.endswith(TEMPERATURE))
    value = numpy_helper.to_array(scale)
    scale.CopyFrom(numpy_helper.from_array((value * factor).astype(value.dtype), scale.name))
    onnx.save(graph, file)


def write_facts(folder: Path, facts: dict[str, object]) -> None:
    """What a program needs to know beside the tool's own files, as `striata.json`."""
    write_text(folder / "striata.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def _layers(parts: Parts) -> list[Any]:
    """The layers of the only member's head."""
    head: Any = parts.classifier.heads[0]
    return list(head.layers)


def _refuse_several(parts: Parts, tool: str) -> None:
    if parts.members > 1:
        raise ExportError(
            f"an ensemble of {parts.members} is no model that {tool} has; export it to onnx, or one of its runs, its soup, "
            "or what `striata distil` trains on its answers"
        )


def _config(parts: Parts) -> Any:
    """The encoder's configuration with the labels."""
    from copy import deepcopy

    config = deepcopy(parts.classifier.encoder.config)
    config.num_labels = len(parts.labels)
    config.id2label = dict(enumerate(parts.labels))
    config.label2id = {label: at for at, label in enumerate(parts.labels)}
    config.problem_type = "single_label_classification"
    return config
