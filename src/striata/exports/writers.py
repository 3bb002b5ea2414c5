"""Folders for other tools, one function for each."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..disk.files import write_text
from ..errors import ExportError

if TYPE_CHECKING:
    from .parts import Graph, Parts

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
    graph = parts.alone("transformers")
    if graph.head is None or graph.head.kind != "native":
        kind = "mean" if graph.head is None else graph.head.kind
        raise ExportError(
            f"transformers' classification models have no {kind} head; export it to onnx"
            + (" or sentence-transformers" if kind == "mean" else "")
        )
    from transformers import AutoModelForSequenceClassification

    config = _config(graph, parts.labels, several=parts.several)
    model: Any = AutoModelForSequenceClassification.from_config(config)
    model.base_model.load_state_dict(graph.classifier.encoder.state_dict())
    layers = iter(_layers(graph))
    for step in graph.head.steps:
        if step.parameters:
            module = model.get_submodule(step.module)
            module.load_state_dict(next(layers).state_dict())
    for parameter in module.parameters():  # of the last step, the labels'
        parameter.data = _scaled(graph, parameter.data)
    model.save_pretrained(folder)
    graph.tokenizer().save_pretrained(folder)


def write_sentence_transformers(parts: Parts, folder: Path) -> None:
    """Merged weights, mean pooling, and the head as a dense layer whose outputs are the calibrated logits.

    Raises:
        ExportError: it is an ensemble, or the head is no layer on the mean.
    """
    graph = parts.alone("sentence-transformers")
    if graph.head is not None and graph.head.kind != "mean":
        raise ExportError(
            f"sentence-transformers pools by the mean, and this model has a {graph.head.kind} head; export it to onnx"
        )
    import tempfile

    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Pooling, Transformer
    from torch import nn

    with tempfile.TemporaryDirectory() as plain:
        graph.classifier.encoder.save_pretrained(plain)
        graph.tokenizer().save_pretrained(plain)
        words = Transformer(plain, max_seq_length=graph.max_length)
    size = words.get_word_embedding_dimension()
    layer, *more = _layers(graph)
    if more:
        raise ExportError("a network on frozen embeddings is no dense layer on their mean; export it to onnx")
    dense = Dense(size, len(parts.labels), bias=True, activation_function=nn.Identity())
    dense.linear.load_state_dict({name: _scaled(graph, value) for name, value in layer.state_dict().items()})
    SentenceTransformer(modules=[words, Pooling(size, pooling_mode="mean"), dense], device="cpu").save(
        str(folder), create_model_card=False
    )


def write_onnx(parts: Parts, folder: Path) -> None:
    """One graph with all members: calibrated logits as `logits`, and the members' own as `member_logits` where there are several.

    The folder is then laid out as transformers.js and Optimum expect it. Where members read words or look up rows, or answer by
    stages or on several encoders, there is a folder with a graph for each encoder, and `predict.py` puts together what they say.

    Raises:
        ExportError: torch is too old.
    """
    from .composition import graph_folder, write_composition

    if parts.graph is not None:
        _write_graph(parts.graph, parts, folder)
        return
    for at, graph in enumerate(parts.graphs):
        _write_graph(graph, parts, folder / graph_folder(at))
    write_composition(parts, folder)


def _write_graph(graph: Graph, parts: Parts, folder: Path) -> None:
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
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if graph.typed else [])]
    example = tuple(torch.ones((2, 8), dtype=torch.int64) for _ in names)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=graph.max_length)}
    with _silence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph_of(graph.classifier, graph.outputs),
            example,
            input_names=names,
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(sizes for _ in names),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    # The exporter folds the transpose of a weight anew for each member that multiplies by it.
    DeduplicateInitializersPass(size_limit=_ANY_SIZE)(program.model)
    program.save(str(folder / ONNX), external_data=False)
    _config(graph, parts.labels, several=parts.several).save_pretrained(folder)
    graph.tokenizer().save_pretrained(folder)


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
    """The graphs of an ONNX folder with matrix products in 8 bits, in the place of those in fp32.

    Weights have 7 bits: processors without VNNI add two products of 8 and 8 bits in 16, which would overflow. What ONNX Runtime
    fuses it fuses before, since it does not know products in 8 bits as parts of what it could fuse.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    for graph in sorted(folder.rglob(ONNX)):
        place, fused = graph.parents[1], graph.with_name("fused.onnx")
        quant_pre_process(graph, fused, skip_symbolic_shape=True)
        quantize_dynamic(fused, place / QUANTIZED, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
        for file in (graph, fused):
            file.unlink()


def rescale(folder: Path, divisors: npt.NDArray[np.float64]) -> None:
    """Divides what a quantized folder answers by a temperature, or one for each label, once more."""
    import onnx
    from onnx import numpy_helper

    from .composition import divide

    file = folder / QUANTIZED
    if not file.is_file():
        divide(folder, divisors)
        return
    graph = onnx.load(file)
    (scale,) = (tensor for tensor in graph.graph.initializer if tensor.name.endswith(TEMPERATURE))
    value = numpy_helper.to_array(scale)
    scale.CopyFrom(numpy_helper.from_array((value / divisors).astype(value.dtype), scale.name))
    onnx.save(graph, file)


def write_facts(folder: Path, facts: dict[str, object]) -> None:
    """What a program needs to know beside the tool's own files, as `striata.json`."""
    write_text(folder / "striata.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def _layers(graph: Graph) -> list[Any]:
    """The layers of the only member's head."""
    head: Any = graph.classifier.heads[0]
    return list(head.layers)


def _scaled(graph: Graph, parameter: Any) -> Any:
    """A parameter of the layer that gives the labels, (labels, ...), so that its outputs are calibrated."""
    scale = graph.classifier.inverse_temperature.expand(len(parameter))
    return parameter * scale.view(-1, *[1] * (parameter.dim() - 1))


def _config(graph: Graph, labels: Sequence[str], *, several: bool) -> Any:
    """The encoder's configuration with the labels, of which a text may have several."""
    from copy import deepcopy

    config = deepcopy(graph.classifier.encoder.config)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: at for at, label in enumerate(labels)}
    config.problem_type = "multi_label_classification" if several else "single_label_classification"
    return config
