"""Figures read back with a ruler, and written for a paper."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import binomtest

from striata.errors import StriataError
from striata.report import Report, collect, write_report
from striata.report.figures import figures_of
from striata.report.palette import DARK, HUES, LIGHT
from striata.report.scene import Box, Dot, Line, Scale, Scene, Text, cut, scale_over, ticks, within
from striata.report.training_figures import means, thinned
from striata.runs import RunFacts, StudyFolder
from striata.runs.run import RunRecord, write_run
from striata.settings import Recipe
from striata.tasks import SINGLE_LABEL

from ..study.synthetic import logits_of, write_synthetic_run, write_synthetic_study
from .studies import add_everything, write_study

LAYOUTS = ["s1", "s1:uniform", "s9", "s9:reversed"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    found = write_study(tmp_path_factory.mktemp("figures") / "study", LAYOUTS, rows=300)
    add_everything(found)
    return collect(found.path)


def number(text: str) -> float:
    """What a tick says."""
    units = {"%": 0.01, "k": 1e3, "M": 1e6}
    plain = text.replace(",", "").replace("−", "-").replace("+", "").replace("\u00a0", " ").split()
    return float(plain[0]) * (units[plain[1]] if len(plain) > 1 else 1)


def ruler(scene: Scene, *, down: bool = False) -> tuple[float, float]:
    """Slope and offset that take pixels to values, from the ticks of one axis."""
    found = [mark for mark in scene.marks if isinstance(mark, Text) and re.fullmatch(r"[−+]?[\d.,]+(\s[%kM])?", mark.text)]
    axis = [mark for mark in found if (mark.anchor == "end") == down]
    pixels = [mark.y - 4 if down else mark.x for mark in axis]
    slope, offset = np.polyfit(pixels, [number(mark.text) for mark in axis], 1)
    return float(slope), float(offset)


def test_intervals_lie_where_the_axis_says(report: Report) -> None:
    figures = figures_of(report)
    assert figures.differences is not None
    results = [(row.accuracy, row.low, row.high) for row in report.comparison.layouts]
    forest = [(each.difference * 100, each.low * 100, each.high * 100) for each in report.comparison.differences]
    for scene, expected in ((figures.standings, results), (figures.differences, forest)):
        slope, offset = ruler(scene)
        whiskers = [m for m in scene.marks if isinstance(m, Line) and m.width == 2]
        dots = [m for m in scene.marks if isinstance(m, Dot) and m.radius > 4]
        read = [
            (slope * dot.x + offset, slope * line.points[0][0] + offset, slope * line.points[1][0] + offset)
            for dot, line in zip(dots, whiskers, strict=True)
        ]
        assert np.allclose(read, expected, atol=abs(slope) * 0.6)  # half a pixel and the rounding of the ticks
    zero = next(m for m in figures.differences.marks if isinstance(m, Line) and m.stroke == "ink")
    slope, offset = ruler(figures.differences)
    assert abs(slope * zero.points[0][0] + offset) < abs(slope)


def test_accuracy_against_parameters_lies_where_the_axes_say(report: Report) -> None:
    scene = figures_of(report).cost
    up = ruler(scene, down=True)
    across = ruler(scene)
    for group in report.groups:
        dot = next(m for m in scene.marks if isinstance(m, Dot) and m.series == group.place and m.radius == 5)
        assert across[0] * dot.x + across[1] == pytest.approx(group.plan.trainable, rel=0.005)
        assert up[0] * dot.y + up[1] == pytest.approx(group.result.accuracy, abs=abs(up[0]) * 0.6)
    assert report.ensemble is not None
    assert report.ensemble_judged is not None
    (together,) = (m for m in scene.marks if isinstance(m, Dot) and m.radius == 5.5)
    assert across[0] * together.x + across[1] == pytest.approx(report.ensemble.trainable, rel=0.005)
    assert up[0] * together.y + up[1] == pytest.approx(report.ensemble_judged.metrics.scores.accuracy, abs=abs(up[0]) * 0.6)


def test_the_cost_is_the_one_that_tells_points_apart(tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    study = write_synthetic_study(tmp_path / "study", {}, labels, layouts=["s1", "s2", "s8"], seeds=[0])
    for at, layout in enumerate(("s1", "s2", "s8")):
        write_synthetic_run(study.path, layout, 0, logits_of(labels >= at % 2, labels), labels, seconds=43.79)
    write_baseline(study, seconds=2.0)
    assert "parameters" in axis_of(figures_of(collect(study.path)).cost)  # all layouts took the same time
    for at, layout in enumerate(("s1", "s2", "s8")):
        write_synthetic_run(study.path, layout, 0, logits_of(labels >= at % 2, labels), labels, seconds=20.0 + 10 * at)
    scene = figures_of(collect(study.path)).cost
    assert "time" in axis_of(scene)
    assert {m.text for m in scene.marks if isinstance(m, Text)} >= {"s1", "s8", "majority"}


def axis_of(scene: Scene) -> str:
    return next(m.text for m in scene.marks if isinstance(m, Text) and m.anchor == "middle" and m.y > scene.height - 10)


def write_baseline(study: StudyFolder, *, seconds: float) -> None:
    """A baseline that says the same of every text, beside a study's runs."""
    like = study.runs()[0]
    seen = like.validation()
    logits = np.tile(np.array([1.0, 0.0, 0.0], np.float32), (len(seen.labels), 1))
    changes = {
        "kind": "majority", "name": "majority", "title": "majority", "layout": "majority", "plan_hash": "", "lora": 0,
        "trainable": 3, "seconds": seconds, "metrics": SINGLE_LABEL.scores(logits, seen.labels).to_json(),
    }  # fmt: skip
    facts = RunFacts(**(like.facts.model_dump() | changes))
    record = RunRecord(facts=facts, plan=None, receipt=None, history=(), validation=replace(seen, logits=logits))
    write_run(study.run_folder("majority"), record, None)


