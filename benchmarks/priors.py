"""Training on top of what words say, against averaging with it: differences in accuracy on new rows.

    python -m benchmarks.priors train.csv other.csv --rows 250 1000 --seeds 5
    python -m benchmarks.priors train.csv --rows 1000 --seeds 3 --adapters 100

Words (the baseline `lexical`) give every training row log-probabilities by a fit that has not seen it. A second model is trained
twice, with these added to its logits (a prior) and without. The first answers with the words' log-probabilities added, the second
is averaged with them. The second model is a logistic regression on frozen embeddings of MiniLM, its penalty chosen on a fifth of
the training rows, or with `--adapters STEPS` LoRA (r8 on query and value) by transformers and peft.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax
from transformers import AutoModel, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from striata.baselines.lexical import Lexical
from striata.baselines.rows import Rows
from striata.data import Columns, encode_labels, label_order, read_table
from striata.demo import encoder_folder

LONGEST, BATCH, RATE = 64, 16, 3e-3
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
_POOL, _TEST = 3000, 2000


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows as both models read them.

    Args:
        texts: of the rows.
        targets: (rows,) int64.
        inputs: embeddings or places of texts, whatever the second model reads, first dimension rows.
        prior: log-probabilities of the labels by words, (rows, labels).
    """

    texts: list[str]
    targets: Tensor
    inputs: Tensor
    prior: Tensor


class Encoding:
    """MiniLM, frozen or under adapters; texts as the mean of their tokens."""

    def __init__(self) -> None:
        self.folder = str(encoder_folder())
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)

    def model(self, adapters: bool) -> nn.Module:
        encoder = AutoModel.from_pretrained(self.folder, add_pooling_layer=False)
        config = LoraConfig(r=8, lora_alpha=8, target_modules=["query", "value"])
        model: nn.Module = get_peft_model(encoder, config) if adapters else encoder.requires_grad_(False).eval()
        return model

    def mean(self, model: nn.Module, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(list(texts), truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
        real = tokens["attention_mask"][..., None].float()
        pooled: Tensor = (model(**tokens).last_hidden_state * real).sum(1) / real.sum(1)
        return pooled

    @torch.inference_mode()
    def embed(self, model: nn.Module, texts: Sequence[str]) -> Tensor:
        order = np.argsort([len(text) for text in texts], kind="stable")
        rows = torch.cat([self.mean(model, [texts[at] for at in part]) for part in np.array_split(order, len(order) // 32 + 1)])
        return rows[torch.from_numpy(np.argsort(order))].clone()


def by_words(texts: list[str], targets: np.ndarray, test: list[str], labels: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities of training rows, each by a fit without it, and of test rows."""
    model = Lexical.fit(Rows(texts=texts), targets, labels)
    logits = model.out_of_fold(Rows(texts=texts), targets), model.logits(Rows(texts=test))
    own, others = (log_softmax(torch.from_numpy(np.asarray(part, np.float32)), -1) for part in logits)
    return own, others


def regression(rows: Part, prior: bool, labels: int) -> nn.Module:
    """A logistic regression with the penalty that is best on a fifth of the rows, fitted on all of them."""
    cut = len(rows.targets) // 5

    def fit(penalty: float, part: slice) -> nn.Linear:
        layer = nn.Linear(rows.inputs.shape[1], labels)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            logits = layer(rows.inputs[part]) + (rows.prior[part] if prior else 0)
            value = cross_entropy(logits, rows.targets[part]) + penalty * layer.weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return layer

    def held_out(penalty: float) -> float:
        layer = fit(penalty, slice(cut, None))
        with torch.no_grad():
            logits = layer(rows.inputs[:cut]) + (rows.prior[:cut] if prior else 0)
        return float(cross_entropy(logits, rows.targets[:cut]))

    return fit(min(PENALTIES, key=held_out), slice(None))


def adapted(rows: Part, test: Part, prior: bool, labels: int, steps: int, seed: int) -> Tensor:
    """Logits of test rows by an encoder with adapters, without the prior."""
    torch.manual_seed(seed)
    encoding = Encoding()
    model, head = encoding.model(True), nn.Linear(rows.inputs.shape[1], labels)
    nn.init.zeros_(head.bias)
    trained = [p for p in [*model.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 10) * (1 - step / steps))
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(rows.texts)) for _ in range(steps * BATCH // len(rows.texts) + 1)])
    model.train()
    for step in range(steps):
        at = order[step * BATCH : (step + 1) * BATCH]
        logits = head(encoding.mean(model, [rows.texts[row] for row in at])) + (rows.prior[at] if prior else 0)
        optimizer.zero_grad()
        cross_entropy(logits, rows.targets[at]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        result: Tensor = head(encoding.embed(model, test.texts))
        return result


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """In percent."""
    return 100 * float((logits.argmax(1) == targets).float().mean())


def compared(rows: Part, test: Part, labels: int, adapters: int, seed: int) -> tuple[float, float, float, float]:
    """Accuracy of words, of the second model alone, of their mean, and of the second model on top of words."""
    sides = []
    for prior in (False, True):
        if adapters:
            sides.append(adapted(rows, test, prior, labels, adapters, seed))
        else:
            with torch.no_grad():
                sides.append(regression(rows, prior, labels)(test.inputs))
    alone, on_top = sides
    mean = log_softmax(alone, -1) + test.prior
    answers = (test.prior, alone, mean, on_top + test.prior)
    words, single, averaged, top = (accuracy(logits, test.targets) for logits in answers)
    return words, single, averaged, top


def main() -> None:
    """Measures, and prints a line for each file and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="labelled rows")
    parser.add_argument("--rows", type=int, nargs="+", default=[250, 1000])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--adapters", type=int, default=0, metavar="STEPS")
    options = parser.parse_args()
    disable_progress_bar()
    encoding = Encoding()
    frozen = encoding.model(False)
    for file in options.files:
        table = read_table(file, Columns())
        names = label_order(table)
        chosen = np.random.default_rng(0).permutation(len(table))[: _POOL + _TEST]
        texts = [table.texts[at] for at in chosen]
        targets = encode_labels(table, names)[chosen]
        inputs = encoding.embed(frozen, texts)
        pool, test = np.split(np.arange(len(texts)), [len(texts) - min(_TEST, len(texts) // 2)])
        for count in options.rows:
            results = []
            for seed in range(options.seeds):
                own = np.random.default_rng([1, seed]).permutation(pool)[:count]
                words = by_words([texts[at] for at in own], targets[own], [texts[at] for at in test], len(names))
                rows, new = (
                    Part(texts=[texts[a] for a in at], targets=torch.from_numpy(targets[at]), inputs=inputs[at], prior=prior)
                    for at, prior in zip((own, test), words, strict=True)
                )
                results.append(compared(rows, new, len(names), options.adapters, seed))
            gains = np.array(results)[:, 3] - np.array(results)[:, 2]
            error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
            means = ", ".join(
                f"{name} {value:.2f}"
                for name, value in zip(("words", "alone", "mean", "on top"), np.mean(results, 0), strict=True)
            )
            print(f"{file}, {len(own):,} rows: {means}; on top minus mean {gains.mean():+.2f} (error {error:.2f})", flush=True)


if __name__ == "__main__":
    main()
