"""Runs that learn from labels and from their ensemble's answers: what they are taught, what comes out, when it is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import striata
from striata.baselines import Lexical, Rows
from striata.data import Columns, Table, read_texts
from striata.distillation import course
from striata.distillation.consistency import consistency
from striata.distillation.course import Course
from striata.distillation.pseudo import agreement, certainty, one_label_a_row, sharpened
from striata.ensemble import load_ensemble, write_ensemble
from striata.errors import EnsembleError, RunError
from striata.robustness.perturbations import PERTURBATIONS, perturb
from striata.runs import Run
from striata.runs.facts import Distillation
from striata.runs.standings import find_model
from striata.settings import load_study
from striata.study import prepare

from ..command import run
from ..study.small import noting, study_of, write_texts


def test_a_text_counts_by_how_sure_and_how_agreed_the_answers_are() -> None:
    p = np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]], np.float32)
    np.testing.assert_allclose(certainty(p), [1, 0, 1 - np.log(2) / np.log(3)], atol=1e-6)
    np.testing.assert_allclose(sharpened(np.array([[0.8, 0.2], [0.5, 0.5], [1, 0]])), [[16 / 17, 1 / 17], [0.5, 0.5], [1, 0]])
    members = {
        "a": np.array([[1.0, 0], [0, 1], [0, 1]]),
        "b": np.array([[1.0, 0], [1, 0], [np.nan, np.nan]]),
    }
    np.testing.assert_allclose(agreement(np.array([0, 1, 1]), members), [1, 0.5, 1])
    rows, labels = one_label_a_row(Rows(texts=["x", "y"]), np.array([[1.0, 0, 0], [0.7, 0.295, 0.005]]), np.array([2.0, 0.5]))
    assert (list(rows.texts), labels.tolist()) == (["x", "y", "y"], [0, 0, 1])
    assert rows.weights is not None
    np.testing.assert_allclose(rows.weights, [2, 0.35, 0.1475])


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained study of two layouts, words and embeddings, their ensemble, and more texts, one a copy of a test
    row."""
    folder = tmp_path_factory.mktemp("selftrained")
    study = study_of(folder, baselines={"kinds": ["lexical", "frozen"], "embedded_rows": 60},
                     layouts=["0 r2 query", "0-2 r2 query value"], ensemble={"size": 4},
                     data={"test": str(folder / "test.csv")}, recipe={"max_steps": 20, "evaluate_every": 10})  # fmt: skip
    with open(folder / "test.csv") as file:
        test = [row["text"] for row in csv.DictReader(file)]
    longer = " ".join(test[1].split() * 3)
    (folder / "test.csv").write_text((folder / "test.csv").read_text() + f"{longer},World\n")
    striata.train(study)
    texts = write_texts(folder / "more.csv", 60, seed=2, labels=False)
    texts.write_text(texts.read_text() + f"{test[0]}\n{longer} once more\n")
    return folder