def test_heat_maps_show_every_site_once(report: Report) -> None:
    rank, dropout = figures_of(report).layouts
    for scene, field in ((rank, "rank"), (dropout, "dropout")):
        said = [mark.tip for mark in scene.marks if isinstance(mark, Box) and mark.tip]
        expected = [
            f"{group.title}, layer {site.layer}, {site.target}: {field} {getattr(site, field):g}"
            for group in report.groups
            for site in group.plan.sites
        ]
        assert sorted(said) == sorted(expected)
    cells = {mark.tip: mark.opacity for mark in rank.marks if isinstance(mark, Box) and mark.tip}
    assert cells["s9, layer 0, query: rank 2"] < cells["s9, layer 11, query: rank 10"] <= 0.75


def test_curves_hold_the_history(report: Report) -> None:
    scene = next(scene for scene in figures_of(report).training if scene.name == "validation-loss")
    (across, left), (up, bottom) = ruler(scene), ruler(scene, down=True)
    for history in report.histories:
        line = next(m for m in scene.marks if isinstance(m, Line) and m.tip == history.run)
        last = line.points[-1]
        assert across * last[0] + left == pytest.approx(history.validation_loss[-1][0], abs=0.5)
        assert up * last[1] + bottom == pytest.approx(history.validation_loss[-1][1], abs=abs(up))


def history(steps: Sequence[int], losses: Sequence[float]) -> list[dict[str, float]]:
    return [{"step": step, "loss": loss, "learning_rate": 1e-3} for step, loss in zip(steps, losses, strict=True)]


def chart(folder: Path, runs: dict[str, list[dict[str, float]]]) -> dict[str, Scene]:
    labels = np.arange(60) % 3
    study = write_synthetic_study(folder, {}, labels, layouts=list(runs), seeds=[0])
    for layout, entries in runs.items():
        write_synthetic_run(study.path, layout, 0, logits_of(labels > 0, labels), labels, history=entries)
    return {scene.name: scene for scene in figures_of(collect(study.path)).training}


def test_a_run_that_was_evaluated_once_gives_no_empty_chart(tmp_path: Path) -> None:
    losses = history(range(1, 6), [1.0, 0.9, 0.8, 0.7, 0.6])
    once = [*losses, {"step": 5, "validation_accuracy": 0.9, "validation_loss": 0.4}]
    assert set(chart(tmp_path / "once", {"s1": once})) == {"training-loss", "learning-rate"}
    twice = [*once, {"step": 9, "validation_accuracy": 0.92, "validation_loss": 0.3}]
    scene = chart(tmp_path / "mixed", {"s1": once, "s2": twice})["validation-accuracy"]
    assert [m.tip for m in scene.marks if isinstance(m, Dot)] == ["s1-seed0"]  # a single value is a point beside the other's line
    assert [m.tip for m in scene.marks if isinstance(m, Line) and m.tip] == ["s2-seed0"]


