"""Plans against published figures, transformers' own models and brute force."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoModelForSequenceClassification

from striata.errors import BudgetError, EncoderError, LayoutError, PlanError
from striata.layout import Layout, Plan, builtin_layouts, fit, known_shapes, make_plan, shape_of

from ..engine.models import LABELS, make_encoder

SEED = {
    "s0": 667_396, "s1": 704_260, "s2": 741_124, "s3": 741_124, "s4": 765_700, "s5": 713_476, "s6": 731_908, "s7": 734_980,
    "s8": 759_556, "s9": 750_340, "param-test": 734_980, "starter": 630_532, "as-run-s2": 814_852, "as-run-s3": 814_852,
    "as-run-s4": 888_580, "as-run-s6": 888_580, "as-run-s7": 814_852, "as-run-s8": 888_580, "as-run-s9": 962_308,
}  # fmt: skip
FAMILIES = (
    "roberta", "bert", "xlm-roberta", "camembert", "distilbert", "electra", "albert", "modernbert", "ernie", "deberta-v2",
    "mpnet",
)  # fmt: skip


@pytest.mark.parametrize(("name", "total"), SEED.items())
def test_the_seeds_totals(name: str, total: int) -> None:
    plan = make_plan(name, base="roberta-base", labels=4, budget=1_000_000)
    assert (plan.trainable, plan.head.parameters) == (total, 593_668)


def test_what_was_really_trained_is_found_to_be_one_plan() -> None:
    hashes = {name: make_plan(f"as-run-{name}", base="roberta-base", labels=4).hash for name in ("s2", "s3", "s5", "s7")}
    assert hashes["s2"] == hashes["s3"] == hashes["s7"] != hashes["s5"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["native", "linear"])
def test_every_site_is_in_transformers_own_model(tmp_path: Path, family: str, head: str) -> None:
    folder = make_encoder(tmp_path, family, layers=3)
    shape = shape_of(str(folder))
    plan = make_plan(f"0-{shape.depth - 1} r2 {' '.join(shape.family.targets)}", base=str(folder), labels=LABELS, head=head)
    kind = AutoModelForSequenceClassification if head == "native" else AutoModel
    model = kind.from_pretrained(folder)
    assert len(plan.sites) == shape.depth * len(shape.family.targets)
    for site in plan.sites:
        linear = model.get_submodule(site.module)
        assert isinstance(linear, torch.nn.Linear)
        assert (linear.in_features, linear.out_features) == (site.in_features, site.out_features)
    if head == "native":
        outside = {n: p for n, p in model.named_parameters() if not n.startswith(shape.family.prefix + ".")}
        assert plan.head.parameters == sum(p.numel() for p in outside.values())


def test_the_built_in_shapes_are_those_of_transformers_default_configurations() -> None:
    for name, family in (("roberta-base", "roberta"), ("bert-base-uncased", "bert"), ("distilbert-base-uncased", "distilbert")):
        with torch.device("meta"):
            model = AutoModel.from_config(__import__("transformers").AutoConfig.for_model(family))
        plan = make_plan("0/1-1/1 r1 query ffn_in ffn_out", base=name, labels=2, head="linear")
        for site in plan.sites:
            linear = model.get_submodule(site.module)
            assert (linear.in_features, linear.out_features) == (site.in_features, site.out_features)
    for name in known_shapes():
        target = "qkv" if "ModernBERT" in name else "query"
        assert make_plan(f"0/1-1/1 r1 {target}", base=name, labels=2).trainable > 0


def test_the_real_configuration_file_and_the_built_in_shape_give_one_plan(tmp_path: Path) -> None:
    config = {"model_type": "roberta", "hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert make_plan("s9", base=str(tmp_path), labels=4).hash == make_plan("s9", base="roberta-base", labels=4).hash


@pytest.mark.parametrize("family", FAMILIES)
def test_the_most_tokens_are_those_that_transformers_takes(tmp_path: Path, family: str) -> None:
    folder = make_encoder(tmp_path, family, layers=2)
    shape, model = shape_of(str(folder)), AutoModel.from_pretrained(folder).eval()
    most = shape.positions
    assert shape.vocabulary == model.get_input_embeddings().num_embeddings
    with torch.no_grad():
        model(input_ids=torch.full((1, most or 200), 5))
        if most is not None:
            with pytest.raises((IndexError, RuntimeError)):
                model(input_ids=torch.full((1, most + 1), 5))


@pytest.mark.parametrize(("key", "value"), [("pad_token_id", None), ("max_position_embeddings", "x"), ("vocab_size", True)])
def test_limits_that_are_no_numbers(tmp_path: Path, key: str, value: object) -> None:
    folder = make_encoder(tmp_path, "roberta", layers=1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    shape = shape_of(str(folder))
    with pytest.raises(EncoderError, match=f"its configuration has {key} {value!r}; expected a whole number from"):
        _ = shape.positions, shape.vocabulary


@pytest.mark.parametrize("name", sorted(builtin_layouts()))
def test_the_uniform_control_is_the_largest_that_does_not_exceed(name: str) -> None:
    plan = make_plan(name, base="roberta-base", labels=4)
    uniform = make_plan(f"{name}:uniform", base="roberta-base", labels=4)
    assert [site.module for site in uniform.sites] == [site.module for site in plan.sites]
    assert len({site.rank for site in uniform.sites}) == 1
    one_more = sum((site.in_features + site.out_features) * (site.rank + 1) for site in uniform.sites)
    assert uniform.lora <= plan.lora < one_more


def test_the_reversed_control_mirrors_the_layers() -> None:
    plan = make_plan("s9", base="roberta-base", labels=4)
    mirrored = make_plan("s9:reversed", base="roberta-base", labels=4)
    assert {(11 - s.layer, s.target, s.rank, s.dropout) for s in plan.sites} == {
        (s.layer, s.target, s.rank, s.dropout) for s in mirrored.sites
    }


def test_a_stretched_plan_says_so() -> None:
    plan = make_plan("s8", base="distilroberta-base", labels=4)
    assert plan.notes == ("stretched from 12 layers to the encoder's 6",)
    assert [site.rank for site in plan.sites] == [2, 4, 8, 8, 16, 16]


@given(
    ranks=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    budget=st.integers(60, 4_000),
    values=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_fit_is_what_trying_every_factor_finds(
    tmp_path_factory: pytest.TempPathFactory, ranks: list[int], budget: int, values: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / "small"
    folder.mkdir(exist_ok=True)
    config = {"model_type": "bert", "hidden_size": 12, "num_hidden_layers": len(ranks), "intermediate_size": 20}
    (folder / "config.json").write_text(json.dumps(config))
    targets = "query ffn_in" if values else "query"
    text = " | ".join(f"{layer} r{rank} a4 {targets}" for layer, rank in enumerate(ranks))
    sizes = 24 + 32 * values
    head = 12 * 2 + 2

    def total(new: list[int]) -> int:
        return head + sum(rank * sizes for rank in new)

    factors = {n / d for n, d in itertools.product(range(12 * 9 + 1), ranks)}
    scaled = [[min(12, max(1, int(f * rank + 1e-9))) for rank in ranks] for f in factors]
    allowed = [new for new in scaled if total(new) <= budget]
    if not allowed:
        with pytest.raises(BudgetError, match="even with rank 1"):
            fit(text, base=str(folder), labels=2, budget=budget)
        return
    plan = fit(text, base=str(folder), labels=2, budget=budget)
    assert plan.trainable == max(map(total, allowed))
    assert {site.alpha for site in plan.sites} == {4}


def test_fit_says_what_it_did_and_uses_the_budget_up() -> None:
    plan = fit("s8", base="roberta-base", labels=4, budget=1_000_000)
    assert plan.trainable == 989_956
    assert "rank 2 to 4, 4 to 9, 8 to 19, 16 to 39" in plan.notes[-1]
    lower = fit("s8", base="roberta-base", labels=4, budget=650_000)
    assert lower.trainable <= 650_000


def test_json_has_the_promised_keys_and_comes_back() -> None:
    plan = make_plan("s9", base="roberta-base", labels=4, budget=1_000_000)
    value = json.loads(json.dumps(plan.to_json()))
    assert {"layout", "base", "hash", "trainable", "head", "lora", "budget", "sites"} <= set(value)
    assert set(value["sites"][0]) == {
        "module", "layer", "target", "in_features", "out_features", "rank", "alpha", "scale", "dropout", "parameters",
    }  # fmt: skip
    assert value["head"] + value["lora"] == value["trainable"]
    assert Plan.from_json(value) == plan
    value["sites"][3]["rank"] += 1
    with pytest.raises(PlanError, match="has the contents of"):
        Plan.from_json(value)


def test_rank_zero_means_no_site() -> None:
    plan = make_plan("0-5 r0 query | 6-11 r4 query", base="roberta-base", labels=4)
    assert {site.layer for site in plan.sites} == set(range(6, 12))


@pytest.mark.parametrize(
    ("layout", "options", "error", "message"),
    [
        ("s11", {}, LayoutError, r"unknown layout 's11' \(did you mean 's1'\?\)"),
        ("s1:unifrom", {}, LayoutError, r"unknown control ':unifrom' in 's1:unifrom' \(did you mean 'uniform'\?\)"),
        ("nowhere.yaml", {}, LayoutError, "cannot read layout file nowhere.yaml"),
        ("0-12 r4 query", {}, LayoutError, "names layer 12, but the encoder has 12 layers"),
        ("0-5 r4 query | 5-11 r8 query", {}, LayoutError, "overlap"),
        ("0-11 r4 qkv", {}, PlanError, "roberta encoders have no target 'qkv'; expected some of query, key"),
        ("0-11 r800 query", {}, PlanError, "section '0-11 r800 a800 query': rank 800 is above 768, the smaller dimension"),
        ("s8", {"budget": 700_000}, BudgetError, r"trains 759,556 parameters .* 59,556 above the budget of 700,000"),
        ("s8", {"labels": 0}, PlanError, "0 labels; a classifier needs at least 2, and a number 1 output"),
        ("s8", {"head": "cls"}, PlanError, "unknown head 'cls'"),
    ],
)
def test_what_does_not_fit_is_named(layout: str, options: dict[str, object], error: type[Exception], message: str) -> None:
    arguments: dict[str, object] = {"base": "roberta-base", "labels": 4, **options}
    with pytest.raises(error, match=message):
        make_plan(layout, **arguments)  # type: ignore[arg-type]


def test_layout_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ndepth: 12\nlayout:\n- 0-5 r4 query\n- 6-11 r8 query\n")
    plan = make_plan(file, base="distilroberta-base", labels=4)
    assert (plan.layout, plan.text) == ("mine", "0-2 r4 a4 query | 3-5 r8 a8 query")
    assert make_plan(f"{file}:reversed", base="roberta-base", labels=4).sites[0].rank == 8
    for content, message in (
        ("depht: 12\nlayout: 0 r4 query", r"unknown key 'depht' \(did you mean 'depth'\?\)"),
        ("name: x", "expected the keys layout"),
        ("layout: 0 r4 query\ndepth: x", "depth is 'x'"),
        ("layout: [", "is no YAML"),
        ("layout: 0 q4 query", "has no whole rank"),
    ):
        file.write_text(content)
        with pytest.raises(LayoutError, match=message):
            make_plan(file, base="roberta-base", labels=4)


@pytest.mark.parametrize("family", ["roberta", "distilbert", "albert"])
@pytest.mark.parametrize(
    ("key", "zeros", "message"),
    [
        ("layers", 6, "expected a whole number from 1 to 1,000"),
        ("layers", 30, "a larger one; expected a whole number from 1 to 1,000"),
        ("hidden", 5_000, "cannot be read as JSON"),
        ("hidden", 9, "expected a whole number from 1 to 1,000,000"),
    ],
)
def test_impossible_sizes_are_refused_at_once(tmp_path: Path, family: str, key: str, zeros: int, message: str) -> None:
    names = {"distilbert": {"layers": "n_layers", "hidden": "dim"}, "albert": {"layers": "num_hidden_groups"}}
    sizes = dict.fromkeys(("num_hidden_layers", "n_layers"), 12)
    sizes |= dict.fromkeys(("hidden_size", "dim", "intermediate_size", "hidden_dim"), 64)
    name = names.get(family, {}).get(key, {"layers": "num_hidden_layers", "hidden": "hidden_size"}[key])
    config = json.dumps({"model_type": family, "inner_group_num": 1, "num_hidden_groups": 1, **sizes, name: 0})
    (tmp_path / "config.json").write_text(config.replace(f'"{name}": 0', f'"{name}": 1' + "0" * zeros))
    with pytest.raises(EncoderError, match=message):
        make_plan("0-3 r4 query", base=str(tmp_path), labels=2)


def test_layers_in_groups_are_counted_together(tmp_path: Path) -> None:
    config = {"model_type": "albert", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12}
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_groups": 1000, "inner_group_num": 1000}))
    with pytest.raises(EncoderError, match="its configuration has 1,000,000 layers; expected at most 1,000"):
        make_plan("0-3 r4 query", base=str(tmp_path), labels=2)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "", "3", "\ud800", " " * 10_000_001])
def test_a_configuration_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, errors="surrogatepass")
    with pytest.raises(EncoderError, match=r"config\.json (cannot be read as JSON|is no JSON object)"):
        make_plan("0-3 r4 query", base=str(tmp_path), labels=2)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(EncoderError):
        make_plan("0-3 r4 query", base="./" + "x" * 5_000, labels=2)
    with pytest.raises(LayoutError, match="unknown layout"):
        make_plan("x" * 5_000, base="roberta-base", labels=2)


def test_encoders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"has no config\.json"):
        shape_of(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(EncoderError, match="of family 'gpt2', which is not supported; expected one of bert"):
        shape_of(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": "big"}')
    with pytest.raises(EncoderError, match="hidden_size 'big'; expected a whole number"):
        shape_of(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EncoderError, match="cannot be read as JSON"):
        shape_of(str(tmp_path))


def test_a_layout_object_is_a_layout() -> None:
    assert make_plan(Layout.parse("0-11 r2 a4 d0.05 query"), base="roberta-base", labels=4).trainable == SEED["starter"]


@pytest.mark.parametrize(
    "name", [".hidden", "..", "a/b", "../../up", "a\nb", "a b", "-x", "a:b", "x" * 201, "ü" * 101, "\x1b[31m"]
)
def test_a_name_that_cannot_be_a_folders_is_refused_before_anything_is_planned(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"layout": "0-11 r4 query", "name": name}))
    with pytest.raises(LayoutError, match=r"mine.yaml: layout name .* cannot be a folder's; expected at most 200") as refused:
        make_plan(str(file), base="roberta-base", labels=4)
    assert str(refused.value).isprintable()
    with pytest.raises(LayoutError, match="layout name"):
        Layout.parse("0-11 r4 query", name=name)


@pytest.mark.parametrize("name", ["a", "_x", "0", "größe.2-b", "日本", "x" * 200])
def test_names_of_letters_digits_and_marks(name: str) -> None:
    assert Layout.parse("0-11 r4 query", name=name).name == name


def test_a_layout_file_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for text, message in (
        ("layout: 2020-99-99", "'2020-99-99' reads as timestamp but is none"),
        ("layout: [0-5 r4 query, 6-11 r8 query]\nname: [x]", "name is \\['x'\\]; expected text"),
        ("layout: {a: b}", "expected text, or a list of sections, as layout"),
        ("? [a]\n: b", "a key is no name"),
        ("[" * 900, "groups inside each other|nesting"),
        ("layout: 0-5 r4 query\nlayout: 6-11 r8 query", "key 'layout' is given twice"),
    ):
        file.write_text(text)
        with pytest.raises(LayoutError, match=message):
            make_plan(str(file), base="roberta-base", labels=4)