@pytest.mark.parametrize("kind", ["adapter", "lexical", None])
def test_what_is_self_trained_says_what_it_has_seen(taught: Path, tmp_path: Path, kind: str | None) -> None:
    notes: list[str] = []
    made = striata.selftrain(
        taught / "out",
        str(taught / "more.csv"),
        kind=kind,
        loss=1.0,
        steps=20,
        out=tmp_path / "made",
        listen=noting(notes),
        device="cpu",
    )
    teacher = load_ensemble(taught / "out" / "ensemble")
    if kind is None:
        assert set(made.runs) == set(teacher.runs)
        assert made.ensemble is not None
        assert made.ensemble.method == teacher.method
    else:
        assert [run.kind for run in made.runs.values()] == [kind]
        assert made.ensemble is None
    for name, learner in made.runs.items():
        facts = learner.facts.distilled
        assert facts is not None
        assert learner.facts.transductive
        assert learner.facts.texts_per_second is not None
        assert (learner.name, learner.path) == (name, tmp_path / "made" / "runs" / name)
        assert (facts.labelled, facts.unlabelled, facts.hard, facts.near_test) == (110, 61, 1.0, 1)
        assert facts.counted is not None
        assert 0 < facts.counted <= 61
        assert made.accuracy == max(made.rounds) == made.rounds[facts.round - 1]
        assert learner.receipt() is None or learner.plan is not None
    assert len(made.rounds) == 2
    assert made.teacher + made.difference.value == pytest.approx(made.accuracy)
    assert any("1 unlabelled texts are near copies of test rows" in line for line in notes)
    assert any("1 of 62 unlabelled texts are in the study's own data" in line for line in notes)
    assert not (taught / "out" / "unfinished").exists()
    assert len(striata.load(find_model(tmp_path / "made")).predict(["w1 w2"])) == 1
    assert "transductive" in made.lines()[2]
    assert made.to_json()["transductive"] is True
    studies = (taught / "out", tmp_path / "made")  # over the same rows, so that teacher and students may be one ensemble
    assert len(write_ensemble(*studies, out=tmp_path / "both", size=2).runs) == 2


def test_a_baseline_that_is_refitted_with_the_validation_rows_is_judged_without_them(tmp_path: Path) -> None:
    write_texts(tmp_path / "train.csv", 150)
    study = {"base": "none", "data": {"train": str(tmp_path / "train.csv")}, "output": str(tmp_path / "out"),
             "baselines": {"kinds": ["lexical", "majority"], "refit": True}, "ensemble": {"size": 2}}  # fmt: skip
    striata.train(study)
    notes: list[str] = []
    texts = read_texts(str(write_texts(tmp_path / "more.csv", 40, seed=2, labels=False)), Columns()).texts
    made = striata.selftrain(tmp_path / "out", texts, rounds=1, loss=1.0, listen=noting(notes))
    assert any("majority learns nothing from texts and is left out" in line for line in notes)
    (learner,) = made.runs.values()
    assert learner.facts.recipe["refit"] is True
    prepared, ensemble = prepare(load_study(study)), striata.load(tmp_path / "out" / "ensemble")
    splits, targets = prepared.splits, prepared.targets
    combined, members = ensemble.with_members(texts)
    answers = ensemble.probabilities(combined)
    counts = certainty(answers) * agreement(combined.argmax(1), members)
    rows, labels = one_label_a_row(
        Rows(texts=[*splits.train.texts, *texts]),
        np.concatenate([np.eye(len(splits.labels))[targets["train"]], sharpened(answers)]),
        np.concatenate([np.ones(len(splits.train)), counts]),
    )
    without = Lexical.fit(rows, labels, len(splits.labels)).logits(Rows(texts=splits.validation.texts))
    np.testing.assert_allclose(learner.validation().logits, without, atol=1e-4)
    assert np.abs(striata.load(learner.path).logits(splits.validation.texts) - without).max() > 0.01


