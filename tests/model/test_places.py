"""Finished runs whose encoder lies elsewhere now, and models packed for another machine."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import striata
from striata.ensemble import combine_runs, write_ensemble
from striata.errors import EncoderError, EnsembleError, RunError, StriataError
from striata.robustness import audit_labels, validation_rows

from .. import processes
from ..command import run
from ..study.small import make_base, study_of

LAYOUTS = ["0-2 r2 query value", "1-2 r4 query"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two adapters, words and embeddings, whose encoder has moved from `roberta` to `moved`; `other` is no copy."""
    folder = tmp_path_factory.mktemp("places")
    recipe = {"max_steps": 12, "evaluate_every": 6}
    kinds = ["lexical", "frozen"]
    striata.train(study_of(folder, layouts=LAYOUTS, head="mean", recipe=recipe, baselines=kinds, ensemble={"size": 4}))
    make_base(folder / "elsewhere", "bert")
    striata.train(
        study_of(
            folder,
            base=str(folder / "elsewhere/bert"),
            head="linear",
            layouts=["0-1 r3 query"],
            recipe=recipe,
            ensemble=False,
            output=str(folder / "second"),
        )
    )
    write_ensemble(folder / "out", folder / "second", out=folder / "both", size=5)
    np.save(folder / "before.npy", striata.load(folder / "out/ensemble", device="cpu", precision="fp32").logits(texts_of(folder)))
    np.save(folder / "both.npy", striata.load(folder / "both", device="cpu", precision="fp32").logits(texts_of(folder)))
    (folder / "roberta").rename(folder / "moved")
    shutil.copytree(folder / "moved", folder / "other")
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "other/model.safetensors")
    weights["roberta.embeddings.LayerNorm.bias"] += 0.25
    save_file(weights, folder / "other/model.safetensors", {"format": "pt"})
    return folder


def texts_of(folder: Path) -> list[str]:
    return [line.rpartition(",")[0] for line in (folder / "test.csv").read_text().splitlines()[1:]]


def test_the_studys_rows_are_read_with_the_encoder_that_some_member_has(folder: Path) -> None:
    model = striata.load(folder / "out/ensemble", base=folder / "moved", device="cpu", precision="fp32")
    model.runs = dict(sorted(model.runs.items(), key=lambda entry: entry[1].base is not None))
    assert next(iter(model.runs.values())).base is None
    rows = validation_rows(model)
    assert rows is not None
    assert set(rows.ids.tolist()) == set(model.runs["lexical"].validation().ids.tolist())


def logits_of(model: Path, folder: Path) -> np.ndarray:
    return striata.load(model, device="cpu", precision="fp32").logits(texts_of(folder))


def logits_at(folder: Path, base: object) -> np.ndarray:
    return striata.load(folder / "out/ensemble", base=base, device="cpu", precision="fp32").logits(texts_of(folder))  # type: ignore[arg-type]


def test_an_encoder_that_lies_elsewhere_gives_the_same_bits(folder: Path) -> None:
    for base in (folder / "moved", str(folder / "moved"), [folder / "moved"]):
        assert np.array_equal(logits_at(folder, base), np.load(folder / "before.npy"))
    for name in (path.name for path in (folder / "out/runs").iterdir()):
        assert striata.load(folder / "out/runs" / name, base=None if name == "lexical" else folder / "moved").predict(["w0 w1"])


def test_of_several_encoders_some_can_have_moved(folder: Path) -> None:
    for bases in (
        [folder / "moved"],
        [folder / "moved", folder / "elsewhere/bert"],
        [folder / "elsewhere/bert", folder / "moved"],
    ):
        model = striata.load(folder / "both", base=bases, device="cpu", precision="fp32")
        assert np.array_equal(model.logits(texts_of(folder)), np.load(folder / "both.npy"))
    with pytest.raises(
        EncoderError, match=r"^base is missing: run .* was trained on an encoder that is not where it was .*roberta"
    ):
        striata.load(folder / "both", base=folder / "elsewhere/bert")


