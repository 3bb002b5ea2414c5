"""The frozen head that a masked-language model guesses tokens with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ..errors import EncoderError
from .encoder import Encoder
from .loading import fingerprint, load_masked_model, weight_files

if TYPE_CHECKING:
    from transformers.modeling_outputs import BaseModelOutput


class _HiddenStates(nn.Module):
    """Stands where the encoder stood: its output is what the model is given as embeddings."""

    def forward(self, *_: object, inputs_embeds: Tensor, **__: object) -> BaseModelOutput:
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=inputs_embeds)


class MaskedHead:
    """The masked-language head that an encoder was pretrained with, frozen, as transformers runs it.

    Args:
        model: the whole masked-language model; its encoder is taken out.
        encoder: whose hidden states the head reads, and whose table of tokens it shares where both are equal.
    """

    def __init__(self, model: nn.Module, encoder: Encoder) -> None:
        parts: Any = model.requires_grad_(False).eval()
        setattr(parts, parts.base_model_prefix, _HiddenStates())
        parts.to(encoder.device)
        output, words = parts.get_output_embeddings(), encoder.words.weight
        if output.weight.shape == words.shape and output.weight.equal(words):
            output.weight = words
        self._model = parts

    @classmethod
    def load(cls, encoder: Encoder) -> MaskedHead:
        """The head beside an encoder's weights.

        Raises:
            EncoderError: it is not there, or the files have changed since the encoder was loaded.
        """
        files = weight_files(encoder.base)
        model = load_masked_model(encoder.base, files, dtype=encoder.dtype)
        if fingerprint(files) != encoder.sha256:
            raise EncoderError(f"the weights of encoder '{encoder.base}' were changed while they were loaded; run it again")
        return cls(model, encoder)

    def __call__(self, hidden: Tensor) -> Tensor:
        """Last hidden states (tokens, size) -> logits (tokens, vocabulary), fp32."""
        logits: Tensor = self._model(inputs_embeds=hidden[None]).logits
        return logits.squeeze(0).float()
