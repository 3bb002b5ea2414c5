"""What of a model is written for another tool, and what cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExportError
from ..families import Family
from ..layout import Head

if TYPE_CHECKING:
    from ..model import Model
    from .modules import Classifier

_ENCODER_KINDS = ("adapter", "soup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A model taken apart.

    Args:
        classifier: members and their combination as plain torch modules, with the temperature inside.
        words: folder or Hub name of the tokenizer.
        family: of the encoder.
        head: of the members.
        labels: in the order of the logits.
        max_length: most tokens of a text.
        members: how many.
        pairs: whether it reads pairs of texts.
        checksum: stands for all that decides the answers.
    """

    classifier: Classifier
    words: str
    family: Family
    head: Head
    labels: tuple[str, ...]
    max_length: int
    members: int
    pairs: bool
    checksum: str

    @property
    def typed(self) -> bool:
        """Whether the encoder is told which of two texts a token belongs to."""
        config: Any = self.classifier.encoder.config
        return self.family.token_types and int(config.type_vocab_size or 0) > 1

    def tokenizer(self) -> Any:
        """The encoder's fast tokenizer, cutting at the model's length."""
        from transformers import AutoTokenizer

        folder = Path(self.words).expanduser()
        loaded = AutoTokenizer.from_pretrained(str(folder) if folder.is_dir() else self.words, use_fast=True)
        loaded.model_max_length = self.max_length
        return loaded


def take_apart(model: Model) -> Parts:
    """A model's weights, read from its folder, on a fresh encoder in fp32.

    Raises:
        ExportError: a member needs what no graph over one tokenizer's numbers has: words, neighbours, another encoder, or an
            answer by stages.
        EncoderError: the encoder cannot be loaded.
    """
    _check(model)
    import torch

    from ..engine.loading import load_model, weight_files
    from ..layout import shape_of
    from .modules import Classifier

    first = next(iter(model.runs.values()))
    base, words, head = first.base, first.tokenizer_base, first.adapter_plan.head
    length = first.facts.max_length
    if base is None or words is None or length is None:
        raise ExportError(f"run {first.path} names no encoder; it was written by another version of striata")
    family = shape_of(base).family
    pooler = head.pooling == "pooler" if family.pooler else None
    encoder = load_model(base, weight_files(base), packed=False, pooler=pooler, dtype=torch.float32)
    classifier = Classifier(
        encoder,
        pooler=family.pooler,
        prefix=family.prefix,
        members={name: (run.adapter_plan, run.tensors()) for name, run in model.runs.items()},
        orders={name: [run.labels.index(label) for label in model.labels] for name, run in model.runs.items()},
        combiner=model.combiner,
        temperature=model.calibration.temperature,
    )
    return Parts(
        classifier=classifier.eval(), words=words, family=family, head=head, labels=tuple(model.labels),
        max_length=length, members=len(model.runs), pairs=model.columns.text_pair is not None,
        checksum=model.identity,
    )  # fmt: skip


def _check(model: Model) -> None:
    if model.combiner.cascade is not None:
        raise ExportError(
            f"{model.folder} is a cascade, which answers by stages; export an ensemble, or one run: `striata distil` trains one "
            "on its answers"
        )
    others = [name for name, run in model.runs.items() if run.kind not in _ENCODER_KINDS]
    if others:
        raise ExportError(
            f"{model.folder} has members that read words or look up rows ({', '.join(others)}), which cannot be written for "
            "other tools; export one of its runs with adapters, an ensemble of these alone, or what `striata distil` trains on "
            "its answers"
        )
    if len(model.scorers) > 1:
        raise ExportError(
            f"{model.folder} has members on several encoders or with several heads; export one of its runs, or what "
            "`striata distil` trains on its answers"
        )
