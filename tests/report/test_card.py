"""Model cards, and what the command line and trackers are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard, metadata_load
from scipy.stats import binomtest
from sklearn.metrics import f1_score
from typer.testing import CliRunner

from striata.cli.app import app
from striata.ensemble import load_ensemble
from striata.errors import RunError, StriataError, StudyError
from striata.model import packer
from striata.model.packs import open_pack
from striata.report import collect, write_card, write_report
from striata.runs import StudyFolder
from striata.runs.standings import write_test_metrics

from ..study.synthetic import logits_of, write_synthetic_run, write_synthetic_study
from .studies import LABELS, add_everything, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    found = write_study(
        tmp_path_factory.mktemp("card") / "study",
        ["s1", "s9"],
        rows=300,
        data={"train": "fancyzhx/ag_news", "validation": 300, "max_length": 64},
    )
    add_everything(found)
    return found


def figures(metadata: dict[str, Any], split: str = "validation") -> dict[str, float]:
    (model,) = metadata["model-index"]
    (result,) = [one for one in model["results"] if one["dataset"]["split"] == split]
    return {metric["type"]: metric["value"] for metric in result["metrics"]}


def test_a_runs_card_round_trips(study: StudyFolder, tmp_path: Path) -> None:
    run = next(run for run in study.runs() if run.name == "s9-seed0")
    test = {"accuracy": 0.83, "loss": 0.51, "macro_f1": 0.82}
    write_test_metrics(study, [run], {run.name: test})
    file = write_card(run.path, out=tmp_path / "card.md")
    (study.path / "test.json").unlink()
    found: Any = metadata_load(file)
    assert (found["license"], found["base_model"], found["datasets"]) == ("unknown", "roberta-base", ["fancyzhx/ag_news"])
    assert found["library_name"] == "peft"
    seen = run.validation()
    right = seen.logits.argmax(1) == seen.labels
    assert figures(found)["accuracy"] == float(right.mean())
    assert figures(found)["f1"] == pytest.approx(f1_score(seen.labels, seen.logits.argmax(1), average="macro"))
    assert figures(found, "test") == {"accuracy": 0.83, "f1": 0.82, "log_loss": 0.51}
    text = ModelCard.load(file).text
    bounds = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    assert f"| {bounds.low:.4f} to {bounds.high:.4f} |" in text
    assert f"| {run.plan.trainable:,} | {run.plan.lora:,} | {run.plan.head.parameters:,} |" in text
    assert run.plan.text.replace("|", "\\|") in text
    for label in LABELS:
        assert f"| {label} |" in text


def test_a_card_names_each_splits_own_file_andX(tmp_path: Path) -> None:
    data = {"train": "texts/train.csv", "validation": 90, "test": "texts/test.csv", "max_length": 64}
    study = write_study(tmp_path / "study", ["s1"], seeds=(0,), rows=90, steps=20, data=data)
    (run,) = study.runs()
    test = {"accuracy": 0.83, "loss": 0.51, "macro_f1": 0.82}
    write_test_metrics(study, [run], {run.name: test})
    found: Any = metadata_load(write_card(run.path, out=tmp_path / "card.md"))
    (model,) = found["model-index"]
    names = {one["dataset"]["split"]: one["dataset"]["name"] for one in model["results"]}
    assert names == {"validation": "train.csv", "test": "test.csv"}


def test_a_card_tells_no_folder_of_this_machine(tmp_path: Path) -> None:
    home = tmp_path / "somebody"
    data = {"train": str(home / "texts" / "train.csv"), "validation": 80, "max_length": 64}
    study = write_study(home / "study", ["s1"], seeds=(0,), rows=80, steps=20, data=data)
    labels = np.arange(60) % 3
    base = str(home / "minilm" / "model")
    run = write_synthetic_run(
        study.path, "s2", 0, logits_of(labels > 0, labels), labels, base=base, head="native", study={"data": data}
    )
    text = write_card(run.path).read_text()
    assert str(tmp_path) not in text
    assert "somebody" not in text
    assert "the encoder `minilm`" in text
    assert "| source | …/texts/train.csv |" in text


def test_a_studys_card_is_its_ensembles(study: StudyFolder) -> None:
    file = write_card(study.path)
    assert file == study.path / "ensemble" / "README.md"
    report = collect(study.path)  # a card beside the sealed files does no harm
    assert report.ensemble is not None
    found: Any = metadata_load(file)
    assert figures(found)["accuracy"] == report.ensemble.nested["accuracy"]
    assert found["library_name"] == "striata"
    text = ModelCard.load(file).text
    for name, weight in report.ensemble.members.items():
        assert f"| {name} | {weight:.3f} |" in text
    assert figures(found, "test") == {"accuracy": 0.91, "f1": 0.9, "log_loss": 0.31}
    bounds = binomtest(910, 1000).proportion_ci(method="wilson")
    assert f"| …/test.csv, 1,000 | 0.9100 | {bounds.low:.4f} to {bounds.high:.4f} |" in text
    file.unlink()


def test_a_packs_card_is_of_the_model_inside(study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packer, "_copy_encoders", lambda *_: ())  # a synthetic study has none
    ensemble, pack = load_ensemble(study.path / "ensemble"), tmp_path / "mine"
    packer._write_folder(pack, ensemble.folder, ensemble, ensemble.runs, False)
    file = write_card(pack)
    assert file == pack / "README.md"
    whole, own = ModelCard.load(file), ModelCard.load(write_card(study.path, out=tmp_path / "card.md"))
    assert figures(whole.data.to_dict()) == figures(own.data.to_dict())
    assert "striata.load('mine')" in whole.text
    assert open_pack(pack).model.name == "ensemble"  # a card beside the sealed files does no harm

    run, single = study.runs()[0], tmp_path / "single"
    packer._write_folder(single, run.path, run, {run.name: run}, False)
    metadata: Any = metadata_load(write_card(single))
    assert metadata["library_name"] == "striata"  # peft does not look inside
    assert "PeftModel" not in (single / "README.md").read_text()

    with pytest.raises(StudyError, match=r"single is a pack, which holds one model .* or run `striata card"):
        write_report(single)
    packer._archive(single, tmp_path / "sent.zip", zipped=True)
    with pytest.raises(StriataError, match="is an archive; unpack it"):
        write_card(tmp_path / "sent.zip")


def test_hostile_labels_stay_text_in_a_card(tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    names = ("a|b", "<script>x</script>", "[c](javascript:x)\n# d")
    folder = write_synthetic_study(tmp_path / "study", {}, labels, layouts=["s1"], seeds=[0]).path
    write_synthetic_run(folder, "s1", 0, logits_of(labels > 0, labels), labels, names=names)
    text = ModelCard.load(write_card(folder)).text
    assert "<script>" not in text
    assert "\n# d" not in text
    rows = [line for line in text.splitlines() if line.startswith(("| a", "| &lt;", "| \\["))]
    assert len(rows) == 3
    assert all(len(row.replace("\\|", "").split("|")) == 7 for row in rows)


def test_a_card_of_nothing_is_refused(tmp_path: Path, study: StudyFolder) -> None:
    with pytest.raises(RunError, match="there is no run folder"):
        write_card(tmp_path / "nothing")
    (tmp_path / "file").write_text("old")
    with pytest.raises(StriataError, match="cannot write"):
        write_card(study.path, out=tmp_path / "file" / "card.md")
    assert (tmp_path / "file").read_text() == "old"


def test_the_commands_say_where_they_wrote(study: StudyFolder, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(study.path), "--out", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "page.html") in done.output.replace("\n", "")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    done = CliRunner().invoke(app, ["card", str(study.path), "--out", str(tmp_path / "card.md")])
    assert done.exit_code == 0, done.output
    assert "choose one before you publish" in done.output


def test_trackers_get_every_curve(study: StudyFolder, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write_report(study.path, out=tmp_path / "page.html", track=["tensorboard"])
    (events,) = (study.path / "trackers" / "study-report").glob("events*")
    found = accumulator.EventAccumulator(str(events), size_guidance={"scalars": 0})
    found.Reload()
    report = collect(study.path)
    names = {"train/loss": "loss", "train/learning_rate": "learning_rate", "validation/accuracy": "accuracy"}
    for history in report.histories:
        for tag, field in names.items():
            seen = [(event.step, event.value) for event in found.Scalars(f"{history.run}/{tag}")]
            np.testing.assert_allclose(seen, getattr(history, field), rtol=1e-6)
