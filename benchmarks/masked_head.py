"""MiniLM with a masked-language head, which its checkpoint lacks: for measuring adaptation by masked tokens.

    python -m benchmarks.masked_head train.csv minilm-masked --steps 1500
    python -m benchmarks.adaptation train.csv --base minilm-masked --rows 1000 --seeds 5 --unlabelled 12000 --test 5000

The encoder stays as it is, to the bit; a head of BERT's form (a layer, GELU, norm, a decoder that begins as the table of tokens)
learns from its last hidden states. The texts are those that `benchmarks.adaptation` leaves over with the figures above. Every
hundred steps the mean loss of the last hundred is printed, beside that of guessing by how often tokens come.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, PreTrainedTokenizerBase

from striata.data import Columns, read_table
from striata.demo import encoder_folder

_TOKENS = 64  # of a text
_TEXTS = 64  # a step
_DRAWN = 20_000  # rows that benchmarks.adaptation uses: 3,000 labelled, 12,000 without labels, 5,000 to test on


def masked(tokens: Tensor, special: Tensor, tokenizer: PreTrainedTokenizerBase, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """What the encoder reads, and which tokens are guessed: 15 %, of which 80 % are masked and 10 % another token."""
    guessed = (torch.rand(tokens.shape, generator=draw) < 0.15) & ~special
    how = torch.rand(tokens.shape, generator=draw)
    read = tokens.masked_fill(guessed & (how < 0.8), int(tokenizer.mask_token_id))
    other = torch.randint(len(tokenizer), tokens.shape, generator=draw)
    return torch.where(guessed & (how >= 0.9), other, read), guessed


def train(model: BertForMaskedLM, texts: list[str], tokenizer: PreTrainedTokenizerBase, steps: int, rate: float) -> None:
    """Trains the head of a model, and nothing else, by AdamW with a rate that falls linearly."""
    model.eval().requires_grad_(False)
    head = model.cls.requires_grad_(True)
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 100) * (1 - step / steps))
    draw = torch.Generator().manual_seed(0)
    units = torch.cpu._is_amx_tile_supported()  # for bf16
    counts, losses = torch.ones(len(tokenizer)), list[float]()
    for step in range(steps):
        rows = torch.randint(len(texts), (_TEXTS,), generator=draw).tolist()
        batch = tokenizer([texts[row] for row in rows], truncation=True, max_length=_TOKENS, padding=True, return_tensors="pt")
        tokens = batch["input_ids"]
        special = (batch["attention_mask"] == 0) | (tokens == tokenizer.cls_token_id) | (tokens == tokenizer.sep_token_id)
        read, guessed = masked(tokens, special, tokenizer, draw)
        with torch.autocast("cpu", torch.bfloat16, enabled=units):
            with torch.no_grad():
                hidden = model.bert(input_ids=read, attention_mask=batch["attention_mask"]).last_hidden_state[guessed]
            loss = cross_entropy(head(hidden).float(), tokens[guessed])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        counts += torch.bincount(tokens[~special], minlength=len(counts))
        losses.append(loss.item())
        if not (step + 1) % 100:
            shares = counts / counts.sum()
            entropy = -(shares * shares.log()).sum().item()
            print(f"{step + 1} steps, loss {np.mean(losses[-100:]):.3f}, of {entropy:.3f} by counts alone", flush=True)
            assert math.isfinite(losses[-1])


def main() -> None:
    """Trains the head, and writes the encoder with it as a folder of transformers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="texts")
    parser.add_argument("out", type=Path, help="folder of the encoder with its head")
    parser.add_argument("--steps", type=int, default=1500, help=f"of {_TEXTS} texts")
    parser.add_argument("--rate", type=float, default=1e-3)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    base = encoder_folder()
    config = BertConfig.from_pretrained(base, tie_word_embeddings=False)
    model = BertForMaskedLM.from_pretrained(base, config=config)
    with torch.no_grad():
        model.cls.predictions.decoder.weight.copy_(model.bert.embeddings.word_embeddings.weight)
        torch.nn.init.eye_(model.cls.predictions.transform.dense.weight)
        model.cls.predictions.decoder.bias.zero_()
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = read_table(arguments.file, Columns())
    texts = rows.take(np.random.default_rng(16).permutation(len(rows))[_DRAWN:]).texts
    train(model, texts, tokenizer, arguments.steps, arguments.rate)
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
