"""Baselines in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..baselines import BASELINES, Baseline, Rows
from ..data import Tokenizer
from ..errors import RunError
from ..layout import make_plan
from ..runs import Run

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Texts = tuple[Sequence[str], Sequence[str] | None]


class TextScorer:
    """Baselines that read the texts themselves.

    Args:
        runs: by name.

    Attributes:
        baselines: by the names of their runs.

    Raises:
        RunError: a run is damaged.
    """

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self.labels = {name: run.labels for name, run in runs.items()}
        self.trainable = sum(run.trainable for run in runs.values())
        self.baselines: dict[str, Baseline] = {name: run.read(BASELINES[run.kind].read) for name, run in runs.items()}

    @property
    def identity(self) -> str:
        """Nothing but the runs' own files decides the logits."""
        return "texts"

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, Floats]:
        """Logits of each run by its name, (texts, labels)."""
        rows = self.rows(texts, pairs)
        return {name: baseline.logits(rows) for name, baseline in self.baselines.items()}

    def rows(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Rows:
        """What the baselines read."""
        return Rows(texts=list(texts), pairs=None if pairs is None else list(pairs))

    def lengths(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Ints:
        """Numbers of words, (texts,)."""
        second = pairs if pairs is not None else [""] * len(texts)
        return np.array([len(text.split()) + len(pair.split()) for text, pair in zip(texts, second, strict=True)], np.int64)

    def truncated(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Bools:
        """None: words are read to the end."""
        return np.zeros(len(texts), np.bool_)

    def differ(self, texts: Texts, others: Texts) -> Bools:
        """Where the texts are not the same, (texts,)."""
        first, second = (list(zip(t, p or [""] * len(t), strict=True)) for t, p in (texts, others))
        return np.array([one != other for one, other in zip(first, second, strict=True)], np.bool_)


class EmbeddingScorer(TextScorer):
    """Baselines that read the mean embeddings of one frozen encoder.

    Args:
        runs: by name, of one encoder and length of texts.
        device: "cpu", "cuda" or "auto".
        precision: of :data:`striata.choices.PRECISIONS`.

    Raises:
        RunError: the encoder's weights are not those with which the baselines were fitted.
        EncoderError: the encoder cannot be loaded.
    """

    def __init__(self, runs: Mapping[str, Run], *, device: str, precision: str) -> None:
        from ..engine import Encoder

        super().__init__(runs)
        first = next(iter(runs.values()))
        base, words, max_length = first.base, first.tokenizer_base, first.facts.max_length
        if base is None or words is None or max_length is None:
            raise RunError(f"run {first.path} names no encoder; it was written by another version of striata")
        head = make_plan("0-0 r1 query", base=base, labels=2, head="mean").head
        self.encoder = Encoder.load(base, head=head, precision=precision, device=device)
        if self.encoder.sha256 != first.facts.base_sha256:
            raise RunError(f"run {first.path} was fitted with other weights than those of {base} here; give it the same encoder")
        self.tokenizer = Tokenizer.load(words, max_length)
        if self.tokenizer.sha256 != first.facts.tokenizer_sha256:
            raise RunError(f"run {first.path} was fitted with another tokenizer than that of {words} here; give it the same one")

    @property
    def identity(self) -> str:
        """Precision and device."""
        return f"{self.encoder.dtype} {self.encoder.device.type}"

    def rows(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Rows:
        """Texts with their embeddings, rounded as those of the training rows are."""
        from ..engine import embed, embed_words

        encoded = self.tokenizer.encode(texts, pairs)
        vectors, words = (read(self.encoder, encoded).astype(np.float16) for read in (embed, embed_words))
        return Rows(texts=list(texts), pairs=None if pairs is None else list(pairs), vectors=vectors, words=words)

    def truncated(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Bools:
        """Which texts have more tokens than are embedded, (texts,)."""
        return self.tokenizer.encode(texts, pairs).truncated


def text_scorers(runs: Mapping[str, Run], *, device: str, precision: str) -> list[TextScorer]:
    """One scorer for all; device and precision do not matter."""
    return [TextScorer(runs)]


def embedding_scorers(runs: Mapping[str, Run], *, device: str, precision: str) -> list[EmbeddingScorer]:
    """A scorer for each encoder and length of texts."""
    groups: dict[tuple[str | None, int | None], dict[str, Run]] = {}
    for name, run in runs.items():
        groups.setdefault((run.facts.base_sha256, run.facts.max_length), {})[name] = run
    return [EmbeddingScorer(group, device=device, precision=precision) for group in groups.values()]
