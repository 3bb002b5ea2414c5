"""Figures read back with a ruler, and written for a paper."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from striata.errors import StriataError
from striata.report import Report, collect, write_report
from striata.report.figures import figures_of
from striata.report.palette import DARK, HUES, LIGHT
from striata.report.scene import Box, Dot, Line, Scale, Scene, Text, cut, scale_over, ticks
from striata.report.training_figures import means, thinned

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
    scene = figures_of(report).cost[0]
    across, up = ruler(scene), ruler(scene, down=True)
    for group in report.groups:
        dot = next(m for m in scene.marks if isinstance(m, Dot) and m.series == group.place and m.radius == 5)
        assert across[0] * dot.x + across[1] == pytest.approx(group.plan.trainable, rel=0.005)
        assert up[0] * dot.y + up[1] == pytest.approx(group.result.accuracy, abs=abs(up[0]) * 0.6)


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
        if name in ("training-loss", "accuracy-time"):
            assert set(LAYOUTS) <= set(texts)  # a legend


def test_without_matplotlib_nothing_is_written(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(StriataError, match=r"pip install 'striata\[report\]'"):
        write_report(report.folder, out=tmp_path / "report.html", png=tmp_path / "figures")
    assert list(tmp_path.iterdir()) == []
