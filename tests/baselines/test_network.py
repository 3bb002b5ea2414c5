"""The network on frozen embeddings beside torch's own layers, and the tokens' embeddings beside transformers'."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from transformers import AutoModel

from striata.baselines import Frozen, Rows
from striata.baselines import network as network_module
from striata.baselines.network import Network, train_network
from striata.engine import Encoder, embed_words
from striata.errors import DataError, RunError
from striata.layout import Head

from ..engine.models import make_encoder, random_texts


def crossed(count: int, seed: int, *, random: bool = False) -> tuple[Rows, np.ndarray]:
    """The label is whether a number of either kind have the same sign, or chance: no linear model sees it."""
    draws = np.random.default_rng(seed)
    vectors, words = draws.standard_normal((count, 6)), draws.standard_normal((count, 3))
    targets = (vectors[:, 0] * words[:, 0] > 0).astype(np.int64)
    rows = Rows(texts=[f"text {seed} {at}" for at in range(count)], vectors=vectors * 3 + 1, words=words)
    return rows, draws.integers(0, 2, count) if random else targets


def test_what_no_line_divides_is_learned_and_read_again_bit_for_bit(tmp_path: Path) -> None:
    rows, targets = crossed(600, 0)
    new, truth = crossed(400, 1)
    fitted = Frozen.fit(rows, targets, 2)
    assert (fitted.solver, fitted.words, fitted.labels) == ("network", 3, 2)
    logits = fitted.logits(new)
    assert (logits.argmax(1) == truth).mean() > 0.85
    assert -log_softmax(logits.astype(np.float64), axis=1)[np.arange(400), truth].mean() < 0.4
    out_of_fold = fitted.out_of_fold(rows, targets)
    assert abs((out_of_fold.argmax(1) == targets).mean() - (logits.argmax(1) == truth).mean()) < 0.08
    fitted.write(tmp_path)
    restored = Frozen.read(tmp_path)
    assert restored.logits(new).tobytes() == logits.tobytes()
    assert restored.receipt() == fitted.receipt()
    again = Frozen.fit(rows, targets, 2)
    assert again.logits(new).tobytes() == logits.tobytes()
    assert restored.trainable == 9 * network_module.FEW + network_module.FEW + 2 * network_module.FEW + 2


def test_with_random_labels_it_is_at_chance() -> None:
    rows, targets = crossed(300, 0, random=True)
    new, truth = crossed(1000, 1, random=True)
    logits = Frozen.fit(rows, targets, 2).logits(new)
    assert abs((logits.argmax(1) == truth).mean() - 0.5) < 0.07
    assert -log_softmax(logits.astype(np.float64), axis=1)[np.arange(1000), truth].mean() < np.log(2) + 0.05


def test_scores_are_those_of_torchs_layers() -> None:
    draws = np.random.default_rng(0)
    sizes = {"first": (5, 7), "first_bias": (7,), "second": (7, 3), "second_bias": (3,)}
    network = Network(**{name: draws.standard_normal(size).astype(np.float32) for name, size in sizes.items()})
    layers = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.GELU(), torch.nn.Linear(7, 3))
    layers.load_state_dict(
        {
            "0.weight": torch.from_numpy(network.first.T), "0.bias": torch.from_numpy(network.first_bias),
            "2.weight": torch.from_numpy(network.second.T), "2.bias": torch.from_numpy(network.second_bias),
        }
    )  # fmt: skip
    features = draws.standard_normal((20, 5)).astype(np.float32) * 4 + 2
    expected = layers(torch.from_numpy(features)).detach().numpy()
    np.testing.assert_allclose(network.scores(features), expected, atol=1e-4)
    np.testing.assert_allclose(network.scaled(2.5).scores(features), 2.5 * expected, atol=1e-4)
    mean, spread = features.mean(0).astype(np.float64), features.std(0).astype(np.float64)
    standard = ((features - mean) / spread).astype(np.float32)
    np.testing.assert_allclose(network.on_columns(mean, spread).scores(features), network.scores(standard), atol=1e-4)


def test_training_disturbs_nobody_elses_chance_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(0)
    features, targets = draws.standard_normal((200, 4)), draws.integers(0, 2, 200)
    before = torch.random.get_rng_state()
    with torch.no_grad():
        train_network(features, targets, 2, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)
    monkeypatch.setattr(network_module, "_WORK", 50 * network_module.FEWEST_EPOCHS * network_module.MANY * 6)
    bounded = train_network(features, targets, 2, seed=0)
    unseen = np.random.default_rng(0).permutation(200)[50:]
    features[unseen] = 9.0
    assert train_network(features, targets, 2, seed=0).first.tobytes() == bounded.first.tobytes()
    features[np.setdiff1d(np.arange(200), unseen)[0]] = 9.0
    assert train_network(features, targets, 2, seed=0).first.tobytes() != bounded.first.tobytes()


def test_a_sample_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, targets = crossed(600, 0)
    monkeypatch.setattr(network_module, "_WORK", 500 * network_module.FEWEST_EPOCHS * network_module.MANY * (9 + 2))
    fitted = Frozen.fit(rows, targets, 2)
    assert (fitted.solver, fitted.rows, fitted.notes) == ("network", 500, ("fitted on 500 of 600 rows",))


def test_rows_without_words_go_by_the_encoder_alone(tmp_path: Path) -> None:
    rows, targets = crossed(200, 0)
    assert Frozen.fit(replace(rows, words=None), targets, 2).solver != "network"
    fitted = Frozen.fit(rows, targets, 2)
    assert fitted.solver == "network"
    with pytest.raises(DataError, match="no means of their tokens' embeddings"):
        fitted.logits(replace(rows, words=None))
    fitted.write(tmp_path)
    settings = (tmp_path / "baseline.json").read_text()
    (tmp_path / "baseline.json").write_text(settings.replace('"words": 3', '"words": 4'))
    with pytest.raises(RunError, match="cannot be read"):
        Frozen.read(tmp_path)


@pytest.mark.parametrize("family", ["roberta", "modernbert", "albert", "electra"])
def test_words_are_the_mean_of_the_table_of_transformers(tmp_path: Path, family: str) -> None:
    folder = make_encoder(tmp_path, family)
    encoder = Encoder.load(str(folder), head=Head(kind="mean", pooling="mean", steps=()), precision="fp32", device="cpu")
    texts = random_texts(np.random.default_rng(0), 9)
    table = AutoModel.from_pretrained(folder).get_input_embeddings()
    ids = [text.tolist() for text in np.split(texts.ids, np.cumsum(texts.lengths)[:-1])]
    expected = np.stack([table(torch.tensor(one)).mean(0).detach().numpy() for one in ids])
    np.testing.assert_allclose(embed_words(encoder, texts), expected, atol=1e-5)
    np.testing.assert_array_equal(embed_words(encoder, texts, max_tokens=1), embed_words(encoder, texts))
