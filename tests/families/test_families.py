"""Each entry against the model that transformers builds from a configuration of that family."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModelForSequenceClassification

from striata.families import FAMILIES, Family
from striata.layout import shape_of

from ..engine.models import LABELS, make_encoder

every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def classifier(folder: Path, family: Family) -> nn.Module:
    """A tiny classification model, and its folder left behind."""
    model: nn.Module = AutoModelForSequenceClassification.from_pretrained(
        make_encoder(folder, family.name, layers=3, dropout=0.3)
    )
    return model


def test_no_two_entries_are_of_one_family() -> None:
    assert list(FAMILIES) == [family.name for family in FAMILIES.values()]
    assert len(FAMILIES) == 11


@every_family
def test_modules_are_where_the_entry_says(tmp_path: Path, family: Family) -> None:
    model = classifier(tmp_path, family)
    assert getattr(model, "base_model_prefix") == family.prefix  # noqa: B009
    encoder, shape = model.get_submodule(family.prefix), shape_of(str(tmp_path / family.name))
    linears = {path for path, module in encoder.named_modules() if isinstance(module, nn.Linear)}
    paths = {shape.module(target, layer) for layer in range(shape.depth) for target in family.targets}
    assert len(paths) == shape.depth * len(family.targets)
    inside = {path for path in linears if path.startswith(tuple(f"{shape.layer(at)}." for at in range(shape.depth)))}
    assert paths == inside  # every linear layer of every layer is a target, and nothing else is
    for target in family.targets:
        linear = encoder.get_submodule(shape.module(target, shape.depth - 1))
        assert (linear.in_features, linear.out_features) == shape.sizes(target)


@every_family
def test_sizes_and_their_defaults_are_transformers(family: Family) -> None:
    config = AutoConfig.for_model(family.name).to_dict()
    for size in (family.hidden, family.inner, *family.depth, *filter(None, (family.layers_in_group, family.passes))):
        assert config[size.key] == size.default


@every_family
def test_what_the_engine_replaces_is_what_the_entry_says(tmp_path: Path, family: Family) -> None:
    """Ends of blocks by their children, positions, token types and poolers by what transformers' model has and takes."""
    model, shape = classifier(tmp_path, family), shape_of(str(tmp_path / family.name))
    encoder = model.get_submodule(family.prefix)
    if family.packed:
        built_so = {"dense", "dropout", "LayerNorm"}
        ends = [path for path, module in encoder.named_modules() if {name for name, _ in module.named_children()} == built_so]
        assert ends == [f"{shape.layer(at)}.{end}" for at in range(shape.depth) for end in family.block_ends]
    positions = dict(encoder.named_modules()).get("embeddings.position_embeddings")
    assert (getattr(positions, "padding_idx", None) is not None) == family.positions_after_padding
    kind = MODEL_MAPPING[AutoConfig.for_model(family.name).__class__]
    assert ("token_type_ids" in inspect.signature(kind.forward).parameters) == family.token_types
    assert ("add_pooling_layer" in inspect.signature(kind.__init__).parameters) == bool(family.pooler)


@every_family
def test_the_native_head_is_transformers_own(tmp_path: Path, family: Family) -> None:
    """All weights outside the encoder by name and shape, and the dropout before the last layer."""
    model, shape = classifier(tmp_path, family), shape_of(str(tmp_path / family.name))
    steps = family.native_head(shape.config, shape.hidden, LABELS).steps
    planned: dict[str, tuple[int, ...]] = {}
    for step in steps:
        if step.parameters:
            linear = step.op == "linear"
            planned[f"{step.module}.weight"] = (step.out_features, step.in_features) if linear else (step.out_features,)
            if step.bias:
                planned[f"{step.module}.bias"] = (step.out_features,)
    own = {name: tuple(p.shape) for name, p in model.named_parameters() if not name.startswith(family.prefix + ".")}
    assert planned == own
    model.train()
    dropouts: list[float] = []
    for path, module in model.named_modules():
        if isinstance(module, nn.Dropout) and not path.startswith(family.prefix + "."):
            module.register_forward_hook(lambda layer, *_: dropouts.append(float(layer.p)))
    with torch.no_grad():
        model(input_ids=torch.tensor([[0, 5, 6, 2]]))
    assert dropouts == [step.p for step in steps if step.op == "dropout"]


@pytest.mark.parametrize(
    ("family", "config", "expected"),
    [
        ("bert", {}, 0.1),
        ("bert", {"hidden_dropout_prob": 0.3}, 0.3),
        ("roberta", {"hidden_dropout_prob": 0.3, "classifier_dropout": 0.0}, 0.0),
        ("roberta", {"hidden_dropout_prob": 0.3, "classifier_dropout": None}, 0.3),
        ("distilbert", {"dropout": 0.3}, 0.2),
        ("albert", {"hidden_dropout_prob": 0.3}, 0.1),
        ("modernbert", {"mlp_dropout": 0.3}, 0.0),
        ("deberta-v2", {"hidden_dropout_prob": 0.3, "cls_dropout": 0.2}, 0.2),
        ("mpnet", {"classifier_dropout": 0.2, "hidden_dropout_prob": 0.3}, 0.3),
    ],
)
def test_the_dropout_before_the_last_layer_is_taken_from_where_transformers_takes_it(
    family: str, config: dict[str, float | None], expected: float
) -> None:
    assert FAMILIES[family].classifier_dropout(config) == expected
