"""A tiny encoder with a tokenizer, learnable texts, and studies of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from striata.disk.files import sha256_file
from striata.training.events import Listener

from ..engine.models import VOCABULARY, make_encoder

WORDS = [f"w{i}" for i in range(VOCABULARY - 4)]
LABELS = ("Business", "Sports", "World")


def make_base(folder: Path, family: str = "roberta", **options: Any) -> Path:
    """An encoder's folder with a word tokenizer; with `masked=True`, with a masked-language head and a token for the mask."""
    base = make_encoder(folder, family, layers=3, **options)
    raw = RawTokenizer(
        models.WordLevel({w: i for i, w in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}, unk_token="<unk>")
    )
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    mask = {"mask_token": WORDS[-1]} if options.get("masked") else {}
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>", model_max_length=64, **mask
    ).save_pretrained(base)
    return base


def write_texts(path: Path, rows: int, *, seed: int = 0, labels: bool = True) -> Path:
    """Rows whose label shows in their words, as CSV."""
    rng = np.random.default_rng(seed)
    lines = ["text,label" if labels else "text"]
    for _ in range(rows):
        label = int(rng.integers(len(LABELS)))
        own = rng.integers(label * 25, label * 25 + 3, 6)
        words = [WORDS[i] for i in (*own, *rng.integers(0, len(WORDS), int(rng.integers(1, 4))))]
        lines.append(" ".join(words) + (f",{LABELS[label]}" if labels else ""))
    path.write_text("\n".join(lines) + "\n")
    return path


def noting(lines: list[str]) -> Listener:
    """A listener that collects the notes."""
    return lambda event: lines.append(event.message) if event.kind == "note" else None


def study_of(folder: Path, **changes: Any) -> dict[str, Any]:
    """A study of three layouts; its encoder and data are made when they are not there."""
    base = folder / "roberta"
    if not base.exists():
        make_base(folder, dropout=0.1)
        write_texts(folder / "train.csv", 150)
        write_texts(folder / "test.csv", 40, seed=1)
    recipe = {
        "optimizer": "adamw", "learning_rate": 0.03, "batch_size": 8, "max_steps": 20, "evaluate_every": 5, "patience": None,
        "precision": "fp32",
    }  # fmt: skip
    study = {
        "base": str(base),
        "data": {"train": str(folder / "train.csv"), "validation": 40, "max_length": 32},
        "layouts": ["0 r2 a4 d0.05 query | 1-2 r4 a4 d0.1 query", "0-2 r2 query value", "1-2 r3 a6 d0.2 query ffn_in"],
        "baselines": "none",
        "recipe": recipe,
        "ensemble": {"size": 2},
        "output": str(folder / "out"),
    }
    for key, value in changes.items():
        study[key] = {**study[key], **value} if isinstance(value, dict) and isinstance(study.get(key), dict) else value
    return study


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
