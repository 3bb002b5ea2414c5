"""Predicts with the ONNX folder that this file lies in; copied there as `predict.py`.

It needs numpy, onnxruntime and tokenizers, and nothing of striata::

    pip install numpy onnxruntime tokenizers
    python predict.py "a text" "another text"
    python predict.py < texts.txt

Each argument, or each line of what is piped in, is a text; of a model of pairs, two texts with a tab between them. For each
text one line of JSON comes out: its label and the calibrated probabilities of all labels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

GRAPHS = ("onnx/model_quantized.onnx", "onnx/model.onnx")
_AT_ONCE = 32  # texts in one batch


class Classifier:
    """The model of an exported folder.

    Args:
        folder: with the graph, `tokenizer.json`, `config.json` and `striata.json`.
        max_length: most tokens of a text; None for what `striata.json` says.

    Attributes:
        labels: in the order of the logits.
    """

    def __init__(self, folder: Path, max_length: int | None = None) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.labels = [config["id2label"][str(at)] for at in range(len(config["id2label"]))]
        if max_length is None:
            max_length = int(json.loads((folder / "striata.json").read_text(encoding="utf-8"))["max_length"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_length)
        pad = int(config.get("pad_token_id") or 0)
        self._tokenizer.enable_padding(pad_id=pad, pad_token=self._tokenizer.id_to_token(pad))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
        graph = next(folder / name for name in GRAPHS if (folder / name).is_file())
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self._names = [tensor.name for tensor in self._session.get_inputs()]

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        """Calibrated logits, (texts, labels) float32, of one batch.

        Args:
            texts: at least one.
            pairs: as many second texts, for a model of pairs.
        """
        rows = self._tokenizer.encode_batch(list(texts) if pairs is None else list(zip(texts, pairs, strict=True)))
        columns = {
            "input_ids": [row.ids for row in rows],
            "attention_mask": [row.attention_mask for row in rows],
            "token_type_ids": [row.type_ids for row in rows],
        }
        inputs = {name: np.array(columns[name], np.int64) for name in self._names}
        return np.asarray(self._session.run(["logits"], inputs)[0], np.float32)

    def probabilities(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        """Calibrated probabilities, (texts, labels), of any number of texts."""
        parts = [np.zeros((0, len(self.labels)))]
        for at in range(0, len(texts), _AT_ONCE):
            some = None if pairs is None else pairs[at : at + _AT_ONCE]
            logits = self.logits(texts[at : at + _AT_ONCE], some).astype(np.float64)
            powers = np.exp(logits - logits.max(1, keepdims=True))
            parts.append(powers / powers.sum(1, keepdims=True))
        return np.concatenate(parts)


def split(lines: Iterable[str]) -> tuple[list[str], list[str] | None]:
    """Texts, and second texts where every line has a tab."""
    halves = [line.rstrip("\r\n").split("\t", 1) for line in lines]
    if halves and all(len(half) == 2 for half in halves):
        return [half[0] for half in halves], [half[1] for half in halves]
    return ["\t".join(half) for half in halves], None


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line of JSON for each text."""
    parser = argparse.ArgumentParser(description="Labels and probabilities of texts, as JSON Lines.")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="without any, each line of standard input is one")
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # whatever the system's own is
    texts, pairs = split(parser.parse_args(arguments).texts or sys.stdin)
    model = Classifier(Path(__file__).resolve().parent)
    for row in model.probabilities(texts, pairs):
        best = model.labels[int(np.argsort(-row, kind="stable")[0])]
        shares = {label: round(float(share), 6) for label, share in zip(model.labels, row, strict=True)}
        print(json.dumps({"label": best, "probabilities": shares}, ensure_ascii=False))


if __name__ == "__main__":
    main()