def test_what_is_wrong_with_the_place_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EncoderError, match=r"^base is missing: run .*roberta does not exist.* say where it lies now$"):
        logits_at(folder, None)
    with pytest.raises(RunError, match=r"^base .*other has other weights than those that were trained on \(SHA-256 "):
        logits_at(folder, folder / "other")
    with pytest.raises(EncoderError, match=r"encoder folder .*nowhere does not exist"):
        logits_at(folder, folder / "nowhere")
    with pytest.raises(RunError, match="is of no use: no member has an encoder"):
        striata.load(folder / "out/runs/lexical", base=folder / "moved")
    for command in (
        ["predict", folder / "out/ensemble", folder / "test.csv", "--out", folder / "no.csv"],
        ["evaluate", folder / "out/ensemble", folder / "test.csv"],
        ["stress", folder / "out/ensemble", folder / "test.csv"],
        ["shift", folder / "out/ensemble", "--known", folder / "test.csv", "--unlabelled", folder / "test.csv"],
        ["audit", folder / "out"],
        ["distil", folder / "out"],
        ["ensemble", folder / "out", "--method", "soup", "--size", "2"],
        ["pack", folder / "out/ensemble", "--out", folder / "no"],
    ):
        assert run(*command) == 2, command
        assert "error: --base is missing: " in capsys.readouterr().err, command


def test_every_command_takes_the_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ensemble, test, base = folder / "out/ensemble", folder / "test.csv", ["--base", folder / "moved"]
    assert run("predict", ensemble, test, "--out", folder / "a.csv", *base) == 0
    assert run("evaluate", ensemble, test, *base) == 0
    assert run("shift", ensemble, "--known", test, "--unlabelled", test, "--permutations", 19, *base) == 0
    assert run("audit", folder / "out", *base) == 0
    assert run("distil", folder / "out", "--steps", 3, "--loss", 1, *base) == 0
    assert striata.load(folder / "out/distilled").predict(["w0 w1"])
    capsys.readouterr()
    assert run("ensemble", folder / "out", "--method", "soup", "--size", 2, *base) in (0, 2)
    assert "encoder folder" not in capsys.readouterr().err
    assert run("ensemble", folder / "out", *base) == 2
    assert "--base" in capsys.readouterr().err
    for command in (["audit", folder / "out"], ["distil", folder / "out"]):
        assert run(*command, "--base", folder / "other") == 2
        err = capsys.readouterr().err
        assert "error:" in err
        assert "other" in err
    with pytest.raises(EnsembleError, match="is not needed to combine outputs"):
        combine_runs(folder / "out", base=folder / "moved")
    with pytest.raises(StriataError, match="is not the one that run"):
        audit_labels(folder / "out", base=folder / "other")


def test_a_pack_opens_elsewhere_with_the_same_bits(folder: Path, tmp_path: Path) -> None:
    made = striata.pack(folder / "out/ensemble", tmp_path / "made", base=folder / "moved")
    assert made == tmp_path / "made"
    assert {path.name for path in made.iterdir()} == {"manifest.json", "pack.json", "ensemble", "runs", "encoders"}
    there = tmp_path / "there"
    made.rename(there)
    model = striata.load(there, device="cpu", precision="fp32")
    before = striata.load(folder / "out/ensemble", base=folder / "moved", device="cpu", precision="fp32")
    assert np.array_equal(model.logits(texts_of(folder)), np.load(folder / "before.npy"))
    assert (model.identity, model.calibration) == (before.identity, before.calibration)
    again = striata.pack(there, tmp_path / "again")
    assert np.array_equal(logits_of(again, folder), np.load(folder / "before.npy"))


def test_a_pack_of_several_encoders_and_one_without_them(folder: Path, tmp_path: Path) -> None:
    bases = [folder / "moved", folder / "elsewhere/bert"]
    whole, bare = striata.pack(folder / "both", tmp_path / "whole", base=bases), tmp_path / "bare"
    assert np.array_equal(logits_of(whole, folder), np.load(folder / "both.npy"))
    striata.pack(folder / "both", bare, encoder=False, base=bases)
    assert not list(bare.rglob("model.safetensors"))
    with pytest.raises(EncoderError, match="base is missing"):
        striata.load(bare)
    naked = []
    for base in bases:  # weights alone: the tokenizer is the pack's
        naked.append(tmp_path / base.name)
        naked[-1].mkdir()
        for name in ("config.json", "model.safetensors"):
            shutil.copy(base / name, naked[-1])
    model = striata.load(bare, base=naked, device="cpu", precision="fp32")
    assert np.array_equal(model.logits(texts_of(folder)), np.load(folder / "both.npy"))


