"""Models sent to a Hub and opened from there, through huggingface_hub, against one on the loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import striata
from striata.downloads import check_repository

from .hidden import Result, run_without
from .hub import TOKEN, Hub, Repository, serving
from .study.small import study_of


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    layouts = ["0-2 r2 query", "0-2 r2 value"]
    changes = {"layouts": layouts, "baselines": {"kinds": ["lexical"]}, "ensemble": {"size": 3}}
    striata.train(study_of(folder, **changes, recipe={"max_steps": 2, "evaluate_every": 2}))
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as hub:
        environment = {
            "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield hub


def run(*commands: list[object]) -> list[Result]:
    return run_without(*(([], command) for command in commands))


def test_a_model_goes_there_and_comes_back(study: Path, hub: Hub, tmp_path: Path) -> None:
    ensemble, texts = study / "out/ensemble", study / "test.csv"
    listed, refused, sent, opened, evaluated, again, packed = run(
        ["push", ensemble, "me/news", "--dry-run"],
        ["push", ensemble, "me/news"],
        ["push", ensemble, "me/news", "--yes", "--private"],
        ["predict", "hub:me/news", texts, "--out", tmp_path / "there.csv"],
        ["evaluate", "hub:me/news@main", texts, "--json"],
        ["push", "hub:me/news", "me/copy", "--yes", "--json"],
        ["pack", "hub:me/copy", "--out", tmp_path / "packed"],
    )
    assert listed[0] == 0, listed
    assert "me/news, public" in listed[1]
    assert "manifest.json" in listed[1]
    assert refused[0] == 2
    assert refused[2].endswith("error: nothing was sent: nobody is there to be asked; look at --dry-run, then add --yes\n")
    for code, out, err in (sent, opened, evaluated, again, packed):
        assert code == 0, (out, err)
    repository = hub.repositories["me/news"]
    assert repository.private
    files = repository.commits[repository.head]
    assert sent[1].splitlines()[-2:] == [f"sent as commit {repository.head}", "next: striata predict hub:me/news FILE"]
    for name, data in files.items():
        assert name == ".gitattributes" or f"{name} " in sent[1] or name in sent[1].split(), name
        assert name == ".gitattributes" or f"{len(data):,}" in sent[1]
    run([
        "predict", ensemble, texts, "--out", tmp_path / "here.csv",
    ])  # fmt: skip
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    assert json.loads(again[1])["visibility"] == "public"
    card = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert (card["library_name"], card["pipeline_tag"]) == ("striata", "text-classification")
    metrics = [metric for result in card["model-index"][0]["results"] for metric in result["metrics"]]
    (accuracy,) = [metric for metric in metrics if metric["type"] == "accuracy"]
    low, high = accuracy["args"]["interval"]
    assert low < accuracy["value"] <= high <= 1
    assert "striata.load('hub:me/news')" in files["README.md"].decode()


def test_only_what_the_manifest_names_is_fetched_and_nothing_that_could_run(study: Path, hub: Hub, tmp_path: Path) -> None:
    ((code, _, err),) = run(["push", study / "out/runs/lexical", "me/words", "--yes"])
    assert code == 0, err
    repository = hub.repositories["me/words"]
    files = repository.commits[repository.head]
    repository.add({**files, "modeling.py": b"raise SystemExit", "pickled.bin": b"x"})
    changed = json.loads(files["manifest.json"])
    changed["files"]["weights.bin"] = "0"
    repository.add(bad := {**files, "manifest.json": json.dumps(changed).encode(), "weights.bin": b""})
    late = repository.head
    changed["files"] = {"../up.json": "0"}
    outside = repository.add({**bad, "manifest.json": json.dumps(changed).encode()})
    damaged = repository.add({**files, "pack.json": files["pack.json"] + b" "})
    hub.requests.clear()
    sound = list(repository.commits)[2]
    results = run(*(["predict", f"hub:me/words@{at}", study / "test.csv", "--out", tmp_path / f"{at}.csv"] for at in (
        sound, late, outside, damaged,
    )))  # fmt: skip
    assert results[0][0] == 0, results[0]
    fetched = " ".join(hub.requests)
    assert "modeling.py" not in fetched
    assert "pickled.bin" not in fetched
    assert "weights.bin" not in fetched
    messages = [
        "holds weights.bin, which striata does not write",
        "names a file outside of it, ../up.json",
        "pack.json is not what",
    ]
    for (code, _, err), message in zip(results[1:], messages, strict=True):
        assert code == 2, err
        assert message in err
        assert err.count("\n") == 1


def test_what_the_hub_or_the_user_does_not_allow_is_said_in_a_line(
    study: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, texts = study / "out/runs/lexical", study / "test.csv"
    (tmp_path / "card.md").write_text("---\nlicense: none of them\nlibrary_name: x\npipeline_tag: y\nmodel-index: []\n---\n#\n")
    hub.repositories["me/open"] = repository = Repository(private=False)
    repository.add({"README.md": b"# not ours"})
    out = tmp_path / "out.csv"
    table = {
        ("push", words, "news", "--yes"): "'news' is no name of a model on the Hub; expected OWNER/NAME",
        ("push", words, "someone/news", "--yes"): "the Hub refused someone/news: You don't have the rights",
        ("push", words, "me/open", "--yes", "--private"): "me/open is on the Hub already, and public; nothing was sent",
        ("push", words, "me/other", "--yes", "--card", tmp_path / "card.md"): "the Hub does not accept the model card: ",
        ("push", words, "me/other", "--yes", "--card", tmp_path / "no.md"): "the card ",
        ("predict", "hub:me/no", texts, "--out", out): "there is no model me/no on the Hub",
        ("predict", "hub:me/open", texts, "--out", out): "me/open on the Hub has no manifest.json",
        ("predict", "hub:me/open@v9", texts, "--out", out): "me/open on the Hub has no revision 'v9'",
        ("predict", "hub:me", texts, "--out", out): "'me' is no name of a model on the Hub",
    }
    for (code, _, err), (command, message) in zip(run(*map(list, table)), table.items(), strict=True):
        assert code == 2, (command, err)
        assert err.splitlines()[-1].startswith(f"error: {message}"), (command, err)
    assert list(repository.commits.values()) == [{"README.md": b"# not ours"}]
    assert "me/other" not in hub.repositories

    monkeypatch.delenv("HF_TOKEN")
    hub.requests.clear()
    ((code, _, err),) = run(["push", words, "me/words", "--yes"])
    message = "error: there is no token for the Hub on this machine; run: hf auth login, or set HF_TOKEN"
    assert (code, err.splitlines()[-1]) == (2, message)
    assert hub.requests == []

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    predict = ["predict", "hub:me/words", texts, "--out", out]
    ((code, _, err), (other, _, without)) = run_without(([], predict), (["huggingface_hub"], predict))
    assert (code, err.count("\n")) == (2, 1)
    assert "me/words is not in the Hub's cache on this machine, and the Hub cannot be reached" in err
    assert other == 2
    assert "a model of the Hub needs huggingface_hub" in without


@pytest.mark.parametrize("name", ["news", "a/b/c", "a/", "/b", "a/b c", "a/b..c", "a/b.git", "a/-b", "a/" + "b" * 99, "a/b\n"])
def test_names_that_the_hub_does_not_take(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    with pytest.raises(striata.StriataError, match="is no name of a model on the Hub"):
        check_repository(name)
    if name not in ("news", "a/b\n"):  # without an owner; of the Hub's own, which were there before there were owners
        with pytest.raises(HFValidationError):
            validate_repo_id(name)
