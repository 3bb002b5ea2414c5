"""Adapters that learn from texts without labels before they learn labels, in a study."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file

import striata
from striata.data import Columns, Tokenizer, read_texts
from striata.data.copies import Copy, find_copies
from striata.engine import Encoder, collate
from striata.errors import DataError, StudyError
from striata.report import collect, write_card
from striata.report.sentences import summary
from striata.runs import Run
from striata.scale.training import portable
from striata.settings import load_study
from striata.steps import Trained, plan_study, train_stacks
from striata.steps import collect as collect_runs
from striata.study import adaptation_texts, plan_members, prepare, stacks
from striata.study.adaptation_texts import find_adaptation
from striata.training import pretraining
from striata.training.events import Event, Listener
from striata.training.state import read_checkpoint

from ..command import run
from ..engine.models import needs_grouped_products
from .small import make_base, study_of, write_texts

STEPS = 6


def study(folder: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """Two layouts with their controls."""
    settings = study_of(
        folder,
        data={"test": str(folder / "test.csv")},
        layouts=["0-2 r2 a4 query value", {"layout": "1-2 r3 a4 query", "name": "upper"}],
        recipe={"max_steps": 4, "evaluate_every": 2},
        ensemble=False,
        output=str(output),
    )
    adapt = {"unlabelled": str(folder / "more.csv"), "steps": STEPS, "batch_size": 32}
    return settings | {"adapt": adapt, "controls": ["no-adapt"]} | changes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with a masked-language head, and 60 texts without labels beside two copies of test rows, one of a training row
    and one twice."""
    folder = tmp_path_factory.mktemp("adaptation")
    make_base(folder, dropout=0.1, masked=True)
    write_texts(folder / "train.csv", 150)
    test = write_texts(folder / "test.csv", 40, seed=1).read_text().split("\n")[1:-1]
    more = write_texts(folder / "more.csv", 60, seed=2, labels=False).read_text().split("\n")[1:-1]
    own = prepare(load_study(study(folder, folder / "none"))).splits.train.texts[0]
    copies = [more[0].upper(), test[3].split(",")[0], test[5].split(",")[0], own]
    (folder / "more.csv").write_text("\n".join(["text", *more, *copies]) + "\n")
    return folder


class Ended(NamedTuple):
    trained: Trained
    events: list[Event]

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self.events if event.kind == "note"]