def test_a_dot_marks_the_checkpoint_that_was_kept(tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    study = write_synthetic_study(tmp_path, {}, labels, layouts=["s1", "s2"], seeds=[0])
    entries = [
        {"step": step, "validation_accuracy": 0.1 * step, "validation_loss": 2 - 0.1 * step, "validation_macro_f1": 0.05 * step}
        for step in range(1, 9)
    ]
    for layout, by, step in (("s1", "macro_f1", 3), ("s2", "loss", 6)):
        recipe = Recipe(best_by=by).model_dump(mode="json")
        own = {"history": entries, "recipe": recipe, "best_step": step, "steps": 8}
        write_synthetic_run(study.path, layout, 0, logits_of(labels > 0, labels), labels, **own)
    scenes = {scene.name: scene for scene in figures_of(collect(study.path)).training}
    expected = {"s1-seed0": 3, "s2-seed0": 6}
    for name, height in (("validation-accuracy", 0.1), ("validation-loss", -0.1), ("validation-macro-f1", 0.05)):
        x, y, _ = scenes[name].ruler or pytest.fail("no scales")
        dots = {dot.tip.partition(",")[0]: dot for dot in scenes[name].marks if isinstance(dot, Dot)}
        assert set(dots) == ({"s1-seed0"} if name == "validation-macro-f1" else set(expected))
        for run, dot in dots.items():
            value = height * expected[run] + (2 if height < 0 else 0)
            assert (dot.x, dot.y) == pytest.approx((x(expected[run]), y(value)))
            assert dot.tip == f"{run}, kept at step {expected[run]}"


def test_curves_stay_in_their_box(tmp_path: Path) -> None:
    losses = [9.0, 0.52, 7.0, 0.52, *np.tile([0.55, 0.5], 18)]  # in, out again, and in
    scene = chart(tmp_path / "study", {"s1": history(range(1, 41), losses)})["training-loss"]
    _, y, _ = scene.ruler or pytest.fail("no scales")
    lines = [m for m in scene.marks if isinstance(m, Line) and m.tip == "s1-seed0"]
    assert len(lines) == 2
    for line in lines:
        assert all(y.end - 0.5 <= at <= y.start + 0.5 for _, at in line.points)
    last = lines[-1].points[-1]
    assert last[1] == pytest.approx(y(0.5))


def test_a_line_is_cut_where_it_leaves() -> None:
    assert within(((0, 0), (10, 10), (20, 0)), 2, 8) == [((2, 2), (8, 8)), ((12, 8), (18, 2))]
    assert within(((0, 5), (10, 5)), 2, 8) == [((0, 5), (10, 5))]
    assert within(((0, 1), (10, 1)), 2, 8) == within(((0, 9),), 2, 8) == within((), 2, 8) == []
    rng = np.random.default_rng(0)
    points = tuple((float(at), float(value)) for at, value in enumerate(rng.normal(0, 1, 200)))
    pieces = within(points, -1, 1)
    inside = {point for piece in pieces for point in piece} & set(points)
    assert inside == {point for point in points if abs(point[1]) <= 1}
    grid = np.linspace(0, 199, 20_001)
    whole = np.interp(grid, *zip(*points, strict=True))
    covered = np.zeros(len(grid), bool)
    for piece in pieces:
        xs, ys = zip(*piece, strict=True)
        own = (grid >= xs[0]) & (grid <= xs[-1])
        np.testing.assert_allclose(np.interp(grid[own], xs, ys), whole[own], atol=1e-9)
        covered |= own
    assert (covered == (np.abs(whole) <= 1)).mean() > 0.999


def test_reliability_has_an_interval_in_every_bin(report: Report) -> None:
    scene = figures_of(report).reliability
    (across, left), (up, bottom) = ruler(scene), ruler(scene, down=True)
    bins = [bar for bar in report.judged.calibration.after.bins if bar.rows]
    lines = [m for m in scene.marks if isinstance(m, Line) and m.stroke == "c4"]
    assert all(len(m.points) == 2 for m in scene.marks if isinstance(m, Line))  # no zigzag
    assert len(lines) == len(bins)
    for bar, line in zip(bins, lines, strict=True):
        bounds = binomtest(round(bar.accuracy * bar.rows), bar.rows).proportion_ci(method="wilson")
        assert across * line.points[0][0] + left == pytest.approx(bar.confidence, abs=0.01)
        assert [up * at + bottom for _, at in line.points] == pytest.approx([bounds.low, bounds.high], abs=0.01)


def test_recall_of_each_label_has_its_interval(report: Report) -> None:
    scene = figures_of(report).labels
    slope, offset = ruler(scene)
    per_label = report.judged.metrics.per_label
    names = [m.tip for m in scene.marks if isinstance(m, Text) and m.anchor == "end"]
    assert names == sorted(per_label, key=lambda name: per_label[name]["recall"])
    whiskers = [m for m in scene.marks if isinstance(m, Line) and m.width == 2]
    for name, line in zip(names, whiskers, strict=True):
        rows = int(per_label[name]["rows"])
        bounds = binomtest(round(per_label[name]["recall"] * rows), rows).proportion_ci(method="wilson")
        assert [slope * at + offset for at, _ in line.points] == pytest.approx([bounds.low, bounds.high], abs=0.005)


def test_names_of_labels_are_whole_where_there_is_room(tmp_path: Path) -> None:
    names = ("acq", "interest", "money-supply", "a label with a very long name, longer than any room")
    study = write_study(tmp_path / "study", ["s1"], seeds=(0,), rows=80, steps=20, names=names)
    texts = [m.text for m in figures_of(collect(study.path)).confusion.marks if isinstance(m, Text)]
    for name in names[:3]:
        assert texts.count(name) == 2  # as a row and as a column


def test_means_keep_the_mean_and_thinning_keeps_the_ends() -> None:
    curve = tuple((float(step), float(value)) for step, value in enumerate(np.random.default_rng(0).normal(0, 1, 900)))
    short = means(curve, 90)
    assert len(short) == 90
    assert np.mean([value for _, value in short]) == pytest.approx(np.mean([value for _, value in curve]))
    few = thinned(curve, 90)
    assert len(few) <= 90
    assert (few[0], few[-1]) == (curve[0], curve[-1])
    assert set(few) <= set(curve)
    assert means(curve[:10]) == thinned(curve[:10]) == curve[:10]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.8712, 0.8745), (-3e-4, 9e-4), (1e5, 9e5), (0.9, 0.9)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    for log in (False, True):
        scale = scale_over([low, high], 50, 400, log=log)
        found = ticks(scale)
        assert 2 <= len(found) <= 8
        assert all(scale.low - 1e-9 <= value <= scale.high + 1e-9 for value in found)
        assert all(50 - 1e-6 <= scale(value) <= 400 + 1e-6 for value in found)
    assert Scale(low=1, high=100, start=0, end=10, log=True)(10) == pytest.approx(5)


