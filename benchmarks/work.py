"""The work that is measured: an encoder's shape with random weights, real texts, and nine layouts."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from striata.data import Encoded, Tokenizer
from striata.layout import shape_of

LABELS = 4
BATCH = 16
LONGEST = 512
SEED_LAYOUTS = tuple(f"s{number}" for number in range(1, 10))
PEER_LAYOUT = "0-11 r16 a4 d0.1 query"
FILES = Path(__file__).parents[2] / "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What both sides are given.

    Args:
        base: folder with configuration, random weights and tokenizer.
        texts: token ids of the texts, special tokens included.
        targets: their labels, (rows,) int64.
        longest: most tokens of a text.
        device: "cpu" or "cuda".
    """

    base: Path
    texts: Encoded
    targets: np.ndarray
    longest: int
    device: str = "cpu"

    def flop_per_token(self) -> int:
        """Arithmetic no engine can do without: each matrix of the encoder once forward, once backward for its input."""
        shape = shape_of(str(self.base))
        sizes = [shape.sizes(target) for target in shape.family.targets]
        layers = int(shape.config.get("num_hidden_layers") or shape.depth)
        return 4 * layers * sum(into * out for into, out in sizes)


def read_texts(path: Path, rows: int) -> tuple[list[str], list[int]]:
    """The first rows of a CSV with the columns text and label."""
    with open(path, newline="", encoding="utf-8") as lines:
        rows_read = list(islice(csv.DictReader(lines), rows))
    return [row["text"] for row in rows_read], [int(row["label"]) for row in rows_read]


def load(base: Path, texts: Path, *, rows: int) -> Work:
    """The work on an encoder's folder that is already there; see :func:`prepared`."""
    words, labels = read_texts(texts, rows)
    longest = min(LONGEST, AutoTokenizer.from_pretrained(base).model_max_length)
    encoded = Tokenizer.load(str(base), longest).encode(words)
    return Work(base=base, texts=encoded, targets=np.array(labels, np.int64), longest=longest)


@contextmanager
def prepared(model: Path, texts: Path, *, rows: int) -> Iterator[Work]:
    """Makes the encoder in a temporary folder and tokenizes the texts.

    Args:
        model: folder with config.json and tokenizer; weights in it are not used.
        texts: CSV with the columns text and label.
        rows: how many of its rows are used.
    """
    with TemporaryDirectory() as folder:
        base = Path(folder) / "encoder"
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(model, num_labels=LABELS)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(base)
        AutoTokenizer.from_pretrained(model).save_pretrained(base)
        yield load(base, texts, rows=rows)
