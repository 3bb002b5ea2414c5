"""Reports as a browser draws them: no chart is empty or leaves its box, no page scrolls sideways, and pointing at curves works.

Needs Playwright and a Chromium (Debian's package `chromium`); without either the tests are skipped by name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striata.ensemble import write_ensemble
from striata.report import write_report

from ..study.synthetic import logits_of, write_synthetic_run, write_synthetic_study
from .studies import add_everything, write_study

sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the browser tests need chromium")

WIDTHS = (390, 820, 1400)
NINE = [f"s{at}" for at in range(1, 10)]
# For each drawing its title, how many marks show something, and what leaves its box by more than a pixel or two.
LOOK = """
() => [...document.querySelectorAll('figure svg')].map((drawing) => {
  const box = drawing.getBoundingClientRect();
  const marks = [...drawing.querySelectorAll('polyline,circle,polygon,rect,text')];
  const seen = marks.filter((mark) => {
    const own = mark.getBoundingClientRect();
    const paints = [mark.getAttribute('fill'), mark.getAttribute('stroke')];
    const grid = paints.includes('var(--grid)') || paints.includes('var(--panel)');
    return !grid && mark.tagName !== 'text' && own.width + own.height > 0;
  });
  const out = marks.filter((mark) => {
    const own = mark.getBoundingClientRect();
    return own.left < box.left - 2 || own.right > box.right + 2 || own.top < box.top - 2 || own.bottom > box.bottom + 2;
  });
  return {
    title: drawing.getAttribute('aria-label'), width: box.width, height: box.height, seen: seen.length,
    out: out.map((mark) => mark.tagName + ' ' + (mark.textContent || mark.getAttribute('points')).slice(0, 60)),
  };
})
"""
# Cells of tables whose text is wider than they are, and parts of the page that are wider than it.
WIDE = """
() => ({
  page: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  parts: [...document.querySelectorAll('main *, header *')].filter((part) =>
    !part.closest('.scroll, nav, svg, pre') && part.getBoundingClientRect().right > document.documentElement.clientWidth + 1
  ).map((part) => part.tagName + '.' + part.className),
})
"""
# Sections in which figures, and what stands beside them, leave a fifth of a wide page's width empty or more.
EMPTY = """
() => [...document.querySelectorAll('.figures')].filter((row) => {
  const box = row.getBoundingClientRect();
  const full = [...row.children].filter((part) => part.textContent.trim());
  const right = Math.max(...full.map((part) => part.getBoundingClientRect().right));
  return box.width > 0 && right < box.left + 0.8 * box.width;
}).map((row) => row.closest('section').id)
"""


def demo(folder: Path) -> Path:
    """Four layouts and a baseline, evaluated once each, eight labels, some of them rare."""
    names = ("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade")
    rng = np.random.default_rng(0)
    labels = rng.choice(8, 300, p=[0.3, 0.06, 0.42, 0.02, 0.06, 0.06, 0.03, 0.05])
    data = {"train": "/home/somebody/data/r8/train.csv", "validation": 300, "max_length": 64}
    study = write_synthetic_study(folder, {}, labels, layouts=["s1", "s8"], seeds=[0], data=data)
    for at, layout in enumerate(("s1", "s8", "s2", "s6")):
        losses = [
            {"step": step, "loss": 2.1 * 0.98**step + (6 if step in (4, 9) else 0), "learning_rate": 1e-3}
            for step in range(1, 181)
        ]
        once = {"step": 180, "validation_accuracy": 0.93, "validation_loss": 0.2}
        logits = rng.normal(0, 1, (300, 8)) + 4 * np.eye(8)[labels]
        write_synthetic_run(study.path, layout, 0, logits, labels, names=names, history=[*losses, once], seconds=43.8 + at / 100)
    write_ensemble(study.path, size=2)
    return study.path


def search(folder: Path) -> Path:
    """Trials with long names, some of which ended early."""
    study = write_study(folder, NINE[:3], seeds=(0,), rows=120, steps=40)
    labels = study.runs()[0].validation().labels
    for at in range(6):
        layout = f"0-{3 + at} r{2 + at} a4 d0.05 query value ffn_in | {4 + at}-11 r{8 + at} a8 d0.1 query key value"
        logits = logits_of(np.arange(120) % (7 + at) > 0, labels, classes=4)
        names = ("World", "Sports", "Business", "Sci/Tech")
        write_synthetic_run(study.path, layout, 0, logits, labels, names=names, title=f"trial-{at:03}-of-a-rolling-search")
    return study.path


def everything(folder: Path, layouts: list[str], rows: int = 200) -> Path:
    study = write_study(folder, layouts, seeds=(0,), rows=rows, steps=120)
    add_everything(study)
    return study.path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("browser")
    many = [f"s{at}{control}" for at in range(1, 10) for control in ("", ":uniform", ":reversed")][:26]
    studies = {
        "demo": demo(home / "demo"),
        "search": search(home / "search"),
        "fit": everything(home / "fit", ["s1", "s8"]),
        "nine": everything(home / "nine", NINE),
        "26 layouts": everything(home / "many", many, rows=80),
    }
    note = "A paragraph of the author's own, with a-word-that-is-so-long-that-it-would-not-fit-into-the-page-of-a-telephone."
    return {name: write_report(path, author="A. Nyone", note=note) for name, path in studies.items()}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("name", ["demo", "search", "fit", "nine", "26 layouts"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_whole_and_pages_fit(browser: Any, pages: dict[str, Path], name: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(pages[name].as_uri())
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate(WIDE)
        assert (wide["page"], wide["parts"]) == (0, []), width
        drawings = page.evaluate(LOOK)
        assert len(drawings) >= 6
        for drawing in drawings:
            assert drawing["seen"] >= 2, (width, drawing)  # the axis, and something beside it
            assert drawing["out"] == [], (width, drawing["title"])
            assert drawing["width"] > 250
    assert page.evaluate(EMPTY) == []  # of the widest
    assert errors == []
    page.close()


def test_what_is_wrong_with_a_chart_is_seen(browser: Any) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 400})
    page.set_content(
        "<main><figure><svg viewBox='0 0 100 100' width=300 style='overflow:visible' aria-label='bad'>"
        "<polyline points='0,50 100,50' stroke='var(--grid)'/><polyline points='10,10 20,-40' stroke='black'/></svg></figure>"
        "<p style='width:600px'>too wide</p></main>"
    )
    (drawing,) = page.evaluate(LOOK)
    assert drawing["seen"] == 1
    assert drawing["out"] == ["polyline 10,10 20,-40"]
    wide = page.evaluate(WIDE)
    assert wide["page"] > 100
    assert wide["parts"] == ["P."]
    page.close()


def test_pointing_at_a_curve_names_it_and_reads_it_off(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(pages["nine"].as_uri())
    drawing = page.locator("#figure-validation-accuracy svg")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    points = page.locator("#figure-validation-accuracy polyline[data-series]").first.get_attribute("points")
    x, y = (float(part) for part in points.split()[-1].split(","))
    view = [float(part) for part in drawing.get_attribute("viewBox").split()]
    page.mouse.move(box["x"] + (x - 1) / view[2] * box["width"], box["y"] + y / view[3] * box["height"])
    text = page.locator("#figure-validation-accuracy output").text_content()
    name, _, rest = text.partition(", step ")
    assert name in {f"{layout}-seed0" for layout in NINE}
    step, _, value = rest.partition(": ")
    assert 115 <= int(step) <= 120
    assert 80 <= float(value.removesuffix(" %")) <= 100
    assert page.locator(".figures svg.pick").count() >= 4  # in the other figures too
    page.mouse.move(5, 5)
    assert page.locator("svg.pick").count() == 0
    assert page.locator("#figure-validation-accuracy output").text_content() == ""
    page.close()


def test_a_page_without_script_shows_the_same(browser: Any, pages: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["nine"].as_uri())
    assert page.locator("figure svg").count() > 10
    assert page.locator("#figure-training-loss polyline[data-series]").count() == 9
    context.close()


def test_print_keeps_headings_with_their_figures(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(pages["fit"].as_uri())
    page.pdf(path=str(tmp_path / "page.pdf"), prefer_css_page_size=True)
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    page.emulate_media(media="print")
    together = page.evaluate(
        "() => [...document.querySelectorAll('.together')].map((part) => [getComputedStyle(part).breakInside, "
        "part.querySelectorAll('h2, h3').length])"
    )
    assert len(together) > 8
    assert all(inside == "avoid" and headings for inside, headings in together)
    apart = page.evaluate("() => [...document.querySelectorAll('figure')].filter((part) => !part.closest('.together')).length")
    assert apart == 0
    page.close()
