"""A model as plain torch modules over padded batches: what other tools can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..baselines import Frozen
from ..baselines.network import Network
from ..ensemble.combiner import Combiner
from ..ensemble.merge import PREFIX
from ..layout import Plan
from ..layout.heads import ACTIVATIONS
from ..model.tensors import combine_tensors

Weights = Mapping[str, npt.NDArray[np.float32]]
Product = tuple[Tensor, Tensor]
_NOBODY = -1  # in the place of a member: the encoder as it is


class Adapted(nn.Module):
    """A frozen linear layer beside the low-rank products of the members that have one there.

    Args:
        layer: the encoder's own.
        products: A, (rank, in), and scale * B, (out, rank), by member.

    Attributes:
        member: whose turn it is.
    """

    def __init__(self, layer: nn.Module, products: Mapping[int, Product]) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.ParameterDict({str(member): nn.Parameter(down, False) for member, (down, _) in products.items()})
        self.up = nn.ParameterDict({str(member): nn.Parameter(up, False) for member, (_, up) in products.items()})
        self.member = 0

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        y: Tensor = self.layer(x)
        if str(self.member) not in self.down:
            return y
        return y + functional.linear(functional.linear(x, self.down[str(self.member)]), self.up[str(self.member)])


class PlainHead(nn.Module):
    """A head without dropout.

    Args:
        plan: whose head.
        weights: of the member, by peft's names.
        order: place of each label among the head's own.
    """

    def __init__(self, plan: Plan, weights: Weights, order: Sequence[int]) -> None:
        super().__init__()
        self._steps = [step for step in plan.head.steps if step.op != "dropout"]
        self.layers = nn.ModuleList()
        for step in self._steps:
            if not step.parameters:
                continue
            layer: nn.Module
            if step.op == "linear":
                layer = nn.Linear(step.in_features, step.out_features, bias=step.bias)
            else:
                layer = nn.LayerNorm(step.out_features, bias=step.bias)
            for name, parameter in layer.named_parameters():
                parameter.data = torch.from_numpy(np.array(weights[f"{PREFIX}{step.module}.{name}"]))
            self.layers.append(layer)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear), "a head ends with the labels"
        for parameter in last.parameters():
            parameter.data = parameter.data[list(order)]

    def forward(self, pooled: Tensor) -> Tensor:
        """(texts, size) -> (texts, labels)."""
        x, layers = pooled, iter(self.layers)
        for step in self._steps:
            x = next(layers)(x) if step.parameters else resolve_name(ACTIVATIONS[step.name])(x)
        return x


class Readout(nn.Module):
    """A model on means of the frozen encoder's last hidden states, and perhaps of the tokens' own embeddings.

    Args:
        frozen: as it was fitted.
        order: place of each label among its own.
    """

    def __init__(self, frozen: Frozen, order: Sequence[int]) -> None:
        super().__init__()
        model, places = frozen.model, list(order)
        self.reads_words = frozen.words > 0
        if isinstance(model, Network):
            pairs = [(model.first, model.first_bias), (model.second[:, places], model.second_bias[places])]
        else:
            pairs = [(model.weights[:, places], model.bias[places])]
        self.layers = nn.ModuleList()
        for weights, bias in pairs:
            layer = nn.Linear(*weights.shape)
            layer.load_state_dict({"weight": torch.from_numpy(weights.T.copy()), "bias": torch.from_numpy(bias.copy())})
            self.layers.append(layer)

    def forward(self, features: Tensor) -> Tensor:
        """(texts, size) -> (texts, labels)."""
        first, *second = self.layers
        x: Tensor = first(features)
        return second[0](functional.gelu(x)) if second else x


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each text, (texts, tokens, size) -> (texts, size)."""
    inside = mask[:, :, None].to(values.dtype)
    return (values * inside).sum(1) / inside.sum(1)


