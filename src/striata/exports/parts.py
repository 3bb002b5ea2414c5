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

_FROZEN, _KINDS = "frozen", ("adapter", "soup", "frozen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A model taken apart.

    Args:
        classifier: members and their combination as plain torch modules, with the temperature inside.
        words: folder or Hub name of the tokenizer.
        family: of the encoder.
        head: of the members with adapters; None where there are none.
        labels: in the order of the logits.
        max_length: most tokens of a text.
        pairs: whether it reads pairs of texts.
        checksum: stands for all that decides the answers.
    """

    classifier: Classifier
    words: str
    family: Family
    head: Head | None
    labels: tuple[str, ...]
    max_length: int
    pairs: bool
    checksum: str

    @property
    def members(self) -> int:
        """How many."""
        return len(self.classifier.heads)

    @property
    def rounds(self) -> bool:
        """Whether a member reads embeddings rounded to 16 bits."""
        from .modules import Readout

        return any(isinstance(head, Readout) for head in self.classifier.heads)

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

    from ..baselines import Frozen
    from ..engine.loading import load_model, weight_files
    from ..layout import shape_of
    from .modules import Classifier, PlainHead, Readout

    first = next(iter(model.runs.values()))
    base, words, length = first.base, first.tokenizer_base, first.facts.max_length
    if base is None or words is None or length is None:
        raise ExportError(f"run {first.path} names no encoder; it was written by another version of striata")
    family = shape_of(base).family
    adapters = {name: (run.adapter_plan, run.tensors()) for name, run in model.runs.items() if run.kind != _FROZEN}
    head = next((plan.head for plan, _ in adapters.values()), None)
    pooler = head is not None and head.pooling == "pooler" if family.pooler else None
    encoder = load_model(base, weight_files(base), packed=False, pooler=pooler, dtype=torch.float32)
    heads: dict[str, PlainHead | Readout] = {}
    for name, run in model.runs.items():
        order = [run.labels.index(label) for label in model.labels]
        heads[name] = PlainHead(*adapters[name], order) if name in adapters else Readout(run.read(Frozen.read), order)
    classifier = Classifier(
        encoder,
        pooler=family.pooler,
        prefix=family.prefix,
        heads=heads,
        adapters=adapters,
        combiner=model.combiner,
        temperature=model.calibration.temperature,
    )
    return Parts(
        classifier=classifier.eval(), words=words, family=family, head=head, labels=tuple(model.labels),
        max_length=length, pairs=model.columns.text_pair is not None,
        checksum=model.identity,
    )  # fmt: skip


def _check(model: Model) -> None:
    if model.combiner.cascade is not None:
        raise ExportError(
            f"{model.folder} is a cascade, which answers by stages; export an ensemble, or one run: `striata distil` trains one "
            "on its answers"
        )
    others = [name for name, run in model.runs.items() if run.kind not in _KINDS]
    if others:
        raise ExportError(
            f"{model.folder} has members that read words or look up rows ({', '.join(others)}), which cannot be written for "
            "other tools; export one of its other runs, an ensemble of these, or what `striata distil` trains on its answers"
        )
    facts = [run.facts for run in model.runs.values()]
    encoders = {(one.base_sha256, one.tokenizer_sha256, one.max_length) for one in facts}
    heads = {run.adapter_plan.head for run in model.runs.values() if run.kind != _FROZEN}
    if len(encoders) > 1 or len(heads) > 1:
        raise ExportError(
            f"{model.folder} has members on several encoders or with several heads; export one of its runs, or what "
            "`striata distil` trains on its answers"
        )
