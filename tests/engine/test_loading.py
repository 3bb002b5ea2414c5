"""An encoder's weights come from the files whose checksum is recorded, and from no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from striata.data import Encoded
from striata.disk.files import sha256_file
from striata.engine import Encoder, embed_words
from striata.engine.loading import INDEX, WEIGHTS, choose_device, choose_precision, fingerprint, load_model, weight_files
from striata.errors import EncoderError
from striata.layout import make_plan

from .models import make_encoder


def load(base: Path | str) -> Encoder:
    head = make_plan("0-0 r1 query", base=str(base), labels=3, head="linear").head
    return Encoder.load(str(base), head=head, precision="fp32", device="cpu")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_encoder(tmp_path, "roberta", layers=1)


def shard(base: Path) -> list[Path]:
    """Splits the weights in two files with an index, as transformers writes large models."""
    tensors = load_file(base / WEIGHTS)
    (base / WEIGHTS).unlink()
    places = {name: f"model-0000{1 + at % 2}-of-00002.safetensors" for at, name in enumerate(sorted(tensors))}
    files = sorted(set(places.values()))
    for file in files:
        save_file({name: tensors[name] for name, place in places.items() if place == file}, base / file, {"format": "pt"})
    write_index(base, places)
    return [base / file for file in files]


def write_index(base: Path, places: Mapping[str, object]) -> None:
    (base / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_an_unknown_device_or_precision_is_named() -> None:
    with pytest.raises(EncoderError, match=r"unknown device 'gpu'.*; expected cpu, cuda or auto"):
        choose_device("gpu")
    with pytest.raises(EncoderError, match=r"unknown precision 'fp8'"):
        choose_precision("fp8", torch.device("cpu"))


def test_means_of_tokens_own_embeddings_are_those_of_the_table(base: Path) -> None:
    encoder = load(base)
    texts = [[0, 5, 6, 2], [0, 9, 2], [0, 4, 4, 4, 7, 2]]
    lengths = np.array([len(ids) for ids in texts])
    encoded = Encoded(
        ids=np.concatenate(texts).astype(np.int32), starts=np.append(0, lengths.cumsum()), types=None, truncated=lengths < 0
    )
    table = next(values for name, values in load_file(base / WEIGHTS).items() if "word_embeddings" in name).numpy()
    expected = [table[ids].mean(0) for ids in texts]
    np.testing.assert_allclose(embed_words(encoder, encoded, max_tokens=8), expected, atol=1e-6)


def test_weights_are_those_of_transformers(base: Path) -> None:
    from transformers import AutoModel

    reference = AutoModel.from_pretrained(base, dtype=torch.float32, attn_implementation="eager", add_pooling_layer=False)
    with torch.no_grad():
        expected = reference(input_ids=torch.tensor([[0, 5, 6, 2]])).last_hidden_state
    model = load_model(str(base), weight_files(str(base)), packed=False, pooler=False, dtype=torch.float32)
    before, after = reference.state_dict(), model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        assert torch.equal(model.eval()(input_ids=torch.tensor([[0, 5, 6, 2]])).last_hidden_state, expected)


def test_shards_are_hashed_and_files_beside_them_are_not(base: Path) -> None:
    whole = load(base)
    files = shard(base)
    (base / "another.safetensors").write_bytes(b"no weights at all")
    (base / "pytorch_model.bin").write_bytes(b"a pickle")
    assert weight_files(str(base)) == files
    sharded = load(base)
    assert sharded.sha256 == fingerprint(files)
    before, after = whole.model.state_dict(), sharded.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_file_beside_the_weights_changes_nothing(base: Path) -> None:
    sha256 = load(base).sha256
    tensors = load_file(base / WEIGHTS)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, base / "another.safetensors", {"format": "pt"})
    write_index(base, dict.fromkeys(tensors, "another.safetensors"))  # transformers, too, takes the one file where there is one
    (base / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere", "peft_type": "LORA"}')
    encoder = load(base)
    assert encoder.sha256 == sha256 == sha256_file(base / WEIGHTS)
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(encoder.model.get_submodule("embeddings.word_embeddings").weight, tensors[f"roberta.{name}"]
                       if f"roberta.{name}" in tensors else tensors[name])  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "../w.safetensors", "/w.safetensors", "a/../../w.safetensors", "..\\w.safetensors", 7, "w.bin", ""],
)
def test_an_index_that_names_anything_else_is_refused(base: Path, name: object) -> None:
    tensors = load_file(base / WEIGHTS)
    torch.save(tensors, base / "pytorch_model.bin")
    (base / WEIGHTS).rename(base.parent / WEIGHTS)
    save_file(tensors, base / "other.safetensors", {"format": "pt"})
    write_index(base, dict.fromkeys(tensors, name))
    with pytest.raises(EncoderError, match=r"names .*; expected names of safetensors files in its folder") as caught:
        load(base)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 7}', '{"weight_map": {}}', '{"a":' * 100_000])
def test_an_index_that_is_none_is_refused(base: Path, content: str) -> None:
    (base / WEIGHTS).unlink()
    (base / INDEX).write_text(content)
    with pytest.raises(EncoderError, match="names no weights"):
        load(base)


def test_a_missing_shard_is_named(base: Path) -> None:
    shard(base)[1].unlink()
    with pytest.raises(EncoderError, match=r"lacks model-00002-of-00002\.safetensors"):
        load(base)


def test_a_tilde_is_the_home_folder(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(base.parent))
    assert load(f"~/{base.name}").sha256 == load(base).sha256


def test_weights_that_change_while_they_are_loaded_are_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from striata.engine import loading

    def change(file: Path) -> dict[str, torch.Tensor]:
        tensors = load_file(file)
        save_file({name: tensor + 1 for name, tensor in tensors.items()}, file, {"format": "pt"})
        return tensors

    monkeypatch.setattr(loading, "load_file", change)
    with pytest.raises(EncoderError, match="were changed while they were loaded"):
        load(base)
