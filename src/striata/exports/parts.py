"""What of a model is written for another tool, and what cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..baselines import Frozen, Lexical, Majority, Neighbours
from ..ensemble.combiner import Combiner
from ..errors import ExportError
from ..families import Family
from ..layout import Head

if TYPE_CHECKING:
    from ..model import Model
    from ..runs import Run
    from .modules import Classifier

_FROZEN, _ROWS = "frozen", "neighbours"
_READERS: dict[str, Callable[[Path], Lexical | Majority]] = {"lexical": Lexical.read, "majority": Majority.read}


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The members on one encoder.

    Args:
        classifier: they, and their combination with the temperature inside where nobody else is in the model.
        words: folder or Hub name of the tokenizer.
        family: of the encoder.
        head: of the members with adapters; None where there are none.
        names: of the members whose logits it gives.
        outputs: of the graph: "logits", "member_logits", "means".
        max_length: most tokens of a text.
    """

    classifier: Classifier
    words: str
    family: Family
    head: Head | None
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    max_length: int

    @property
    def rounds(self) -> bool:
        """Whether a member reads embeddings rounded to 16 bits."""
        from .modules import Readout

        return "means" in self.outputs or any(isinstance(head, Readout) for head in self.classifier.heads)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A model taken apart.

    Args:
        folder: of the model, for messages.
        graphs: of its members on encoders, one for each encoder.
        texts: its members that read words, by name.
        nearest: its members that look up rows, by name, each with the place of its encoder's graph.
        order: for each member that is in no graph, the place of every label among its own.
        combiner: of the members' logits.
        divisors: what the combined logits are divided by: one number (), or one for each of several labels, (labels,).
        thresholds: probabilities from which on each of several labels is given; none where a text has one label.
        labels: in the order of the logits.
        pairs: whether it reads pairs of texts.
        checksum: stands for all that decides the answers.
    """

    folder: Path
    graphs: tuple[Graph, ...]
    texts: Mapping[str, Lexical | Majority]
    nearest: Mapping[str, tuple[int, Neighbours]]
    order: Mapping[str, Sequence[int]]
    combiner: Combiner
    divisors: npt.NDArray[np.float64]
    thresholds: tuple[float, ...]
    labels: tuple[str, ...]
    pairs: bool
    checksum: str

    @property
    def members(self) -> int:
        """How many."""
        return len(self.combiner.weights)

    @property
    def several(self) -> bool:
        """Whether a text may have several labels."""
        return bool(self.thresholds)

    @property
    def graph(self) -> Graph | None:
        """The graph that is the whole model; None where it takes more."""
        return self.graphs[0] if self.graphs and "logits" in self.graphs[0].outputs else None

    @property
    def max_length(self) -> int | None:
        """Most tokens of a text, by the encoder that reads most; None without an encoder."""
        return max((graph.max_length for graph in self.graphs), default=None)

    @property
    def rounds(self) -> bool:
        """Whether a member reads embeddings rounded to 16 bits."""
        return any(graph.rounds for graph in self.graphs)

    @property
    def jumps(self) -> bool:
        """Whether the last bit of an embedding may decide which row is among the nearest, or which stage answers."""
        cascade = self.combiner.cascade
        return bool(self.nearest) or (cascade is not None and cascade.early not in self.texts)

    def vocabulary(self) -> list[str]:
        """Words that the model knows."""
        if self.graphs:
            tokenizer = self.graphs[0].tokenizer()
            return sorted(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens))
        vectorizers = (member.vectorizer for member in self.texts.values() if isinstance(member, Lexical))
        terms = {term for one in vectorizers if one is not None for term in one.terms if term.split() == [term]}
        return sorted(terms) or ["word"]

    def notes(self) -> list[str]:
        """What one should know of what is written, in sentences."""
        return [
            f"{name} looks among {len(one.vectors):,} training rows, whose embeddings ({one.vectors.nbytes / 1e6:,.1f} MB) lie "
            "in the folder"
            for name, (_, one) in self.nearest.items()
        ]

    def alone(self, tool: str) -> Graph:
        """The graph of the only member, for a tool that has no other.

        Raises:
            ExportError: there are several members, or it is on no encoder.
        """
        advice = "export it to onnx, or one of its runs, its soup, or what `striata distil` trains on its answers"
        if self.combiner.cascade is not None:
            raise ExportError(f"{self.folder} is a cascade, which answers by stages, and no model that {tool} has; {advice}")
        if self.members > 1:
            raise ExportError(f"an ensemble of {self.members} is no model that {tool} has; {advice}")
        if self.graph is None:
            raise ExportError(f"{self.folder} reads words or looks up rows, which no model of {tool} does; export it to onnx")
        return self.graph


def take_apart(model: Model) -> Parts:
    """A model's weights, read from its folder, on fresh encoders in fp32.

    Raises:
        ExportError: a run names no encoder.
        EncoderError: an encoder cannot be loaded.
        RunError: a run is damaged.
    """
    runs = model.runs
    texts = {name: run.read(_READERS[run.kind]) for name, run in runs.items() if run.kind in _READERS}
    groups = _groups(runs)
    whole = len(groups) == 1 and model.combiner.cascade is None and set(groups[0]) == set(runs)
    whole = whole and all(run.kind != _ROWS for run in runs.values())
    graphs = tuple(_graph(group, model, whole=whole) for group in groups)
    nearest = {
        name: (at, run.read(Neighbours.read))
        for at, group in enumerate(groups)
        for name, run in group.items()
        if run.kind == _ROWS
    }
    return Parts(
        folder=model.folder,
        graphs=graphs,
        texts=texts,
        nearest=nearest,
        order={name: _order(runs[name], model) for name in (*texts, *nearest)},
        combiner=model.combiner,
        divisors=model.calibration.divisors,
        thresholds=model.calibration.thresholds,
        labels=tuple(model.labels),
        pairs=model.columns.text_pair is not None,
        checksum=model.identity,
    )


def _order(run: Run, model: Model) -> list[int]:
    return [run.labels.index(label) for label in model.labels]


def _groups(runs: Mapping[str, Run]) -> list[dict[str, Run]]:
    """The runs on encoders, those together that can share a pass: with one encoder, one tokenizer, one length and one head."""
    groups: list[dict[str, Run]] = []
    keys: list[tuple[object, Head | None]] = []
    for adapted in (True, False):  # those without a head of their own go to whoever has their encoder
        for name, run in runs.items():
            if run.kind in _READERS or (run.kind not in (_FROZEN, _ROWS)) != adapted:
                continue
            encoder = (run.facts.base_sha256, run.facts.tokenizer_sha256, run.facts.max_length)
            head = run.adapter_plan.head if adapted else None
            at = next((at for at, (own, other) in enumerate(keys) if own == encoder and (not adapted or other == head)), None)
            if at is None:
                at = len(groups)
                groups.append({})
                keys.append((encoder, head))
            groups[at][name] = run
    return groups


def _graph(runs: Mapping[str, Run], model: Model, *, whole: bool) -> Graph:
    import torch

    from ..engine.loading import load_model, weight_files
    from ..layout import shape_of
    from .modules import Classifier, PlainHead, Readout

    first = next(iter(runs.values()))
    base, words, length = first.base, first.tokenizer_base, first.facts.max_length
    if base is None or words is None or length is None:
        raise ExportError(f"run {first.path} names no encoder; it was written by another version of striata")
    family = shape_of(base).family
    names = [name for name in model.runs if name in runs and runs[name].kind != _ROWS]
    adapters = {name: (runs[name].adapter_plan, runs[name].tensors()) for name in names if runs[name].kind != _FROZEN}
    head = next((plan.head for plan, _ in adapters.values()), None)
    pooler = head is not None and head.pooling == "pooler" if family.pooler else None
    encoder = load_model(base, weight_files(base), packed=False, pooler=pooler, dtype=torch.float32)
    heads: dict[str, PlainHead | Readout] = {}
    for name in names:
        order = _order(runs[name], model)
        heads[name] = PlainHead(*adapters[name], order) if name in adapters else Readout(runs[name].read(Frozen.read), order)
    outputs = ["member_logits"] if names else []
    if whole:
        outputs = ["logits", *(outputs if len(names) > 1 else [])]
    elif len(names) < len(runs):
        outputs.append("means")
    classifier = Classifier(
        encoder,
        pooler=family.pooler,
        prefix=family.prefix,
        heads=heads,
        adapters=adapters,
        combiner=model.combiner if whole else Combiner(kind="logits", weights=dict.fromkeys(names, 1.0)),
        divisors=model.calibration.divisors if whole else np.ones(()),
        apart="means" in outputs,
    )
    return Graph(
        classifier=classifier.eval(), words=words, family=family, head=head, names=tuple(names), outputs=tuple(outputs),
        max_length=length,
    )  # fmt: skip
