"""A run of MiniLM in use, beside what people would take to predict with its weights on a CPU.

The peers: transformers' model over texts sorted by length and padded to the longest of a batch of 32; ONNX Runtime in fp32, and
in int8 as its documentation makes it (pre-processed, dynamic, by channel); OpenVINO where it is installed; transformers' own
pipeline in the file's order. All tokenize the same texts, with the same number of threads, each in a process of its own. What is
compared are texts per CPU second. The products of the encoder's matrices alone, without attention, norms, activations and Python,
say how far any engine could come that multiplies with torch.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

import striata
from striata.data import Columns, Tokenizer, read_table
from striata.demo import encoder_folder
from striata.layout import shape_of
from striata.model.scorers import EncoderScorer

from .measure import Product, Row, quotients, row
from .peer import answer, apart

ROWS_OF_PREDICTION = (
    "predict-loop", "predict-onnx", "predict-openvino", "predict-pipeline", "predict-int8", "predict-share",
    "latency", "latency-share", "four-members", "distilled",
)  # fmt: skip
LONGEST, BATCH = 64, 32
_SINGLE, _TEXTS_ALONE = ("ours", "loop", "products"), 100
_LAYOUT = "0/1-1/1 r8 query value"
Logits = Callable[[Sequence[str]], np.ndarray]


def _train(folder: Path, source: Path) -> dict[str, Path]:
    """A run, an ensemble of four, and a run distilled from it; two steps, for speed does not depend on the weights."""
    table = read_table(str(source), Columns(), split="train").take(np.arange(400))
    places = {}
    for name, layouts in (("one", [_LAYOUT]), ("four", [f"0/1-1/1 r{rank} query value" for rank in (2, 4, 8, 16)])):
        study = {
            "base": str(encoder_folder()), "head": "mean", "data": {"max_length": LONGEST, "validation": 100}, "layouts": layouts,
            "recipe": {"max_steps": 2, "evaluate_every": 2, "validation_rows": 20, "precision": "fp32"}, "baselines": [],
            "ensemble": False if name == "one" else {"method": "top", "size": 4}, "output": str(folder / name),
        }  # fmt: skip
        places[name] = striata.train(study, data=(table.texts, table.labels)).folder
    taught = striata.distil(folder / "four", data=(table.texts, table.labels), steps=2, loss=1.0, device="cpu")
    return places | {"distilled": taught.run.path}


def _ours(model: str) -> Logits:
    return striata.load(model, device="cpu", precision="fp32").logits


def _products(model: str) -> Logits:
    """Tokenizes, and multiplies as many rows with the encoder's matrices as a pass over the texts does."""
    (scorer,) = striata.load(model, device="cpu", precision="fp32").scorers
    assert isinstance(scorer, EncoderScorer)
    linears = [module for module in scorer.encoder.model.modules() if isinstance(module, torch.nn.Linear)]

    def logits(texts: Sequence[str]) -> np.ndarray:
        tokens = int(scorer.tokenizer.encode(texts, None).lengths.sum())
        inputs = {size: torch.ones(tokens, size) for size in {linear.in_features for linear in linears}}
        with torch.inference_mode():
            for linear in linears:
                torch.nn.functional.linear(inputs[linear.in_features], linear.weight, linear.bias)
        return np.zeros(1, np.float32)

    return logits


def _gigaflop(texts: Sequence[str]) -> float:
    """Of the products in a pass over these texts."""
    shape = shape_of(str(encoder_folder()))
    weights = shape.depth * (4 * shape.hidden**2 + 2 * shape.hidden * shape.inner)
    return 2e-9 * weights * int(Tokenizer.load(str(encoder_folder()), LONGEST).encode(texts, None).lengths.sum())


def _padded(run: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Logits:
    tokenizer = Tokenizer.load(str(encoder_folder()), LONGEST)

    def logits(texts: Sequence[str]) -> np.ndarray:
        encoded = tokenizer.encode(texts, None)
        order = np.argsort(encoded.lengths, kind="stable")
        parts = []
        for at in range(0, len(order), BATCH):
            rows = order[at : at + BATCH]
            width = int(encoded.lengths[rows].max())
            ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
            for place, text in enumerate(rows):
                own = encoded.ids[encoded.starts[text] : encoded.starts[text + 1]]
                ids[place, : len(own)], mask[place, : len(own)] = own, 1
            parts.append(run(ids, mask))
        result = np.empty((len(order), parts[0].shape[1]), np.float32)
        result[order] = np.concatenate(parts)
        return result

    return logits


def _loop(_: str) -> Logits:
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(encoder_folder(), attn_implementation="sdpa").eval()
    head = torch.nn.Linear(encoder.config.hidden_size, 4)

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            there = torch.from_numpy(mask)
            hidden = encoder(input_ids=torch.from_numpy(ids), attention_mask=there).last_hidden_state
            weights = there.unsqueeze(-1).to(hidden.dtype)
            logits: np.ndarray = head((hidden * weights).sum(1) / weights.sum(1)).numpy()
            return logits

    return _padded(run)


def _onnx(graph: str) -> Logits:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        logits: np.ndarray = session.run(["logits"], {name: feed[name] for name in names})[0]
        return logits

    return _padded(run)


def _openvino(graph: str) -> Logits:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    names = [entry.get_any_name() for entry in compiled.inputs]

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return np.asarray(compiled({name: feed[name] for name in names})["logits"])

    return _padded(run)


def _pipeline(_: str) -> Logits:
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

    base = str(encoder_folder())
    model = AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(base, num_labels=4))
    made = pipeline("text-classification", model, tokenizer=AutoTokenizer.from_pretrained(base), device=-1)

    def logits(texts: Sequence[str]) -> np.ndarray:
        answers = made(list(texts), batch_size=BATCH, truncation=True, max_length=LONGEST)
        return np.array([[entry["score"]] for entry in answers], np.float32)

    return logits