@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ".tgz"])
def test_an_archive_unpacks_into_a_folder_of_its_name(folder: Path, tmp_path: Path, ending: str) -> None:
    run_folder = next(path for path in (folder / "out/runs").iterdir() if path.name.endswith("seed0"))
    archive = striata.pack(run_folder, tmp_path / f"model.v1{ending}", base=folder / "moved")
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]
    with pytest.raises(StriataError, match=rf"is an archive; unpack it with `.*{archive.name}.*` and give the folder model.v1 "):
        striata.load(archive)
    if ending == ".zip":
        with zipfile.ZipFile(archive) as file:
            assert file.testzip() is None
            file.extractall(tmp_path)
    else:
        with tarfile.open(archive) as tar:
            assert {(member.uname, member.uid) for member in tar} == {("", 0)}
            # Filters are there from Python 3.11.4 on.
            tar.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    expected = striata.load(run_folder, base=folder / "moved", device="cpu", precision="fp32").logits(texts_of(folder))
    opened = striata.load(tmp_path / "model.v1", device="cpu", precision="fp32")
    assert np.array_equal(opened.logits(texts_of(folder)), expected)


def test_a_pack_is_whole_or_not_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="has other weights than"):
        striata.pack(folder / "out/ensemble", tmp_path / "a.zip", base=folder / "other")
    (tmp_path / "there.zip").write_text("mine")
    with pytest.raises(StriataError, match=r"^out .*there.zip is there already"):
        striata.pack(folder / "out/ensemble", tmp_path / "there.zip", base=folder / "moved")
    with pytest.raises(StriataError, match=r"^out .* is inside of "):
        striata.pack(folder / "out/ensemble", folder / "out/ensemble/pack", base=folder / "moved")
    real = shutil.copyfile
    for name in ("model.safetensors", "run.json"):

        def fails(source: Path, target: Path, name: str = name) -> object:
            if Path(source).name == name:
                raise OSError(28, "No space left on device", str(target))
            return real(source, target)

        monkeypatch.setattr(shutil, "copyfile", fails)
        for out in ("folder", "b.tar.gz"):
            with pytest.raises(StriataError, match="no space or no inodes left to write"):
                striata.pack(folder / "out/ensemble", tmp_path / out, base=folder / "moved")
    assert [path.name for path in tmp_path.iterdir()] == ["there.zip"]
    assert (tmp_path / "there.zip").read_text() == "mine"


def test_damage_in_a_pack_is_noticed(folder: Path, tmp_path: Path) -> None:
    pack = striata.pack(folder / "out/ensemble", tmp_path / "pack", base=folder / "moved")
    files = ("encoders/roberta/model.safetensors", "encoders/roberta/tokenizer.json", "ensemble/ensemble.json", "pack.json")
    for name in (*files, "runs/lexical/run.json", "manifest.json"):
        content = (pack / name).read_bytes()
        (pack / name).write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        with pytest.raises(StriataError):
            striata.load(pack)
        (pack / name).write_bytes(content)
    (pack / "encoders/roberta/vocab.txt").write_text("more")
    with pytest.raises(StriataError, match=r"holds encoders/roberta/vocab.txt, which was not written with it"):
        striata.load(pack)


def test_the_command_packs_and_the_pack_predicts_in_a_process_of_its_own(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert run("pack", folder / "out/ensemble", "--out", out, "--base", folder / "moved") == 0
    assert f"{out}: " in capsys.readouterr().out
    assert (
        run("predict", folder / "out/ensemble", folder / "test.csv", "--out", tmp_path / "a.csv", "--base", folder / "moved") == 0
    )
    said = processes.striata("predict", out, folder / "test.csv", "--out", tmp_path / "b.csv", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_an_ensemble_copied_without_its_runs_says_why(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "out/ensemble", tmp_path / "alone/ensemble")
    with pytest.raises(EnsembleError, match=r"the runs of ensemble .* are not where they were .*; .* `striata pack`$"):
        striata.load(tmp_path / "alone/ensemble")
