"""What members read of a text, on the way from nothing to the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ..baselines import Baseline, Frozen, Lexical, Majority
from ..baselines.network import Network
from ..baselines.words import Vectorizer
from ..engine import collate
from ..engine.head import mean_pool
from ..errors import DataError
from ..model import Model
from ..model.baseline_scorers import EmbeddingScorer, TextScorer
from ..model.scorers import EncoderScorer
from .terms import occurrences
from .words import Span, Weights, Words

_NOBODY = -1  # a slot that no member has
Numbers = npt.NDArray[np.float64]
Logits = dict[str, Tensor]


class Reader(Protocol):
    """One or more members that read a text in one way.

    Attributes:
        linear: whether their logits are linear in what they read.
        tokens: how many they read of the text, over all members.
    """

    linear: bool
    tokens: int

    def at(self, shares: Tensor) -> tuple[Logits, Tensor | None]:
        """Logits of each member at points of the way, (points, labels) in the model's order, and what gradients are taken for,
        points first; None where the logits are constant.

        Args:
            shares: 0 for nothing to 1 for the whole text, (points,) float64.
        """
        ...

    def add(self, gradient: Tensor, weights: Weights) -> None:
        """Deals to the words what a gradient, averaged over the points, says of them."""
        ...


@dataclass(frozen=True, slots=True)
class _Tokens:
    """A text to an encoder.

    Args:
        embeddings: of its tokens, (tokens, size).
        nothing: of padding in their place; special tokens stay.
        spans: what each token stands for.
    """

    embeddings: Tensor
    nothing: Tensor
    spans: Sequence[Span | None]

    @classmethod
    def of(cls, ids: Tensor, spans: Sequence[Span | None], look_up: Callable[[Tensor], Tensor], padding: int) -> _Tokens:
        special = torch.tensor([span is None for span in spans], device=ids.device)
        with torch.no_grad():
            own, none = look_up(ids), look_up(torch.full_like(ids, padding))
        return cls(own, torch.where(special[:, None], own, none), spans)

    def at(self, shares: Tensor) -> Tensor:
        """(points, tokens, size), for gradients."""
        step = shares.to(self.embeddings)[:, None, None]
        return (self.nothing + step * (self.embeddings - self.nothing)).requires_grad_()

    def add(self, gradient: Tensor, weights: Weights) -> None:
        own = (gradient * (self.embeddings - self.nothing)).double().sum(-1).tolist()
        for span, weight in zip(self.spans, own, strict=True):
            weights.add(span, weight)


class EncoderReader:
    """Members with adapters on one encoder."""

    linear = False

    def __init__(self, scorer: EncoderScorer, names: Sequence[str], labels: Sequence[str], text: str, pair: str | None) -> None:
        self._engine, self._encoded = scorer.engine, scorer.tokenizer.encode([text], None if pair is None else [pair])
        slots = zip(scorer.labels, scorer.engine.slots, strict=True)
        self._slots = {name: slot for name, slot in slots if name in names}
        self._order = {name: _order(labels, scorer.labels[name]) for name in self._slots}
        ids = torch.from_numpy(self._encoded.ids.astype(np.int64)).to(self._engine.device)
        self._tokens = _Tokens.of(ids, scorer.tokenizer.spans(text, pair), self._engine.look_up, self._engine.padding)
        self.tokens = len(ids) * len(self._slots)

    def at(self, shares: Tensor) -> tuple[Logits, Tensor | None]:
        """See :meth:`Reader.at`."""
        leaf, points = self._tokens.at(shares), self._encoded.take([0] * len(shares))
        batch = collate([(slot, points) for slot in self._slots.values()], self._engine.device)
        batch = replace(batch, embeddings=leaf.flatten(0, 1).repeat(len(self._slots), 1))
        logits = self._engine.forward(batch)
        return {name: logits[slot][:, self._order[name]] for name, slot in self._slots.items()}, leaf

    def add(self, gradient: Tensor, weights: Weights) -> None:
        """See :meth:`Reader.add`."""
        self._tokens.add(gradient, weights)


class FrozenReader:
    """Small models on the mean embeddings of one frozen encoder; what they read is not rounded here."""

    linear = False

    def __init__(
        self, scorer: EmbeddingScorer, models: Mapping[str, Frozen], labels: Sequence[str], text: str, pair: str | None
    ) -> None:
        self._encoder, self._encoded = scorer.encoder, scorer.tokenizer.encode([text], None if pair is None else [pair])
        ids = torch.from_numpy(self._encoded.ids.astype(np.int64)).to(self._encoder.device)
        self._tokens = _Tokens.of(ids, scorer.tokenizer.spans(text, pair), self._encoder.look_up, self._encoder.padding)
        self._models = {name: (model, _order(labels, scorer.labels[name])) for name, model in models.items()}
        self.tokens = len(ids)

    def at(self, shares: Tensor) -> tuple[Logits, Tensor | None]:
        """See :meth:`Reader.at`."""
        leaf = self._tokens.at(shares)
        batch = collate([(_NOBODY, self._encoded.take([0] * len(shares)))], self._encoder.device)
        hidden = self._encoder.hidden(replace(batch, embeddings=leaf.flatten(0, 1)))
        lengths = torch.tensor(batch.lengths, device=hidden.device)
        means, words = mean_pool(hidden, lengths).double(), leaf.double().mean(1)
        logits = {
            name: _scores(model, torch.cat([means, words], 1) if model.words else means)[:, order]
            for name, (model, order) in self._models.items()
        }
        return logits, leaf

    def add(self, gradient: Tensor, weights: Weights) -> None:
        """See :meth:`Reader.add`."""
        self._tokens.add(gradient, weights)


def _scores(model: Frozen, features: Tensor) -> Tensor:
    def tensor(values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(values.astype(np.float64)).to(features.device)

    fitted = model.model
    if isinstance(fitted, Network):
        hidden = functional.gelu(features @ tensor(fitted.first) + tensor(fitted.first_bias))
        return hidden @ tensor(fitted.second) + tensor(fitted.second_bias)
    return features @ tensor(fitted.weights) + tensor(fitted.bias)


class TermReader:
    """A linear model on counted terms: TF-IDF times coefficient."""

    linear = True
    tokens = 1

    def __init__(
        self, name: str, baseline: Lexical, order: Sequence[int], text: str, pair: str | None, vectorizer: Vectorizer
    ) -> None:
        self._name, self._vectorizer, self._texts = name, vectorizer, (text, pair)
        row = vectorizer.transform([text], None if pair is None else [pair])
        self._columns, self._values = row.indices, torch.from_numpy(row.data.astype(np.float64))
        own = baseline.model.weights[row.indices]
        dense = own if isinstance(own, np.ndarray) else own.toarray()
        self._weights = torch.from_numpy(dense.astype(np.float64)[:, list(order)])
        self._bias = torch.from_numpy(baseline.model.bias.astype(np.float64)[list(order)])

    def at(self, shares: Tensor) -> tuple[Logits, Tensor | None]:
        """See :meth:`Reader.at`."""
        leaf = (shares[:, None] * self._values).requires_grad_()
        return {self._name: leaf @ self._weights + self._bias}, leaf

    def add(self, gradient: Tensor, weights: Weights) -> None:
        """See :meth:`Reader.add`; a term that both texts have gets half in each."""
        analysis, terms = self._vectorizer.analysis, self._vectorizer.terms
        places = [{} if text is None else occurrences(analysis, text) for text in self._texts]
        for column, weight in zip(self._columns.tolist(), (gradient * self._values).tolist(), strict=True):
            block, term = divmod(column, len(terms))
            for part in (0, 1) if block == 2 else (block,):
                spans = places[part].get(terms[term], [])
                share = weight / (2 if block == 2 else 1) / max(1, len(spans))
                for start, end in spans:
                    weights.add((part, start, end), share)
                if not spans:
                    weights.add(None, share)
        self._all_read(weights)

    def _all_read(self, weights: Weights) -> None:
        """It counts in the whole text, also where it knows no term."""
        weights.read[:] = True


class ConstantReader:
    """A member that gives every text the same logits."""

    linear = True
    tokens = 1

    def __init__(self, name: str, logits: npt.NDArray[np.floating]) -> None:
        self._name, self._logits = name, torch.from_numpy(logits.astype(np.float64))

    def at(self, shares: Tensor) -> tuple[Logits, Tensor | None]:
        """See :meth:`Reader.at`."""
        return {self._name: self._logits.expand(len(shares), -1)}, None

    def add(self, gradient: Tensor, weights: Weights) -> None:
        """See :meth:`Reader.add`; there is nothing to deal."""


def differentiable(model: Model, names: Sequence[str]) -> bool:
    """Whether all these members have gradients."""
    return all(model.runs[name].kind != "neighbours" for name in names)


def readers_of(model: Model, names: Sequence[str], words: Words) -> list[Reader]:
    """What some members of a model read of a text.

    Raises:
        DataError: one has no gradients.
    """
    text, pair = words.texts[0], words.texts[1] if len(words.texts) > 1 else None
    readers: list[Reader] = []
    for scorer in model.scorers:
        own = [name for name in scorer.labels if name in names]
        if not own:
            continue
        if isinstance(scorer, EncoderScorer):
            readers.append(EncoderReader(scorer, own, model.labels, text, pair))
        elif isinstance(scorer, TextScorer):
            baselines = {name: scorer.baselines[name] for name in own}
            frozen = _of_kind(baselines, Frozen)
            if frozen and isinstance(scorer, EmbeddingScorer):
                readers.append(FrozenReader(scorer, frozen, model.labels, text, pair))
            readers += [
                _text_reader(name, one, _order(model.labels, scorer.labels[name]), text, pair)
                for name, one in baselines.items()
                if name not in frozen
            ]
    return readers


def _text_reader(name: str, baseline: Baseline, order: Sequence[int], text: str, pair: str | None) -> Reader:
    if isinstance(baseline, Lexical):
        if baseline.vectorizer is None:
            return ConstantReader(name, baseline.model.bias[list(order)])
        return TermReader(name, baseline, order, text, pair if baseline.vectorizer.paired else None, baseline.vectorizer)
    if isinstance(baseline, Majority):
        return ConstantReader(name, baseline.priors[list(order)])
    raise DataError(f"gradients: {name} looks rows up and has none; use leave-one-out", argument="method")


Kind = TypeVar("Kind")


def _of_kind(baselines: Mapping[str, Baseline], kind: type[Kind]) -> dict[str, Kind]:
    return {name: baseline for name, baseline in baselines.items() if isinstance(baseline, kind)}


def _order(labels: Sequence[str], own: Sequence[str]) -> list[int]:
    """Place of each of the model's labels among a member's own."""
    return [own.index(label) for label in labels]
