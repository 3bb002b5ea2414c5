"""What gives logits for texts: runs, grouped so that those that can share a pass do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..choices import PRECISIONS
from ..data import Encoded, Tokenizer
from ..errors import RunError
from ..runs import Run
from .baseline_scorers import EmbeddingScorer, embedding_scorers, text_scorers

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Scorer(Protocol):
    """One or more runs that answer texts together.

    Attributes:
        labels: of each run by its name, in the order of that run's logits.
        identity: stands for what decides the logits beside the runs' own files, such as the precision.
        trainable: parameters that were trained, of all runs together.
    """

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]: ...

    @property
    def identity(self) -> str: ...

    @property
    def trainable(self) -> int: ...

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, Floats]:
        """Logits of each run by its name, (texts, labels).

        Args:
            texts: any number, none of them empty.
            pairs: as many second texts, for models of pairs.

        Raises:
            DataError: the texts are not what the runs were trained on: pairs, or no pairs.
        """
        ...

    def lengths(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Ints:
        """How long texts are to the runs, in the units they read, (texts,)."""
        ...

    def truncated(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Bools:
        """Of which texts the runs read the beginning only, (texts,)."""
        ...

    def differ(
        self, texts: tuple[Sequence[str], Sequence[str] | None], others: tuple[Sequence[str], Sequence[str] | None]
    ) -> Bools:
        """Where two lists of texts, each with its second texts or None, are not one and the same to the runs, (texts,)."""
        ...


class EncoderScorer:
    """Runs on one frozen encoder, which is passed through once for all of them.

    Args:
        runs: by name; with one encoder, head, length of texts and number of labels.
        device: "cpu", "cuda" or "auto".
        precision: of :data:`striata.choices.PRECISIONS`.

    Raises:
        RunError: the encoder's weights or tokenizer are not those the runs were trained with, or a run's own do not fit its plan.
        EncoderError: the encoder cannot be loaded.
    """

    def __init__(self, runs: Mapping[str, Run], *, device: str, precision: str) -> None:
        from ..engine import Encoder, Engine, Stack  # loads torch, for which a damaged run need not wait

        self.labels = {name: run.labels for name, run in runs.items()}
        self.trainable = sum(run.trainable for run in runs.values())
        first = next(iter(runs.values()))
        base, sha256, max_length = first.base, first.facts.base_sha256, first.facts.max_length
        words, read_by = first.tokenizer_base, first.facts.tokenizer_sha256
        if base is None or words is None or sha256 is None or max_length is None or read_by is None:
            raise RunError(f"run {first.path} names no encoder; it was written by another version of striata")
        self.encoder = encoder = Encoder.load(base, head=first.adapter_plan.head, precision=precision, device=device)
        if encoder.sha256 != sha256:
            raise RunError(
                f"run {first.path} was trained on other weights than those of {base} here "
                f"(SHA-256 {sha256[:12]}..., here {encoder.sha256[:12]}...); give it the same encoder"
            )
        self.engine: Engine = Stack(encoder, [run.adapter_plan for run in runs.values()])
        for slot, run in zip(self.engine.slots, runs.values(), strict=True):
            self.engine.load(slot, run.tensors())
        self.engine.settle()
        self.tokenizer = Tokenizer.load(words, max_length)
        if self.tokenizer.sha256 != read_by:
            raise RunError(
                f"run {first.path} was trained with another tokenizer than that of {words} here "
                f"(SHA-256 {read_by[:12]}..., here {self.tokenizer.sha256[:12]}...); give it the same tokenizer files"
            )

    @property
    def identity(self) -> str:
        """Precision and device."""
        return f"{self.engine.dtype} {self.engine.device.type}"

    @property
    def way(self) -> str:
        """Device and precision by the names they are chosen by, e.g. `cpu fp32`."""
        dtype = str(self.engine.dtype).removeprefix("torch.")
        return f"{self.engine.device.type} {next(name for name, choice in PRECISIONS.items() if choice.dtype == dtype)}"

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, Floats]:
        """Logits of each run by its name, (texts, labels)."""
        return dict(zip(self.labels, self.engine.predict(self.tokenizer.encode(texts, pairs)), strict=True))

    def embed(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Floats:
        """Means of the frozen encoder's last hidden states, adapters not used, (texts, hidden size)."""
        return self.engine.embed(self.tokenizer.encode(texts, pairs))

    def lengths(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Ints:
        """Numbers of tokens, (texts,)."""
        return self.tokenizer.encode(texts, pairs).lengths

    def truncated(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Bools:
        """Which texts have more tokens than are read, (texts,)."""
        return self.tokenizer.encode(texts, pairs).truncated

    def differ(
        self, texts: tuple[Sequence[str], Sequence[str] | None], others: tuple[Sequence[str], Sequence[str] | None]
    ) -> Bools:
        """Where the tokens are not the same, (texts,)."""
        one, other = self.tokenizer.encode(*texts), self.tokenizer.encode(*others)
        return np.array([not np.array_equal(_tokens(one, at), _tokens(other, at)) for at in range(len(one))], np.bool_)


def _tokens(encoded: Encoded, at: int) -> npt.NDArray[np.int32]:
    return encoded.ids[encoded.starts[at] : encoded.starts[at + 1]]


def encoder_scorers(runs: Mapping[str, Run], *, device: str, precision: str) -> list[Scorer]:
    """A scorer for each encoder (with its head, length of texts and number of labels) that runs were trained on."""
    groups: dict[tuple[object, ...], dict[str, Run]] = {}
    for name, run in runs.items():
        facts = run.facts
        encoder = (facts.base_sha256, facts.tokenizer_sha256, facts.max_length)
        key = (*encoder, run.adapter_plan.head, len(facts.labels))
        groups.setdefault(key, {})[name] = run
    return [EncoderScorer(group, device=device, precision=precision) for group in groups.values()]


def share_encoders(scorers: Iterable[Scorer]) -> None:
    """Lets the frozen weights of these scorers' encoders that are equal lie in memory once; no logit changes."""
    encoders = [scorer.encoder for scorer in scorers if isinstance(scorer, EncoderScorer | EmbeddingScorer)]
    if len(encoders) > 1:
        from ..engine import share_weights

        share_weights(encoders)


class MakeScorers(Protocol):
    """Groups runs of its kinds and makes a scorer of each group; every run is in one."""

    def __call__(self, runs: Mapping[str, Run], *, device: str, precision: str) -> Sequence[Scorer]: ...


SCORERS: dict[str, MakeScorers] = {
    "adapter": encoder_scorers,
    "soup": encoder_scorers,
    "majority": text_scorers,
    "lexical": text_scorers,
    "frozen": embedding_scorers,
    "neighbours": embedding_scorers,
}
"""What makes scorers of runs, by the kind that runs record. Kinds with one maker share what it shares."""


def scorers_for(runs: Mapping[str, Run], *, device: str, precision: str) -> list[Scorer]:
    """Scorers that have all runs between them.

    Args:
        runs: by name.
        device: "cpu", "cuda" or "auto".
        precision: of :data:`striata.choices.PRECISIONS`; "auto" is fp32 where the study of a run says fp32, as it was measured.

    Raises:
        RunError: a run is of a kind that this version cannot use, or not whole.
        EncoderError: an encoder cannot be loaded.
    """
    by_maker: dict[MakeScorers, dict[str, Run]] = {}
    if precision == "auto" and any(run.facts.precision == "fp32" for run in runs.values()):
        precision = "fp32"
    for name, run in runs.items():
        if run.kind not in SCORERS:
            raise RunError(f"run {run.path} is of kind '{run.kind}'; expected one of {', '.join(SCORERS)}")
        by_maker.setdefault(SCORERS[run.kind], {})[name] = run
    return [scorer for make, group in by_maker.items() for scorer in make(group, device=device, precision=precision)]
