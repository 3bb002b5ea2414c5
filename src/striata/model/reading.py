"""How members read texts, whatever they make of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import RunError
from .inputs import check_texts
from .scorers import EncoderScorer, Scorer

_Floats = npt.NDArray[np.float32]


class Reading:
    """What a model's members read of texts.

    Attributes:
        folder: the model's.
        scorers: the members in groups that share a pass.
    """

    folder: Path
    scorers: Sequence[Scorer]

    def embed(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> _Floats:
        """Means of a frozen encoder's last hidden states, adapters not used, (texts, hidden size).

        Of several encoders it is that of the first member that has one.

        Raises:
            DataError: as :meth:`logits`.
            RunError: no member has an encoder.
        """
        check_texts(texts)
        for scorer in self.scorers:
            if isinstance(scorer, EncoderScorer):
                return scorer.embed(texts, pairs)
        raise RunError(f"no member of {self.folder} has an encoder to embed texts with; give a run with adapters")

    def lengths(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> npt.NDArray[np.int64]:
        """How long texts are to the first member, as a rule in tokens, (texts,)."""
        return self.scorers[0].lengths(texts, pairs)

    def truncated(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> npt.NDArray[np.bool_]:
        """Of which texts some member reads the beginning only, since they are longer than it takes, (texts,)."""
        cut: npt.NDArray[np.bool_] = np.any([scorer.truncated(texts, pairs) for scorer in self.scorers], axis=0)
        return cut

    def differ(
        self, texts: tuple[Sequence[str], Sequence[str] | None], others: tuple[Sequence[str], Sequence[str] | None]
    ) -> npt.NDArray[np.bool_]:
        """Where two lists of texts, each with its second texts or None, are not one and the same to some member, (texts,)."""
        differ: npt.NDArray[np.bool_] = np.any([scorer.differ(texts, others) for scorer in self.scorers], axis=0)
        return differ
