"""Predicts with the ONNX folder that this file lies in; copied there as `predict.py`.

It needs numpy, and where the folder has a graph onnxruntime and tokenizers, and nothing of striata::

    pip install numpy onnxruntime tokenizers
    python predict.py "a text" "another text"
    python predict.py < texts.txt

Each argument, or each line of what is piped in, is a text; of a model of pairs, two texts with a tab between them. For each
text one line of JSON comes out: its label and the calibrated probabilities of all labels. Where a text may have several labels,
its label is `a|b`, or empty, and `labels` is the list of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

GRAPHS = ("onnx/model_quantized.onnx", "onnx/model.onnx")
PLAN = "model.json"  # who answers and how that is combined, where one graph is not the whole model
MEANS = "means"  # the graph's output with the mean of each text's last hidden states
PART = "#"  # before a part of a word among the terms
_AT_ONCE = 32  # texts in one batch
_WORD = re.compile(r"(?u)\b\w\w+\b")
_SPACES = re.compile(r"\s\s+")


class Graph:
    """An encoder's graph with its tokenizer, read when a text first needs them.

    Args:
        folder: with the graph, `tokenizer.json` and `config.json`.
        max_length: most tokens of a text.
    """

    def __init__(self, folder: Path, max_length: int) -> None:
        self.folder, self.max_length = folder, max_length
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.enable_truncation(self.max_length)
        pad = int(self.config.get("pad_token_id") or 0)
        tokenizer.enable_padding(pad_id=pad, pad_token=tokenizer.id_to_token(pad))
        return tokenizer

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
        graph = next(self.folder / name for name in GRAPHS if (self.folder / name).is_file())
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def run(self, texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, Any]:
        """Each output of the graph by its name, float32, of one batch of at least one text."""
        rows = self._tokenizer.encode_batch(list(texts) if pairs is None else list(zip(texts, pairs, strict=True)))
        columns = {
            "input_ids": [row.ids for row in rows],
            "attention_mask": [row.attention_mask for row in rows],
            "token_type_ids": [row.type_ids for row in rows],
        }
        inputs = {tensor.name: np.array(columns[tensor.name], np.int64) for tensor in self._session.get_inputs()}
        names = [tensor.name for tensor in self._session.get_outputs()]
        return {name: np.asarray(value, np.float32) for name, value in zip(names, self._session.run(names, inputs), strict=True)}


def terms_of(text: str, analyzer: str, ngrams: Sequence[int], fragment: int | None) -> list[str]:
    """What is counted in a text, as scikit-learn's vectorizers of the same settings have it.

    Args:
        text: any.
        analyzer: "word" (two letters or more, and sequences of words) or "char".
        ngrams: shortest and longest sequence.
        fragment: length of the parts of words that are counted beside them, or None for none.
    """
    text = text.lower()
    units: Sequence[str] = _WORD.findall(text) if analyzer == "word" else _SPACES.sub(" ", text)
    glue = " " if analyzer == "word" else ""
    low, high = ngrams
    terms = [
        glue.join(units[at : at + size]) for size in range(low, min(high, len(units)) + 1) for at in range(len(units) - size + 1)
    ]
    if fragment is not None:
        for word in (f" {word} " for word in text.split()):
            terms += [PART + word[at : at + fragment] for at in range(max(1, len(word) - fragment + 1))]
    return terms


class Words:
    """A member that counts words: TF-IDF and a linear model.

    Args:
        facts: of the member, from the plan.
        folder: with its arrays and its terms.
    """

    def __init__(self, facts: dict[str, Any], folder: Path) -> None:
        terms = json.loads((folder / facts["terms"]).read_text(encoding="utf-8"))
        self._places = {term: at for at, term in enumerate(terms)}
        parts = facts["fragment"] is not None
        self._blocks = np.array([parts and term.startswith(PART) for term in terms], np.int64)
        self._settings = facts["analyzer"], facts["ngrams"], facts["fragment"]
        self._paired = facts["paired"]
        with np.load(folder / facts["arrays"]) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Any:
        """(texts, labels) float32."""
        rows = [self.features(text, pair) for text, pair in zip(texts, pairs or [""] * len(texts), strict=True)]
        return np.stack([self._scores(*row) for row in rows])

    def features(self, text: str, pair: str) -> tuple[Any, Any]:
        """Columns and values of one row: of the text, of the second one, and of what both have."""
        places, values = self._weighted(text)
        if not self._paired:
            return places, values
        others, theirs = self._weighted(pair)
        both, one, two = np.intersect1d(places, others, return_indices=True)
        size = len(self._places)
        columns = np.concatenate([places, others + size, both + 2 * size])
        return columns, np.concatenate([values, theirs, np.sqrt(values[one] * theirs[two])])

    def _weighted(self, text: str) -> tuple[Any, Any]:
        counts = Counter(self._places[term] for term in terms_of(text, *self._settings) if term in self._places)
        places = np.array(sorted(counts), np.int64)
        values = (np.log(np.array([counts[at] for at in places.tolist()], np.float32)) + 1) * self._arrays["idf"][places]
        blocks = self._blocks[places]
        lengths = np.sqrt(np.bincount(blocks, values.astype(np.float64) ** 2, 2))
        return places, (values / lengths[blocks]).astype(np.float32)

    def _scores(self, columns: Any, values: Any) -> Any:
        bias = self._arrays["bias"]
        if "weights" in self._arrays:
            return np.add.reduce(values[:, None] * self._arrays["weights"][columns], axis=0, dtype=np.float32) + bias
        starts, labels, weights = (self._arrays[name] for name in ("indptr", "indices", "data"))
        sums = np.zeros_like(bias)
        for column, value in zip(columns.tolist(), values, strict=True):
            part = slice(starts[column], starts[column + 1])
            sums[labels[part]] += value * weights[part]
        return sums + bias


class Nearest:
    """A member that looks up the training rows whose embeddings lie nearest.

    Args:
        facts: of the member, from the plan.
        folder: with its arrays.
    """

    def __init__(self, facts: dict[str, Any], folder: Path) -> None:
        with np.load(folder / facts["arrays"]) as arrays:
            self._rows, self._targets = arrays["vectors"].astype(np.float32), arrays["targets"]
            self._factors, priors = arrays["factors"], arrays["priors"].astype(np.float64)
        self._several = self._targets.ndim == 2
        self._shares = _sigmoids(priors) if self._several else np.exp(priors)
        self._count, self._sharpness, self._scale = min(facts["count"], len(self._rows)), facts["sharpness"], facts["scale"]

    def logits(self, means: Any) -> Any:
        """(texts, labels) float32 for the encoder's means, (texts, size)."""
        vectors = means.astype(np.float16).astype(np.float32)  # as those of the training rows are
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
        close = unit @ self._rows.T
        best = np.argpartition(-close, self._count - 1, axis=1)[:, : self._count]
        cosines = np.take_along_axis(close, best, 1)
        weights = np.exp(self._sharpness * (cosines - cosines.max(1, keepdims=True))) * self._factors[best]
        if self._several:
            votes = self._shares + np.einsum("qn,qnl->ql", weights, self._targets[best])
        else:
            votes = np.tile(self._shares, (len(means), 1))
            np.add.at(votes, (np.repeat(np.arange(len(means)), self._count), self._targets[best].ravel()), weights.ravel())
        shares = votes / (1 + weights.sum(1, keepdims=True))
        logs = np.log(shares / (1 - shares) if self._several else shares).astype(np.float32)
        return (logs * np.float32(self._scale)).astype(np.float32)