@pytest.fixture(scope="module")
def ended(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    events = list[Event]()
    return Ended(striata.train(study(folder, tmp_path_factory.mktemp("ended") / "out"), listen=events.append), events)


def weights(run: Run) -> dict[str, np.ndarray]:
    return load_file(run.file("adapter_model.safetensors"))


def test_each_text_is_learned_from_once_and_none_that_is_held_out(folder: Path, tmp_path: Path) -> None:
    prepared = prepare(load_study(study(folder, tmp_path)))
    adaptation = find_adaptation(prepared)
    assert adaptation is not None
    splits, more = prepared.splits, read_texts(folder / "more.csv", prepared.study.columns).texts
    assert splits.test is not None
    held = {*splits.validation.texts, *splits.test.texts}
    texts = [text for text in dict.fromkeys([*splits.train.texts, *map(str.lower, more)]) if text not in held]
    expected = Tokenizer.load(prepared.study.base, 32).encode(texts)
    assert (adaptation.texts.ids.tolist(), adaptation.texts.starts.tolist()) == (expected.ids.tolist(), expected.starts.tolist())
    assert (adaptation.unlabelled, adaptation.copies) == (60, 2)
    fewer = find_adaptation(prepare(load_study(study(folder, tmp_path, adapt={"steps": 5, "batch_size": 4}))))
    assert fewer is not None
    assert (len(fewer.texts), fewer.unlabelled, fewer.source) == (20, 0, None)  # no more than the steps can read


@pytest.fixture
def nearly(folder: Path, tmp_path: Path) -> dict[str, Any]:
    """A study of few steps whose texts without labels are 20 others, and two rows that are held out with a word more."""
    splits = prepare(load_study(study(folder, tmp_path / "none"))).splits
    assert splits.test is not None
    more = write_texts(tmp_path / "more.csv", 20, seed=7, labels=False)
    near = [f"{splits.test.texts[4]} w40", f"{splits.validation.texts[4]} w41"]
    more.write_text(more.read_text() + "\n".join(near) + "\n")
    adapt = {"unlabelled": str(more), "steps": STEPS, "batch_size": 32}
    return study(folder, tmp_path / "out", adapt=adapt, controls=[], layouts=[{"layout": "0-2 r2 a4 query", "name": "all"}])


def test_near_copies_of_rows_that_are_held_out_are_left_out_and_said(nearly: dict[str, Any], tmp_path: Path) -> None:
    adaptation = find_adaptation(prepare(load_study(nearly)))
    assert adaptation is not None
    assert (adaptation.unlabelled, adaptation.copies, adaptation.near_copies, adaptation.searched) == (20, 0, 2, 1.0)
    tokenizer = Tokenizer.load(nearly["base"], 32)
    read = {tuple(adaptation.texts.take([at]).ids.tolist()) for at in range(len(adaptation.texts))}
    for at, text in enumerate(read_texts(tmp_path / "more.csv", Columns()).texts):
        assert (tuple(tokenizer.encode([text]).ids.tolist()) in read) == (at < 20)
    notes = list[str]()
    trained = striata.train(nearly, listen=lambda event: notes.append(event.message))
    assert any(line.startswith("2 texts of") and "are near copies of validation or test rows" in line for line in notes)
    facts = trained.runs["all-seed0"].facts.adapted
    assert facts is not None
    assert (facts.near_copies, facts.searched) == (2, 1.0)
    card = write_card(trained.runs["all-seed0"].path, out=tmp_path / "card.md").read_text()
    assert "0 copies and 2 near copies of validation and test rows were left out" in card


def test_the_search_for_near_copies_is_bounded_and_says_so(nearly: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation_texts, "_SEARCHED", 11)
    looked = list[tuple[int, int]]()

    def watch(texts: list[str], others: list[str]) -> list[Copy]:
        looked.append((len(texts), len(others)))
        return find_copies(texts, others)

    monkeypatch.setattr(adaptation_texts, "find_copies", watch)
    adaptation = find_adaptation(prepare(load_study(nearly)))
    assert adaptation is not None
    assert looked == [(11, 11)]
    assert adaptation.searched == pytest.approx(11 * 11 / (22 * 80))
    assert any("near copies were looked for in 7% of the pairs" in line for line in adaptation.lines())


def test_members_are_adapted_and_say_to_what(ended: Ended) -> None:
    assert any("adaptation (masked)" in line and "60 of" in line and "6 steps of 32" in line for line in ended.notes)
    assert any(line.startswith("2 texts of") and "copies of validation or test rows" in line for line in ended.notes)
    assert not any("could do it before" in line for line in ended.notes)
    steps = [event for event in ended.events if event.kind == "adapting"]
    assert {event.member for event in steps} == {name for name in ended.trained.runs if "no-adapt" not in name}
    assert [event.step for event in steps if event.member == "upper-seed0"] == list(range(1, STEPS + 1))
    for name, one in ended.trained.runs.items():
        facts, receipt = one.facts.adapted, one.receipt()
        assert receipt is not None
        assert one.facts.transductive == receipt.transductive == (facts is not None) == ("no-adapt" not in name)
        losses = [entry["adaptation_loss"] for entry in one.history() if entry.get("adaptation_loss") is not None]
        assert len(losses) == (0 if facts is None else STEPS)
        if facts is not None:
            assert (facts.objective, facts.unlabelled, facts.copies) == ("masked", 60, 2)
            assert str(facts.source).endswith("more.csv")
            assert (facts.first_loss, facts.last_loss) == (losses[0], losses[-1])


def test_the_control_is_the_same_member_without_adaptation(ended: Ended, folder: Path, tmp_path: Path) -> None:
    runs = ended.trained.runs
    one, other = runs["upper-seed0"].facts, runs["upper-no-adapt-seed0"].facts
    assert (other.control, other.control_of) == ("no-adapt", {"no-adapt": ("upper",)})
    assert (one.plan_hash, one.recipe, one.seed) == (other.plan_hash, other.recipe, other.seed)
    assert one.identity != other.identity
    plain = study(folder, tmp_path / "plain", controls=[], layouts=[{"layout": "1-2 r3 a4 query", "name": "upper-no-adapt"}])
    alone = striata.train({**plain, "adapt": None}).runs["upper-no-adapt-seed0"]
    for name, array in weights(alone).items():
        np.testing.assert_allclose(array, weights(runs["upper-no-adapt-seed0"])[name], atol=1e-5)


def test_an_adapted_member_is_what_the_study_planned(ended: Ended, folder: Path, tmp_path: Path) -> None:
    members = {member.name: member for member in plan_members(load_study(study(folder, tmp_path)), 3)}
    assert {name: member.identity for name, member in members.items()} == {
        name: run.facts.identity for name, run in ended.trained.runs.items()
    }


class Killed(BaseException):
    pass


def _die_at(kind: str, step: int) -> Listener:
    def listen(event: Event) -> None:
        if (event.kind, event.step) == (kind, step):
            raise Killed

    return listen


@pytest.mark.parametrize("killed", [(("adapting", 5)), ("step", 1)])
def test_killed_it_goes_on_to_equal_bits(
    ended: Ended, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: tuple[str, int]
) -> None:
    monkeypatch.setattr(pretraining, "_SAVE_EVERY", 2)
    settings, notes = study(folder, tmp_path / "out"), list[str]()
    with pytest.raises(Killed):
        striata.train(settings, listen=_die_at(*killed))
    again = striata.train(settings, listen=lambda event: notes.append(event.message))
    step = "4 of their adaptation" if killed[0] == "adapting" else "0"
    assert f"going on with 4 members from step {step}" in notes
    for name, one in ended.trained.runs.items():
        theirs = weights(again.runs[name])
        assert all(np.array_equal(array, theirs[key]) for key, array in weights(one).items())
        assert one.facts.adapted == again.runs[name].facts.adapted


def test_a_task_of_a_cluster_adapts_to_the_same_texts(ended: Ended, folder: Path, tmp_path: Path) -> None:
    """Though it gets no texts of training and test rows."""
    work = plan_study(study(folder, tmp_path / "out"))
    train_stacks(pickle.loads(pickle.dumps(portable(work))))
    for name, one in collect_runs(work).items():
        assert one.facts.adapted == ended.trained.runs[name].facts.adapted
        theirs = weights(ended.trained.runs[name])
        assert all(np.array_equal(array, theirs[key]) for key, array in weights(one).items())


def raced(folder: Path, output: Path) -> dict[str, Any]:
    race = {"learning_rates": [0.0001, 0.01, 0.03], "survivors": 2, "until": 0.5}
    layouts = [{"layout": "0-2 r2 a4 query value", "name": "all"}, {"layout": "1-2 r3 a4 query", "name": "upper"}]
    return study(folder, output, layouts=layouts, race=race)


def test_of_the_candidates_of_a_race_one_adapts_for_all(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = list[int]()

    def watch(parts: list[Any], device: Any) -> Any:
        sizes.append(len(parts))
        return collate(parts, device)

    monkeypatch.setattr(pretraining, "collate", watch)
    told = list[Event]()
    trained = striata.train(raced(folder, tmp_path / "raced"), listen=told.append)
    assert sizes == [2] * STEPS  # of six adapted candidates, of two layouts
    assert {event.member for event in told if event.kind == "adapting"} == {
        f"{title}-lr{rate}-seed0" for title in ("all", "upper") for rate in ("0.0001", "0.01", "0.03")
    }
    adapted = {name: one for name, one in trained.runs.items() if one.facts.adapted is not None}
    assert len(adapted) == 2
    for name, one in adapted.items():
        title = name.removesuffix("-seed0")
        alone = {"layout": one.facts.layout, "name": title, "recipe": {"learning_rate": one.facts.recipe["learning_rate"]}}
        settings = study(folder, tmp_path / title, layouts=[alone], controls=[])
        same = striata.train(settings | {"adapt": {**settings["adapt"], "check": False}}).runs[name]
        theirs = weights(same)
        assert all(np.array_equal(array, theirs[key]) for key, array in weights(one).items())
        assert same.facts.adapted == one.facts.adapted


def test_candidates_that_are_killed_while_one_adapts_for_all_end_as_if_they_were_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = striata.train(raced(folder, tmp_path / "whole"))
    monkeypatch.setattr(pretraining, "_SAVE_EVERY", 2)
    with pytest.raises(Killed):
        striata.train(raced(folder, tmp_path / "cut"), listen=_die_at("adapting", 3))
    again = striata.train(raced(folder, tmp_path / "cut"))
    assert again.failed == whole.failed
    for name, one in whole.runs.items():
        theirs = weights(again.runs[name])
        assert all(np.array_equal(array, theirs[key]) for key, array in weights(one).items())


def test_other_texts_are_refused(ended: Ended, folder: Path, tmp_path: Path) -> None:
    settings = study(folder, tmp_path / "out", controls=[], adapt={"unlabelled": str(tmp_path / "more.csv"), "steps": 2})
    write_texts(tmp_path / "more.csv", 20, seed=5, labels=False)
    striata.train(settings)
    write_texts(tmp_path / "more.csv", 20, seed=6, labels=False)
    with pytest.raises(StudyError, match=r"that .* was adapted to are not those that `adapt` names now"):
        striata.train(settings | {"seeds": [0, 1]})


def test_a_loss_that_is_no_number_fails_its_member_only(folder: Path, tmp_path: Path) -> None:
    adapt = {"steps": 3, "learning_rate": 1e30, "batch_size": 8}
    trained = striata.train(study(folder, tmp_path / "out", adapt=adapt))
    assert sorted(trained.runs) == sorted(name for name in (*trained.runs, *trained.failed) if "no-adapt" in name)
    assert all("the loss of its adaptation became nan at step" in why for why in trained.failed.values())
    assert len(trained.failed) == 2


def test_encoders_without_the_head_contrast(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_base(tmp_path, dropout=0.1)
    settings = study(folder, tmp_path / "out", base=str(base), head="mean", controls=[], layouts=["0-2 r2 a4 query"])
    settings["adapt"] = {**settings["adapt"], "check": False}
    monkeypatch.setattr(pretraining, "_SOLVED", 1e3)
    notes = list[str]()
    trained = striata.train(settings, listen=lambda event: notes.append(event.message))
    assert any(line.startswith("the loss of the adaptation was ") and "could do it before" in line for line in notes)
    (one,) = trained.runs.values()
    assert one.facts.adapted is not None
    assert one.facts.adapted.objective == "contrastive"
    assert one.facts.adapted.learning_rate == pytest.approx(3e-4)
    with pytest.raises(StudyError, match=r"adapt\.objective masked: the tokenizer of .* has no token for the mask"):
        striata.train(settings | {"adapt": {"objective": "masked"}, "output": str(tmp_path / "other")})
    assert not (tmp_path / "other").exists()


@needs_grouped_products
def test_members_that_share_launches_adapt_alike(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where one that waits is there with zeros; without dropout, whose random bits are others there."""
    layouts = ["0-2 r2 a4 query value", {"layout": "1-2 r3 a4 query", "name": "upper"}]
    recipe = {**study(folder, tmp_path)["recipe"], "encoder_dropout": 0.0}
    losses, waiting = [], []
    for grouped in (False, True):
        monkeypatch.setattr(stacks.Encoder, "load", partial(Encoder.load, grouped=grouped))
        settings = study(folder, tmp_path / str(grouped), layouts=layouts, recipe=recipe, seeds=[3])
        with pytest.raises(Killed):
            striata.train(settings, listen=_die_at("step", 1))
        monkeypatch.undo()
        (checkpoint,) = (tmp_path / str(grouped) / "stacks").glob("*/checkpoint.safetensors")
        states, tensors = read_checkpoint(checkpoint)
        assert [state.step for state in states] == [0] * 4
        losses.append([entry["adaptation_loss"] for state in states for entry in state.history])
        waits = [at for at, state in enumerate(states) if "no-adapt" in state.name]
        waiting.append([array for name, array in tensors.items() if int(name.split("/")[0]) in waits])
    assert len(losses[0]) == 2 * STEPS
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert all(np.array_equal(one, other) for one, other in zip(*waiting, strict=True))


def test_leaderboard_report_and_cards_say_so(ended: Ended, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("leaderboard", ended.trained.folder) == 0
    captured = capsys.readouterr()
    assert "adaptation to texts without labels " in captured.out
    assert "in the mean of 2 layouts (difference" in " ".join(captured.out.split())
    assert "transductive" in captured.out + captured.err
    report = collect(ended.trained.folder)
    assert any(sentence.text.startswith("Adaptation to texts without labels") for sentence in summary(report))
    cards = {name: write_card(one.path, out=tmp_path / f"{name}.md").read_text() for name, one in ended.trained.runs.items()}
    assert "its adapters learned to guess masked tokens from" in cards["upper-seed0"]
    assert "60 of them from elsewhere than the training rows" in cards["upper-seed0"]
    assert "It is transductive" in cards["upper-seed0"]
    assert "transductive" not in cards["upper-no-adapt-seed0"]


def test_texts_that_are_not_there_are_said_before_anything_is_made(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.csv"):
        striata.train(study(folder, tmp_path / "out", adapt={"unlabelled": str(tmp_path / "no.csv")}))
    assert not (tmp_path / "out").exists()


def test_check_says_what_is_learned_and_what_it_costs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    import yaml

    file = tmp_path / "study.yaml"
    settings = study(folder, Path("out"))
    (tmp_path / "more.csv").write_text((folder / "more.csv").read_text())
    file.write_text(yaml.safe_dump(settings | {"adapt": {"unlabelled": "more.csv", "steps": 6}}))
    assert run("check", file) == 0
    out = "".join(capsys.readouterr().out.split("\n"))
    assert "adaptation (masked): before it learns labels, each member guesses masked tokens of" in out
    assert "each is trained without adaptation too, and refused unless it is the better one" in out
    assert run("check", file, "--json") == 0
    shown = json.loads(capsys.readouterr().out)["adaptation"]
    assert (shown["objective"], shown["unlabelled"], shown["copies"], shown["steps"]) == ("masked", 60, 2, 6)
    assert run("check", file, "--set", "adapt.unlabelled=no.csv") == 2
    assert "no.csv" in capsys.readouterr().err
    assert run("check", file, "--set", "adapt.stepz=5") == 2
    assert "adapt.stepz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapt": None}, "control no-adapt is to compare with `adapt`, which is not there"),
        ({"search": True, "controls": []}, "a search takes members in while others train"),
        ({"layouts": [], "baselines": ["lexical"], "controls": []}, "what is adapted are adapters, and there are no layouts"),
        ({"adapt": {"steps": 0}}, "adapt.steps is 0; expected a whole number above 0"),
        ({"adapt": {"objective": "mask"}}, "did you mean 'masked'"),
        ({"layouts": ["s8:no-adapt"], "controls": []}, "unknown control ':no-adapt'"),
    ],
)
def test_what_does_not_go_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    base = {"base": "roberta-base", "data": {"train": "a.csv"}, "layouts": ["s8"], "adapt": True, "controls": ["no-adapt"]}
    with pytest.raises(striata.StriataError) as raised:
        plan_members(load_study({**base, "output": "x", **changes}), 3)
    assert message in str(raised.value)