def test_long_names_are_cut_and_stay_whole_in_the_tip(report: Report) -> None:
    assert cut("a name that is far too long", 80, 12) == "a name tha…"
    assert cut("short", 80, 12) == "short"
    for scene in figures_of(report).all():
        for mark in scene.marks:
            if isinstance(mark, Text) and mark.anchor == "end" and not mark.upwards:
                assert mark.x - len(mark.text) * mark.size * 0.56 > -8, (scene.name, mark.text)


def luminance(colour: str, over: str = "", opacity: float = 1.0) -> float:
    """Relative luminance by the formula of WCAG, of a colour laid over another."""
    parts = [int(colour[at : at + 2], 16) * opacity for at in (1, 3, 5)]
    below = [int(over[at : at + 2], 16) * (1 - opacity) for at in (1, 3, 5)] if over else [0.0, 0.0, 0.0]
    linear = [
        c / 12.92 if (c := (a + b) / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for a, b in zip(parts, below, strict=True)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: float, second: float) -> float:
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read(colours: dict[str, str]) -> None:
    for ground in ("ground", "panel"):
        for ink in ("ink", "muted", "accent", "good", "bad"):
            assert contrast(luminance(colours[ink]), luminance(colours[ground])) >= 4.5, (ink, ground)
    for hue in range(HUES):
        assert contrast(luminance(colours[f"c{hue}"]), luminance(colours["ground"])) >= 3, hue
    for heat in ("heat", "warm", "wrong"):
        full = luminance(colours[heat], colours["ground"], 0.75)
        assert contrast(luminance(colours["ink"]), full) >= 3.8, heat


def names_of(paths: Iterable[Path]) -> set[str]:
    return {path.name for path in paths}


def test_figures_for_a_paper(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_report(report.folder, out=tmp_path / "report.html", png=tmp_path / "figures")
    scenes = {scene.name: scene for scene in figures_of(report).all()}
    assert names_of((tmp_path / "figures").iterdir()) == {f"{name}.{kind}" for name in scenes for kind in ("png", "svg")}
    for name, scene in scenes.items():
        data = (tmp_path / "figures" / f"{name}.png").read_bytes()
        assert data.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", data[16:24])
        assert width == round(scene.width * 3)  # 300 dots per inch, 100 pixels of a scene per inch
        assert height >= scene.height * 3
        drawn = ElementTree.parse(tmp_path / "figures" / f"{name}.svg")
        text = (tmp_path / "figures" / f"{name}.svg").read_text()
        assert "var(" not in text
        texts = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert scene.title in texts
        if name in ("training-loss", "accuracy-cost"):
            assert set(LAYOUTS) <= set(texts)  # a legend


def test_without_matplotlib_nothing_is_written(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(StriataError, match=r"pip install 'striata\[report\]'"):
        write_report(report.folder, out=tmp_path / "report.html", png=tmp_path / "figures")
    assert list(tmp_path.iterdir()) == []