def _probabilities(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _sigmoids(logits: Any) -> Any:
    return np.exp(-np.logaddexp(0, -logits))


def _log_probabilities(logits: Any) -> Any:
    below = logits - logits.max(-1, keepdims=True)
    return below - np.log(np.exp(below).sum(-1, keepdims=True))


class Composed:
    """Members of several kinds, and their combination.

    Args:
        folder: with the plan and what it names.
    """

    def __init__(self, folder: Path) -> None:
        self.plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        self._graphs = [Graph(folder / graph["folder"], graph["max_length"]) for graph in self.plan["graphs"]]
        self._inside = [graph["members"] for graph in self.plan["graphs"]]
        self._words = {facts["name"]: Words(facts, folder) for facts in self.plan["words"]}
        self._nearest = {facts["name"]: (facts["graph"], Nearest(facts, folder)) for facts in self.plan["nearest"]}

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Any:
        """Calibrated logits, (texts, labels) float32, of one batch."""
        cascade, names = self.plan["cascade"], list(self.plan["weights"])
        if cascade is None:
            combined = self._combined(self._members(names, texts, pairs))
        else:
            own = self._members([cascade["early"]], texts, pairs)
            scaled = own[cascade["early"]].astype(np.float64) / cascade["early_temperature"]
            sure = _probabilities(scaled).max(1) >= (2.0 if cascade["threshold"] is None else cascade["threshold"])
            combined = scaled.astype(np.float32)
            if rest := np.flatnonzero(~sure).tolist():
                some = [texts[at] for at in rest], None if pairs is None else [pairs[at] for at in rest]
                late = {name: logits[rest] for name, logits in own.items()}
                late |= self._members([name for name in names if name not in own], *some)
                combined[rest] = self._combined(late) / np.float32(cascade["late_temperature"])
        return combined / np.asarray(self.plan["temperature"], np.float32)

    def _members(self, names: Sequence[str], texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, Any]:
        """Logits of these members, by name; those on one encoder share a pass."""
        members = {name: self._words[name].logits(texts, pairs) for name in names if name in self._words}
        for at, inside in enumerate(self._inside):
            near = {name: nearest for name, (graph, nearest) in self._nearest.items() if graph == at and name in names}
            if not near and not set(inside) & set(names):
                continue
            outputs = self._graphs[at].run(texts, pairs)
            members |= {name: nearest.logits(outputs[MEANS]) for name, nearest in near.items()}
            members |= {name: outputs["member_logits"][place] for place, name in enumerate(inside) if name in names}
        return members

    def _combined(self, members: dict[str, Any]) -> Any:
        stacking, weights = self.plan["stacking"], self.plan["weights"]
        several = {name: members[name].astype(np.float64) for name in weights}
        if stacking is not None:
            parts = [_log_probabilities(several[name]) @ np.array(matrix).T for name, matrix in stacking["coefficients"].items()]
            return (sum(parts) + np.array(stacking["intercept"])).astype(np.float32)
        if self.plan["kind"] == "probabilities":
            mean = sum(weight * _probabilities(several[name]) for name, weight in weights.items())
            return np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)
        return np.asarray(sum(weight * several[name] for name, weight in weights.items()), np.float32)