def _serve(pipe: Connection, make: Callable[[str], Logits], path: str, texts: Sequence[str], single: int) -> None:
    """Answers every request with CPU seconds for all texts, or for so many one by one."""
    logits = make(path)
    while True:
        pipe.recv()
        spent = []
        for part in [texts] if not single else [[text] for text in texts[:single]]:
            started = time.process_time()
            assert np.isfinite(logits(part)).all()
            spent.append(time.process_time() - started)
        pipe.send(spent[0] if not single else spent)


@contextmanager
def _timed(make: Callable[[str], Logits], path: Path, texts: Sequence[str], single: int = 0) -> Iterator[Callable[[], Any]]:
    with apart(_serve, make, str(path), texts, single) as pipe:

        def seconds() -> Any:
            pipe.send(None)
            return answer(pipe)

        seconds()  # warm-up
        yield seconds


def _plain_int8(graph: Path, folder: Path) -> Path:
    """The graph in int8, as ONNX Runtime's documentation makes it."""
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, small = folder / "prepared.onnx", folder / "int8.onnx"
    quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(str(prepared), str(small), per_channel=True)
    return small


def prediction(source: Path, alternations: int, texts: int) -> list[Row]:
    """Every side once, and again: so often; then single texts.

    Args:
        source: CSV with a text column.
        alternations: how often.
        texts: in one of them.
    """
    table = read_table(str(source), Columns(), split="train").take(np.arange(texts))
    words, labelled = table.texts, (table.texts, table.labels)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        places = _train(folder, source)
        graph = striata.export(places["one"], folder / "onnx").folder / "onnx/model.onnx"
        own8 = striata.export(places["one"], folder / "int8", quantize="int8", data=labelled, agreement=0.0).folder
        sides: dict[str, tuple[Callable[[str], Logits], Path]] = {
            "ours": (_ours, places["one"]), "loop": (_loop, folder), "onnx": (_onnx, graph), "pipeline": (_pipeline, folder),
            "own int8": (_onnx, own8 / "onnx/model_quantized.onnx"),
            "int8": (_onnx, _plain_int8(graph, folder)), "four": (_ours, places["four"]),
            "distilled": (_ours, places["distilled"]), "products": (_products, places["one"]),
        }  # fmt: skip
        if importlib.util.find_spec("openvino") is not None:
            sides["openvino"] = (_openvino, graph)
        clocks = {name: stack.enter_context(_timed(make, path, words)) for name, (make, path) in sides.items()}
        measured: dict[str, list[float]] = defaultdict(list)
        for _ in range(alternations):
            for name, seconds in clocks.items():
                measured[name].append(texts / seconds())
        single = {name: stack.enter_context(_timed(*sides[name], words, single=_TEXTS_ALONE)) for name in _SINGLE}
        latency = {name: np.concatenate([seconds() for _ in range(alternations)]) * 1e3 for name, seconds in single.items()}
    one_large = Product(torch.float32, "cpu").rate() / 1e9
    rates = [_gigaflop(words) / texts * statistics.median(measured["products"])]
    rates.append(_gigaflop(words[:_TEXTS_ALONE]) / _TEXTS_ALONE / float(np.mean(latency["products"])) * 1e3)
    return _rows(measured, latency, [f"at {rate:.0f} GFLOP/s, a large one at {one_large:.0f}" for rate in rates])


def _rows(measured: dict[str, list[float]], latency: dict[str, np.ndarray], rates: Sequence[str]) -> list[Row]:
    def line(name: str, work: str, ours: str, other: str, versus: str, target: float) -> Row:
        pair = measured[ours], measured[other]
        return row(name, work, "texts a CPU second", *pair, quotients(*pair), versus=versus, target=target)

    run = f"one run of MiniLM in fp32, texts cut at {LONGEST} tokens"
    rows = [
        line("predict-loop", run, "ours", "loop", f"sorted, padded batches of {BATCH} in torch", 1.3),
        line("predict-onnx", run, "ours", "onnx", "ONNX Runtime, fp32", 1.3),
        *([line("predict-openvino", run, "ours", "openvino", "OpenVINO, fp32", 1.3)] if "openvino" in measured else []),
        line("predict-pipeline", run, "ours", "pipeline", "transformers' pipeline", 1.3),
        line("predict-int8", "the same as `export --quantize int8` writes it", "own int8", "int8", "ONNX Runtime, int8", 1.0),
        line("predict-share", run, "ours", "products", f"the encoder's products alone, {rates[0]}", 0.8),
    ]
    middle = {name: np.percentile(values, [50, 99]) for name, values in latency.items()}
    what = "one text: CPU ms, p50 (p99 {:.1f} against {:.1f})".format(middle["ours"][1], middle["loop"][1])
    alone = f"the encoder's products alone, {rates[1]}"
    for name, other, versus, target in (("latency", "loop", "torch, one text", 1.0), ("latency-share", "products", alone, 1.25)):
        sides = [[float(middle[side][0])] for side in ("ours", other)]
        rows.append(row(name, what, "ms", *sides, quotients(*sides), versus=versus, target=target, better="lower"))
        what = "one text: CPU ms, p50"
    for name, key, what in (
        ("four-members", "four", "an ensemble of four that adapt every layer: its cost in runs"),
        ("distilled", "distilled", "a run distilled from that ensemble: its cost in runs"),
    ):
        cost = quotients(measured["ours"], measured[key])
        seconds = [[1 / rate for rate in measured[side]] for side in (key, "ours")]
        rows.append(row(name, what, "CPU s a text", *seconds, cost, versus="one run", target=1.5, better="lower"))
    return rows
