"""What is to be known of a family of encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .head_steps import HeadStep

Config = Mapping[str, Any]


class Size(NamedTuple):
    """A whole number in a configuration.

    Args:
        key: its name there.
        default: what transformers takes where a configuration leaves it out.
    """

    key: str
    default: int


class NativeHead(NamedTuple):
    """The head of a family's own classification model.

    Args:
        pooling: what it reads: "first" (token), "mean" (of the tokens), or "pooler" (the encoder's own, frozen).
        steps: from there to the logits.
    """

    pooling: str
    steps: tuple[HeadStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What striata knows of a family of encoders as transformers builds them. All paths are relative to the encoder.

    Args:
        name: transformers' model type.
        prefix: the encoder's name in the classification model.
        layer: path of a layer: `{i}` stands for its number, or `{group}` and `{inside}` for its place where layers lie in groups.
        targets: for each target that layouts may name, its module's path inside a layer.
        hidden: size of the hidden states.
        inner: size inside the feed-forward block.
        depth: numbers whose product is how many different layers there are.
        layers_in_group: how many layers a group has, where they lie in groups; else None.
        passes: how many layers a text passes through, where different ones are used several times; else None.
        gated: whether the first feed-forward layer makes a gate beside its values, and so twice the inner size.
        packed: whether attention can be replaced, so that batches need no padding.
        absolute_positions: whether positions are numbers of a table, whose end no text may pass.
        positions_after_padding: whether the first token's position is one more than the padding token's number, not 0.
        token_types: whether the encoder can tell the two texts of a pair apart.
        pooler: modules that make the pooled text of the first token's hidden state, one after another; none without a pooler.
        block_ends: inside a layer, the modules made of dense layer, dropout, residual addition and layer norm: attention's first,
            then the feed-forward block's; none where the ends of blocks are built otherwise.
        masked_head: name of a weight that only checkpoints with the family's masked-language head have; empty without a head.
        dropouts: where the dropout before the last layer of a classifier stands: keys of the configuration, of which the first
            that is there counts, and a number where none is.
        head: makes the native head from the configuration, the hidden size, the number of labels and that dropout.
    """

    name: str
    prefix: str
    layer: str
    targets: Mapping[str, str]
    hidden: Size
    inner: Size
    depth: tuple[Size, ...]
    layers_in_group: Size | None = None
    passes: Size | None = None
    gated: bool = False
    packed: bool = True
    absolute_positions: bool = True
    positions_after_padding: bool = False
    token_types: bool = False
    pooler: tuple[str, ...] = ()
    block_ends: tuple[str, ...] = ()
    masked_head: str = ""
    dropouts: tuple[str | float, ...]
    head: Callable[[Config, int, int, float], NativeHead]

    def classifier_dropout(self, config: Config) -> float:
        """The dropout before the last layer of a classifier, as transformers takes it from a configuration."""
        for source in self.dropouts:
            value = config.get(source) if isinstance(source, str) else source
            if value is not None:
                return float(value)
        raise AssertionError(f"the dropouts of {self.name} end in no number")

    def native_head(self, config: Config, hidden: int, labels: int) -> NativeHead:
        """The head of the family's own classification model.

        Args:
            config: the encoder's configuration.
            hidden: size of its hidden states.
            labels: number of labels.
        """
        return self.head(config, hidden, labels, self.classifier_dropout(config))