class Classifier:
    """The model of an exported folder.

    Args:
        folder: with `striata.json`, and the graph beside its tokenizer or the plan of a composed model.
        max_length: most tokens of a text; None for what `striata.json` says.

    Attributes:
        labels: in the order of the logits.
    """

    def __init__(self, folder: Path, max_length: int | None = None) -> None:
        facts = json.loads((folder / "striata.json").read_text(encoding="utf-8")) if (folder / "striata.json").is_file() else {}
        self._ordered, self._thresholds = bool(facts.get("ordered")), facts.get("thresholds")
        self._answer: Callable[[Sequence[str], Sequence[str] | None], Any]
        if (folder / PLAN).is_file():
            composed = Composed(folder)
            self.labels, self._answer = composed.plan["labels"], composed.logits
            return
        graph = Graph(folder, int(facts["max_length"]) if max_length is None else max_length)
        self.labels = [graph.config["id2label"][str(at)] for at in range(len(graph.config["id2label"]))]
        self._answer = lambda texts, pairs: graph.run(texts, pairs)["logits"]

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        """Calibrated logits, (texts, labels) float32, of one batch.

        Args:
            texts: at least one.
            pairs: as many second texts, for a model of pairs.
        """
        return self._answer(texts, pairs)

    def probabilities(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Any:
        """Calibrated probabilities, (texts, labels), of any number of texts; they add up to 1 where a text has one label."""
        parts = [np.zeros((0, len(self.labels)))]
        of = _probabilities if self._thresholds is None else _sigmoids
        for at in range(0, len(texts), _AT_ONCE):
            some = None if pairs is None else pairs[at : at + _AT_ONCE]
            parts.append(of(self.logits(texts[at : at + _AT_ONCE], some).astype(np.float64)))
        return np.concatenate(parts)

    def decide(self, probabilities: Any) -> Any:
        """The label of each text: the likeliest, or, where labels have an order, the median; where a text may have several the
        list of those that reach their thresholds.

        Args:
            probabilities: from :meth:`probabilities`.
        """
        if self._thresholds is not None:
            reached = probabilities >= np.array(self._thresholds)
            return [[label for label, reaches in zip(self.labels, row, strict=True) if reaches] for row in reached.tolist()]
        if self._ordered:
            places = (np.cumsum(probabilities, 1)[:, :-1] < 0.5).sum(1)
        else:
            places = np.argsort(-probabilities, axis=1, kind="stable")[:, 0]
        return [self.labels[place] for place in places]


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
    probabilities = model.probabilities(texts, pairs)
    for label, row in zip(model.decide(probabilities), probabilities, strict=True):
        shares = {name: round(float(share), 6) for name, share in zip(model.labels, row, strict=True)}
        answer = {"label": label} if isinstance(label, str) else {"label": "|".join(label), "labels": label}
        print(json.dumps({**answer, "probabilities": shares}, ensure_ascii=False))


if __name__ == "__main__":
    main()
