"""Integrated gradients, held to captum's on transformers' and peft's own models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

import striata
from striata.ensemble import Combiner
from striata.ensemble.combiner import Stacking
from striata.model import Explanation, Model
from striata.runs import Run

from ..study.small import LABELS, make_base, study_of
from .models import TEXT, adapters, opened, score, trained


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("gradients"))


def twin(run: Run) -> torch.nn.Module:
    options = {"num_labels": len(LABELS), "attn_implementation": "eager", "ignore_mismatched_sizes": True}
    base = AutoModelForSequenceClassification.from_pretrained(str(run.base), **options)
    model: torch.nn.Module = PeftModel.from_pretrained(base, run.path).eval()
    return model


def contrasted(logits: Tensor, label: int) -> Tensor:
    others = [at for at in range(logits.shape[1]) if at != label]
    return logits[:, label] - logits[:, others].mean(1)


def tokens_of(run: Run, text: str, pair: str | None = None) -> tuple[Tensor, Tensor]:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(run.base))
    encoded = tokenizer(text, pair, return_tensors="pt", return_special_tokens_mask=True)
    return encoded["input_ids"], encoded["special_tokens_mask"][0].bool()


def by_captum(model: Model, run: Run, explained: Explanation) -> np.ndarray:
    """A weight for each token that is not special."""
    reference, label = twin(run), model.labels.index(explained.label)
    ids, special = tokens_of(run, explained.text, explained.pair)
    nothing = torch.where(special, ids, 1)
    ways = LayerIntegratedGradients(
        lambda tokens: contrasted(reference(input_ids=tokens).logits / model.calibration.temperature, label),
        reference.get_input_embeddings(),
    )
    weights = ways.attribute(ids, nothing, n_steps=explained.steps, method="gausslegendre")
    return weights.sum(-1)[0][~special].detach().numpy()


def close(words: Sequence[float], expected: np.ndarray) -> None:
    np.testing.assert_allclose(words, expected, rtol=0, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("label", [None, "World"])
def test_a_run_is_explained_as_captum_explains_it(study: Path, label: str | None) -> None:
    for name, run in adapters(study).items():
        model = opened(study, name)
        (explained,) = model.explain([TEXT.replace(",", "")], label=label)
        assert explained.method == "gradients"
        assert explained.label == label or label is None
        assert [one.word for one in explained.words] == TEXT.replace(",", "").split()
        close([one.weight for one in explained.words], by_captum(model, run, explained))


def test_a_family_that_is_padded_is_explained_as_captum_explains_it(tmp_path: Path) -> None:
    base = make_base(tmp_path, "deberta-v2")
    settings = study_of(tmp_path, recipe={"max_steps": 4}, ensemble=False, layouts=["1-2 r3 a6 query ffn_in"])
    folder = striata.train({**settings, "base": str(base)}).folder
    ((name, run),) = adapters(folder).items()
    model = opened(folder, name)
    (explained,) = model.explain(["w25 w26 w3 w80"])
    close([one.weight for one in explained.words], by_captum(model, run, explained))


@pytest.mark.parametrize("kind", ["logits", "probabilities", "stacking"])
def test_an_ensemble_is_explained_through_its_combination(study: Path, kind: str) -> None:
    names = list(adapters(study))[:2]
    runs = {name: adapters(study)[name] for name in names}
    stacking = None
    if kind == "stacking":
        draws = np.random.default_rng(0)
        stacking = Stacking(intercept=draws.normal(size=3), coefficients={name: draws.normal(size=(3, 3)) for name in names})
    combiner = Combiner(kind=kind, weights={names[0]: 0.3, names[1]: 0.7}, stacking=stacking)
    source = opened(study, names[0])
    model = Model(source.folder, runs, combiner, source._source, device="cpu", precision="fp32")
    (explained,) = model.explain([TEXT.replace(",", "")], label="Sports")
    twins = {name: twin(run) for name, run in runs.items()}
    ids, special = tokens_of(runs[names[0]], explained.text)
    table = twins[names[0]].get_input_embeddings()
    own, nothing = table(ids).detach(), table(torch.where(special, ids, 1)).detach()

    def forward(embeddings: Tensor) -> Tensor:
        logits = {name: one(inputs_embeds=embeddings).logits.double() for name, one in twins.items()}
        if stacking is not None:
            logs = [torch.log_softmax(logits[name], -1) @ torch.tensor(stacking.coefficients[name]).T for name in names]
            combined = logs[0] + logs[1] + torch.tensor(stacking.intercept)
        elif kind == "probabilities":
            combined = torch.log(0.3 * logits[names[0]].softmax(-1) + 0.7 * logits[names[1]].softmax(-1))
        else:
            combined = 0.3 * logits[names[0]] + 0.7 * logits[names[1]]
        return contrasted(combined / model.calibration.temperature, 1)

    weights = IntegratedGradients(forward).attribute(own, nothing, n_steps=explained.steps, method="gausslegendre")
    close([one.weight for one in explained.words], weights.sum(-1)[0][~special].detach().numpy())
    assert explained.score == pytest.approx(score(model.logits([explained.text]), 1, model.calibration.temperature)[0], abs=1e-4)


def test_the_weights_add_up_and_the_error_says_how_well(study: Path) -> None:
    for name in adapters(study):
        model = opened(study, name)
        for explained in model.explain([TEXT, "w1 w2"]):
            assert explained.empty is not None
            assert explained.error is not None
            total = sum(one.weight for one in explained.words)
            difference = explained.score - explained.empty
            assert explained.error == pytest.approx(abs(total - difference), abs=1e-6)
            assert explained.error <= 0.02 * abs(difference)
            logits = model.logits([explained.text])
            label = model.labels.index(explained.label)
            assert explained.score == pytest.approx(score(logits, label, model.calibration.temperature)[0], abs=1e-4)
            assert explained.probability == pytest.approx(float(model.predict_proba([explained.text])[0, label]), abs=1e-6)
        one, many = (model.explain([TEXT], steps=steps)[0] for steps in (1, 64))
        assert (one.steps, many.steps) == (1, 64)
        assert one.error is not None
        assert many.error is not None
        assert one.error >= many.error


def test_words_behind_the_cut_are_not_read(study: Path) -> None:
    text = " ".join(f"w{at}" for at in range(40))
    for method in ("gradients", "leave-one-out"):
        (explained,) = opened(study, next(iter(adapters(study)))).explain([text], method=method)
        assert [one.read for one in explained.words] == [True] * 30 + [False] * 10
        assert all(one.weight == 0 for one in explained.words[30:])


def test_embeddings_that_a_small_model_reads(study: Path) -> None:
    model = opened(study, "frozen")
    (explained,) = model.explain([TEXT])
    assert explained.method == "gradients"
    assert explained.error is not None
    assert explained.error < 0.02 * abs(explained.score - (explained.empty or 0))
    logits = model.logits([TEXT])
    label = model.labels.index(explained.label)
    assert explained.score == pytest.approx(score(logits, label, model.calibration.temperature)[0], rel=5e-3)  # not rounded


def test_whatever_goes_on_around_it(study: Path) -> None:
    model = opened(study, next(iter(adapters(study))))
    (expected,) = model.explain([TEXT])
    with torch.inference_mode():
        (inside,) = model.explain([TEXT])
    assert inside == expected
    assert model.explain([]) == []