def test_what_is_taught_is_the_ensembles_answers(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, learner = [], "lexical"

    def learn(self: Course, pattern: Run, path: Path, facts: Distillation, targets: np.ndarray, weights: np.ndarray) -> Run:
        seen.append((targets, weights))
        return Run.load(taught / "out" / "runs" / learner)

    monkeypatch.setattr(Course, "_fit", learn)
    striata.selftrain(taught / "out", str(taught / "more.csv"), kind=learner, loss=1.0, out=taught / "unused", device="cpu")
    ensemble, other = striata.load(taught / "out" / "ensemble"), striata.load(taught / "out" / "runs" / learner)
    texts = read_texts(str(taught / "more.csv"), Columns()).texts
    texts = [*texts[:60], texts[61]]
    combined, members = ensemble.with_members(texts)
    answers, agreed = ensemble.probabilities(combined), agreement(combined.argmax(1), members)
    (first, counts), (second, later) = seen
    np.testing.assert_array_equal(first[:110].sum(0), np.bincount(first[:110].argmax(1)))
    np.testing.assert_allclose(first[110:], sharpened(answers), atol=1e-5)
    np.testing.assert_allclose(counts, np.concatenate([np.ones(110), certainty(answers) * agreed]), atol=1e-4)
    mean = (answers + other.predict_proba(texts)) / 2
    np.testing.assert_allclose(second[110:], sharpened(mean), atol=1e-5)
    np.testing.assert_allclose(later[110:], certainty(mean) * agreed, atol=1e-4)


class Exact:
    """A model that knows only the texts as they are."""

    def __init__(self, texts: list[str]) -> None:
        self.known = set(texts)

    def differ(self, one: tuple[list[str], None], other: tuple[list[str], None]) -> np.ndarray:
        return np.array([a != b for a, b in zip(one[0], other[0], strict=True)])

    def logits(self, texts: list[str], pairs: None) -> np.ndarray:
        return np.eye(2)[[int(text not in self.known) for text in texts]]


def test_consistent_is_what_stays_under_perturbations() -> None:
    texts = ["12", "34 56", "Stocks rose, they said. Oil fell!", "w1"]
    table = Table(source="", ids=np.arange(4), texts=texts, labels=None)
    shares = consistency(Exact(texts), table, np.zeros(4, np.int64), 3)  # type: ignore[arg-type]
    by_hand = [
        np.mean([perturb(text, name, 2, row=row, seed=3) == text for name in PERTURBATIONS]) for row, text in enumerate(texts)
    ]
    np.testing.assert_allclose(shares, by_hand)
    assert shares[0] > 0.88  # one word of figures: at most tags are put around it
    assert shares[2] < 0.5
    np.testing.assert_array_equal(consistency(Exact([]), table, np.ones(4, np.int64), 3), 1)  # type: ignore[arg-type]


def test_a_text_counts_by_its_consistency_where_that_is_said(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, shares = [], np.linspace(0, 1, 61)

    def learn(self: Course, pattern: Run, path: Path, facts: Distillation, targets: np.ndarray, weights: np.ndarray) -> Run:
        seen.append((facts.consistency, weights[110:]))
        return pattern

    def stand(model: striata.Model, table: Table, decided: np.ndarray, seed: int) -> np.ndarray:
        assert (table.ids.tolist(), seed) == ([*range(60), 61], 5)
        np.testing.assert_array_equal(decided, model.logits(table.texts).argmax(1))
        return shares

    monkeypatch.setattr(Course, "_fit", learn)
    monkeypatch.setattr(course, "consistency", stand)
    options = {"kind": "lexical", "rounds": 1, "loss": 1.0, "device": "cpu", "seed": 5}
    for steady in (False, True):
        striata.selftrain(taught / "out", str(taught / "more.csv"), consistency=steady, out=taught / f"never-{steady}", **options)
    (no, plain), (yes, counted) = seen
    assert (no, yes) == (False, True)
    np.testing.assert_allclose(counted, plain * shares, atol=1e-6)


def test_an_interrupted_call_goes_on_to_the_same_bytes(taught: Path, tmp_path: Path) -> None:
    def until(event: striata.training.events.Event) -> None:
        if event.kind == "saved":
            raise KeyboardInterrupt

    def call(out: str, **options: object) -> striata.SelfTrained:
        return striata.selftrain(
            taught / "out", str(taught / "more.csv"), loss=1.0, steps=20, out=tmp_path / out, device="cpu", **options
        )

    whole = call("whole")
    for _ in range(3):  # in one member, then in another
        with pytest.raises(KeyboardInterrupt):
            call("cut", listen=until)
    again = call("cut")
    adapters = [name for name, run in whole.runs.items() if run.kind == "adapter"]
    assert len(adapters) == 2
    for name in adapters:
        one, other = (made.runs[name].seal.digests["adapter_model.safetensors"] for made in (again, whole))
        assert one == other
    assert again.rounds == whole.rounds


def test_after_an_interrupted_call_another_one_keeps_nothing_of_it(taught: Path, tmp_path: Path) -> None:
    def until(event: striata.training.events.Event) -> None:
        if event.kind == "note" and event.message.startswith("round 1: validation"):
            raise KeyboardInterrupt

    def call(out: str, **options: object) -> striata.SelfTrained:
        more = str(taught / "more.csv")
        return striata.selftrain(taught / "out", more, loss=1.0, rounds=1, steps=4, out=tmp_path / out, device="cpu", **options)

    with pytest.raises(KeyboardInterrupt):
        call("cut", listen=until)
    assert not (tmp_path / "cut").exists()
    made = call("one", kind="lexical")
    assert (list(made.runs), made.ensemble) == (["lexical"], None)
    assert sorted(path.name for path in (tmp_path / "one").rglob("*") if path.is_dir()) == ["lexical", "runs"]
    assert not (taught / "out" / "unfinished").exists()


def test_a_round_whose_ensemble_needs_no_encoder_answers_without(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though members of the round that it has left out read embeddings."""
    monkeypatch.setattr(course, "write_ensemble", lambda folder, **_: write_ensemble(folder, size=1, method="weighted"))
    monkeypatch.setattr("striata.ensemble.weighting.best_runs", lambda *_: ["lexical"])
    made = striata.selftrain(taught / "out", str(taught / "more.csv"), steps=4, loss=1.0, out=tmp_path / "made", device="cpu")
    assert made.ensemble is not None
    assert list(made.ensemble.runs) == ["lexical"]
    assert any(learner.base is not None for learner in made.runs.values())


def test_a_fit_that_fails_is_said_in_a_line(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FloatingPointError("solver\nis lost")

    monkeypatch.setattr(Lexical, "fit", fail)
    with pytest.raises(RunError, match="self-training of lexical: its fit failed: FloatingPointError: solver is lost; nothing"):
        striata.selftrain(taught / "out", str(taught / "more.csv"), kind="lexical", out=tmp_path / "never", device="cpu")
    assert not (tmp_path / "never").exists()
    assert not (taught / "out" / "unfinished").exists()


def test_what_cannot_be_is_refused(taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, more = taught / "out", str(taught / "more.csv")
    with pytest.raises(EnsembleError, match=r"'frozn' .did you mean 'frozen'"):
        striata.selftrain(out, more, kind="frozn")
    with pytest.raises(EnsembleError, match="has no run of kind neighbours"):
        striata.selftrain(out, more, kind="neighbours")
    with pytest.raises(EnsembleError, match="worse than its teacher: validation accuracy"):
        striata.selftrain(out, more, kind="adapter", steps=1, rounds=1, loss=0.0, device="cpu")
    assert not (out / "selftrained").exists()
    assert not (out / "unfinished").exists()
    assert run("selftrain", out, "--unlabelled", more, "--kind", "lexical", "--loss", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["transductive"] is True
    assert run("card", out / "selftrained" / "runs" / "lexical") == 0
    assert "It is transductive" in (out / "selftrained" / "runs" / "lexical" / "README.md").read_text()
    with pytest.raises(EnsembleError, match="is there and is no selftrained run"):
        striata.selftrain(out, more, out=taught)
    for place in (out, out / "selftrained"):
        (out / "selftrained" / "notes.txt").write_text("mine")
        with pytest.raises(EnsembleError, match="is there and holds more than selftrained runs"):
            striata.selftrain(out, more, out=place)
    (out / "selftrained" / "notes.txt").unlink()
    write_ensemble(out, method="cascade", size=2)
    made = striata.selftrain(out, more, rounds=1, steps=4, loss=1.0, device="cpu")  # in the place of the first
    assert made.ensemble is not None
    assert made.ensemble.method == "weighted"
    write_ensemble(out, size=1)
    with pytest.raises(EnsembleError, match="is one run"):
        striata.selftrain(out, more)
