"""Small valid files of every format that is read, and what reads them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import ClassLabel, Dataset, Features, Value, concatenate_datasets

from striata.data import Columns, Tokenizer, read_table
from striata.engine import Encoder
from striata.layout import make_plan, resolve, shape_of
from striata.layout.heads import head_of
from striata.settings import load_study
from striata.study.members import plan_members

from ..engine.models import make_encoder

TEXTS = ["Stocks, they say, rise", 'He said "no"', "two\nlines", "Köln 🏆", "x" * 50, "the last"]
LABELS = ["b", "w", "b", "s", "7", "b"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Args:
        name: of it.
        write: writes valid files into a folder; the ones that are to be changed.
        read: reads one of them, with whatever lies around it.
    """

    name: str
    write: Callable[[Path], list[Path]]
    read: Callable[[Path], object]


def _table(path: Path) -> object:
    return read_table(str(path), Columns())


def _frame() -> pd.DataFrame:
    return pd.DataFrame({"text": TEXTS, "label": LABELS, "score": np.arange(6) / 3})


def _csv(folder: Path) -> list[Path]:
    _frame().to_csv(folder / "a.csv", index=False)
    _frame().to_csv(folder / "b.csv", index=False, lineterminator="\r\n")
    return [folder / "a.csv", folder / "b.csv"]


def _tsv(folder: Path) -> list[Path]:
    _frame().to_csv(folder / "a.tsv", index=False, sep="\t")
    return [folder / "a.tsv"]


def _json_lines(folder: Path) -> list[Path]:
    _frame().to_json(folder / "a.jsonl", orient="records", lines=True)
    return [folder / "a.jsonl"]


def _parquet(folder: Path) -> list[Path]:
    _frame().to_parquet(folder / "a.parquet", row_group_size=2, compression=None)
    _frame().astype({"label": "category"}).to_parquet(folder / "b.parquet", compression="zstd")
    _labelled().to_parquet(str(folder / "c.parquet"))
    return sorted(folder.iterdir())


def _labelled() -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["good", "bad"])})
    return Dataset.from_dict({"text": TEXTS, "label": [0, 1, 0, 1, 1, 0]}, features=features)


def _saved(folder: Path) -> list[Path]:
    _labelled().save_to_disk(folder / "saved")
    return sorted((folder / "saved").iterdir())


def _pickles(folder: Path) -> list[Path]:
    frame, labelled = _frame(), _labelled()
    values: dict[str, Any] = {
        "frame": frame,
        "words": frame.astype({"text": "string", "label": "category", "score": "Float64"}),
        "set": labelled,
        "joined": concatenate_datasets([labelled, labelled.select([3, 1])]),
    }
    for name, value in values.items():
        for protocol in (0, 2, 4, 5):
            (folder / f"{name}{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))
    return sorted(folder.iterdir())


def _studies(folder: Path) -> list[Path]:
    (folder / "study.yaml").write_text(
        "base: roberta-base\nhead: linear\ndata: {train: t.csv, validation: 0.2, max_length: 64, label: topic}\nbudget: 900k\n"
        "layouts:\n  - s8\n  - 0-3 r4 a4 d0.05 query | 4-11 r8 value\n  - {layout: s1, name: mine, recipe: {warmup: 0.1}}\n"
        "controls: [uniform]\nseeds: [0, 1]\nrecipe: &r\n  optimizer: {name: adamw, betas: [0.9, 0.99]}\n  batch_size: 16\n"
        "  max_steps: 100\n  class_weights: {a: 1.0, b: 2}\nensemble: {method: greedy, size: 4}\nsearch: false\noutput: runs/x\n"
    )
    (folder / "search.yaml").write_text(
        "base: bert-base-uncased\ndata: t.csv\noutput: x\n"
        "search: {trials: 5, ranks: [2, 4], dropout: [0, 0.1], prune: {after: 2}}\n"
    )
    return sorted(folder.iterdir())


def _study(path: Path) -> object:
    return plan_members(load_study(path), 3)


def _layouts(folder: Path) -> list[Path]:
    (folder / "layout.yaml").write_text("name: mine\ndepth: 12\nlayout:\n  - 0-5 r4 a8 d0.05 query value\n  - 6-11 r16 ffn_in\n")
    return [folder / "layout.yaml"]


def _encoder(folder: Path) -> Path:
    from tokenizers import Tokenizer as Raw
    from tokenizers import models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizerFast

    made = make_encoder(folder, "bert", layers=2)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij", "##a", "##b", "stock", "rise"]
    raw = Raw(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    BertTokenizerFast(tokenizer_object=raw, model_max_length=80).save_pretrained(made)
    return made


def _configuration(folder: Path) -> list[Path]:
    for family in ("roberta", "albert", "modernbert", "deberta-v2"):
        make_encoder(folder, family, layers=4)
    return sorted(folder.glob("*/config.json"))


def _tokenizer(folder: Path) -> list[Path]:
    made = _encoder(folder)
    return [path for path in sorted(made.iterdir()) if path.name != "model.safetensors"]


def _tokens(path: Path) -> object:
    tokenizer = Tokenizer.load(str(path.parent), 16)
    return tokenizer.encode(TEXTS), tokenizer.encode(TEXTS, TEXTS)


def _weights(folder: Path) -> list[Path]:
    return [_encoder(folder) / "model.safetensors"]


def _load(path: Path) -> object:
    base = str(path.parent)
    return Encoder.load(base, head=head_of(shape_of(base), "linear", 3), precision="fp32", device="cpu")


def _indexed(folder: Path) -> list[Path]:
    made = _encoder(folder)
    (made / "model.safetensors").rename(made / "model-00001-of-00001.safetensors")
    from safetensors import safe_open

    with safe_open(made / "model-00001-of-00001.safetensors", "pt") as file:
        index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(file.keys(), "model-00001-of-00001.safetensors")}
    (made / "model.safetensors.index.json").write_text(json.dumps(index))
    return [made / "model.safetensors.index.json"]


FORMATS = (
    Format("csv", _csv, _table),
    Format("tsv", _tsv, _table),
    Format("json-lines", _json_lines, _table),
    Format("parquet", _parquet, _table),
    Format("arrow", _saved, lambda path: _table(path.parent)),
    Format("pickle", _pickles, _table),
    Format("study", _studies, _study),
    Format("layout", _layouts, lambda path: resolve(path, shape_of("roberta-base"))),
    Format("config", _configuration, lambda path: make_plan("0/1-1/1 r4 ffn_in", base=str(path.parent), labels=3)),
    Format("tokenizer", _tokenizer, _tokens),
    Format("safetensors", _weights, _load),
    Format("index", _indexed, _load),
)
