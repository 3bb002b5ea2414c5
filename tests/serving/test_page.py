"""The page in a browser: a text, a file, a key, a keyboard, a narrow screen.

Needs Playwright and a Chromium (Debian's package `chromium`); without either the tests are skipped by name.
"""

from __future__ import annotations

import csv
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from striata.model import Model
from striata.serving import create_app
from striata.serving.server import address_of, open_port

from .made import texts

sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the browser tests need chromium")

KEY = "a-key-that-is-long-enough"
# Parts that are wider than the page, outside of boxes that scroll.
WIDE = """
() => [...document.querySelectorAll('body *')].filter((part) =>
  !part.closest('.scroll') && part.getBoundingClientRect().right > document.documentElement.clientWidth + 1
).map((part) => part.tagName + '.' + part.className)
"""


@contextmanager
def server(models: dict[str, Model], **options: Any) -> Iterator[str]:
    """The address of a server in a thread."""
    listener = open_port("127.0.0.1", 0)
    running = uvicorn.Server(uvicorn.Config(create_app(models, **options), log_config=None, log_level="critical"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    address = address_of(listener)
    thread.start()
    yield address
    running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page whose script raises nothing, and which is refused nothing that it loads."""
    opened = browser.new_page(viewport={"width": 390, "height": 844})
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    assert [problem for problem in problems if "401" not in problem and "ERR_FAILED" not in problem] == []


def test_a_text_gets_its_label_by_keyboard(page: Any, ensemble: Model) -> None:
    text = texts(0, 1)[0] + " w1" * 40
    with server({"mine": ensemble}) as address:
        page.goto(address)
        page.wait_for_function("document.activeElement.id === 'text'")
        page.get_by_text("mine: an ensemble of 3, 3 labels").wait_for()
        page.keyboard.press("Control+Enter")
        assert page.locator("#problem").text_content() == "Type a text first."
        page.keyboard.type(text[:40])
        page.locator("#text").fill(text)
        page.keyboard.press("Control+Enter")
        page.locator("#answer").wait_for()
        assert page.locator("#problem").is_hidden()
        assert page.locator("#label").text_content() == ensemble.predict([text])[0]
        assert page.locator("#cut").is_visible()
        shown = dict(
            zip(page.locator("#bars .name").all_inner_texts(), page.locator("#bars .value").all_inner_texts(), strict=True)
        )
        expected = dict(zip(ensemble.labels, ensemble.predict_proba([text])[0], strict=True))
        assert shown == {label: f"{100 * value:.1f}\u00a0%" for label, value in expected.items()}
        assert list(shown) == sorted(expected, key=lambda label: -expected[label])
        widths = [box["width"] for box in (fill.bounding_box() for fill in page.locator("#bars .fill").all()) if box]
        track = page.locator("#bars .track").first.bounding_box()["width"]
        assert widths[0] == pytest.approx(max(expected.values()) * track, abs=4)
        assert page.locator("#votes tr").count() == 3
        assert page.locator("#set").text_content().startswith("Label set at 90\u00a0% coverage: ")
        page.get_by_role("button", name="Which words decided?").click()
        page.locator("#words .word").first.wait_for()
        assert page.locator("#words .word").all_inner_texts() == text.split()[: page.locator("#words .word").count()]
        for width in (320, 390, 820, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(WIDE) == [], width


def test_a_file_is_classified_and_saved_with_its_columns(page: Any, ensemble: Model, tmp_path: Path) -> None:
    some = texts(1, 70)
    some[3] = " "
    rows = [[str(at), f'{text}, "quoted"\nline' if at == 5 else text, "mine"] for at, text in enumerate(some)]
    file = tmp_path / "new.csv"
    with open(file, "w", newline="") as written:
        csv.writer(written).writerows([["id", "text", "label"], *rows])
    with server({"mine": ensemble}) as address:
        page.goto(address)
        page.get_by_text("mine: an ensemble of 3").wait_for()
        page.locator("#file").set_input_files(file)
        page.get_by_role("button", name="Classify 70 rows").click()
        page.get_by_role("link", name="Save as CSV").wait_for()
        assert page.locator("#rows tr").count() == 70
        with page.expect_download() as download:
            page.get_by_role("link", name="Save as CSV").click()
        assert download.value.suggested_filename == "new.predicted.csv"
        download.value.save_as(tmp_path / "saved.csv")
        assert page.evaluate(WIDE) == []
    with open(tmp_path / "saved.csv", newline="") as saved:
        lines = list(csv.DictReader(saved))
    assert [line["id"] for line in lines] == [row[0] for row in rows]
    assert [line["text"].replace("\r\n", "\n") for line in lines] == [row[1] for row in rows]
    assert {line["label"] for line in lines} == {"mine"}
    full = [at for at, text in enumerate(some) if text.strip()]
    assert [lines[at]["label_predicted"] for at in full] == ensemble.predict([rows[at][1] for at in full])
    assert (lines[3]["label_predicted"], lines[3]["probability"]) == ("", "")
    assert {line["labels"][:2] for line in lines if line["labels"]} == {'["'}


def test_a_file_without_rows_and_a_server_that_is_gone_are_said(page: Any, ensemble: Model, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("text\n")
    with server({"mine": ensemble}) as address:
        page.goto(address)
        page.get_by_text("mine: an ensemble of 3").wait_for()
        page.locator("#file").set_input_files(tmp_path / "empty.csv")
        page.get_by_text("empty.csv has no rows").wait_for()
        page.route("**/v1/classify", lambda route: route.abort())
        page.locator("#text").fill("w1")
        page.get_by_role("button", name="Classify", exact=True).click()
        page.get_by_text("The server does not answer").wait_for()
    page.unroute_all()


def test_a_server_with_keys_asks_for_one(page: Any, ensemble: Model) -> None:
    with server({"mine": ensemble, "other": ensemble}, keys=[KEY]) as address:
        page.goto(address)
        page.get_by_text("This server asks for a key.").wait_for()
        page.locator("#key").fill("a-key-that-is-not-known")
        page.keyboard.press("Enter")
        page.get_by_text("This key is not known.").wait_for()
        page.locator("#key").fill(KEY)
        page.keyboard.press("Enter")
        page.get_by_text("mine: an ensemble of 3").wait_for()
        page.locator("#model").select_option("other")
        page.locator("#text").fill("w1 w2")
        page.get_by_role("button", name="Classify", exact=True).click()
        page.locator("#answer").wait_for()
        page.reload()  # nothing is kept
        page.get_by_text("This server asks for a key.").wait_for()