class Classifier(nn.Module):
    """Members on one encoder, and their combination.

    Args:
        encoder: the transformers model, without a head.
        pooler: paths of the encoder's own pooler.
        prefix: what plans of native heads put before the paths of the encoder's modules.
        heads: of the members, by name.
        adapters: plans and weights of those members that have adapters, by name.
        combiner: of their logits; none that cascades.
        divisors: what the combined logits are divided by, () or (labels,).
        apart: whether the encoder's own weights are needed beside the members', for :meth:`means`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        pooler: Sequence[str],
        prefix: str,
        heads: Mapping[str, PlainHead | Readout],
        adapters: Mapping[str, tuple[Plan, Weights]],
        combiner: Combiner,
        divisors: npt.NDArray[np.float64],
        apart: bool = False,
    ) -> None:
        super().__init__()
        self.encoder: Any = encoder.eval().requires_grad_(False)
        self._pooler, self._names, self._combiner = tuple(pooler), list(heads), combiner
        self.heads = nn.ModuleList(heads.values())
        self._pooling = next((plan.head.pooling for plan, _ in adapters.values()), "mean")
        self.inverse_temperature: Tensor
        self.register_buffer("inverse_temperature", torch.tensor(1 / divisors, dtype=torch.float32))
        self._adapted = self._adapt(prefix, adapters, merge=len(heads) == 1 and not apart)
        if combiner.stacking is not None:
            for at, name in enumerate(self._names):
                matrix = torch.from_numpy(combiner.stacking.coefficients[name].astype(np.float32))
                self.register_buffer(f"coefficients_{at}", matrix)
            self.register_buffer("intercept", torch.from_numpy(combiner.stacking.intercept.astype(np.float32)))

    def _adapt(self, prefix: str, adapters: Mapping[str, tuple[Plan, Weights]], *, merge: bool) -> list[Adapted]:
        """Puts the members' products into the encoder: into the layer itself where there is nothing but one, else beside it."""
        products: dict[str, dict[int, Product]] = {}
        for name, (plan, weights) in adapters.items():
            at = self._names.index(name)
            start = prefix + "." if plan.head.kind == "native" else ""
            for site in plan.sites:
                down, up = (torch.from_numpy(np.array(weights[f"{PREFIX}{site.module}.lora_{side}.weight"])) for side in "AB")
                products.setdefault(site.module.removeprefix(start), {})[at] = (down, up * site.scale)
        adapted = []
        for path, by_member in products.items():
            layer: Any = self.encoder.get_submodule(path)
            if merge:
                ((down, up),) = by_member.values()
                layer.weight.data += (up.double() @ down.double()).float()
            else:
                adapted.append(Adapted(layer, by_member))
                self.encoder.set_submodule(path, adapted[-1])
        return adapted

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Calibrated logits of a padded batch, (texts, labels), and the members' own, (members, texts, labels).

        Args:
            input_ids: (texts, tokens).
            attention_mask: 1 for tokens, 0 for padding, (texts, tokens).
            token_type_ids: 0 for first texts, 1 for second ones, (texts, tokens); for encoders that tell them apart.
        """
        members = self.members(input_ids, attention_mask, token_type_ids)
        return self._combined(members) * self.inverse_temperature, members

    def members(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """The members' own logits, (members, texts, labels); arguments as :meth:`forward`."""
        batch = (input_ids, attention_mask, token_type_ids)
        return torch.stack([self._member(at, *batch) for at in range(len(self.heads))])

    def means(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Means of the last hidden states without any adapter, (texts, size); arguments as :meth:`forward`."""
        return _mean(self._hidden(_NOBODY, input_ids, attention_mask, token_type_ids), attention_mask)

    def _hidden(self, at: int, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        for layer in self._adapted:
            layer.member = at
        typed = {} if types is None else {"token_type_ids": types}
        hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask, **typed).last_hidden_state
        return hidden

    def _member(self, at: int, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        hidden = self._hidden(at, ids, mask, types)
        head = self.heads[at]
        if isinstance(head, Readout):
            means = [_mean(hidden, mask)]
            means += [_mean(self.encoder.get_input_embeddings()(ids), mask)] if head.reads_words else []
            # Rounded as those are that it was fitted on.
            return head(torch.cat([mean.half().float() for mean in means], 1))  # type: ignore[no-any-return]
        pooled = hidden[:, :1]
        if self._pooling == "mean":
            pooled = _mean(hidden, mask)
        elif self._pooling == "pooler":
            for path in self._pooler:
                pooled = self.encoder.get_submodule(path)(pooled)
        logits: Tensor = head(pooled.reshape(-1, hidden.shape[-1]))
        return logits

    def _combined(self, members: Tensor) -> Tensor:
        weights = [self._combiner.weights[name] for name in self._names]
        stacked = None
        if self._combiner.stacking is not None:
            stacked = [self.get_buffer(f"coefficients_{at}") for at in range(len(weights))], self.get_buffer("intercept")
        return combine_tensors(list(members), weights, self._combiner.kind, stacked)


class _Graph(nn.Module):
    """A classifier with some of its outputs.

    Args:
        classifier: whose.
        outputs: as :func:`graph_of` takes them.
    """

    def __init__(self, classifier: Classifier, outputs: Sequence[str]) -> None:
        super().__init__()
        self.classifier, self._outputs = classifier, tuple(outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> tuple[Tensor, ...]:
        batch = (input_ids, attention_mask, token_type_ids)
        values: dict[str, Tensor] = {}
        if "logits" in self._outputs:
            values["logits"], values["member_logits"] = self.classifier(*batch)
        elif "member_logits" in self._outputs:
            values["member_logits"] = self.classifier.members(*batch)
        if "means" in self._outputs:
            values["means"] = self.classifier.means(*batch)
        return tuple(values[name] for name in self._outputs)


def graph_of(classifier: Classifier, outputs: Sequence[str]) -> nn.Module:
    """A classifier with as many outputs as its graph is to have.

    Args:
        classifier: whose.
        outputs: of "logits" (combined and calibrated), "member_logits" and "means".
    """
    return _Graph(classifier, outputs).eval()
