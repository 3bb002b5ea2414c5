"""The website is made, every page is in its menu, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .pages import DOCS, load

website = load("website")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = website.build(tmp_path_factory.mktemp("website"))
    return made


def pages_of(menu: Any) -> Iterator[str]:
    match menu:
        case str():
            yield menu
        case list() | dict():
            for entry in menu if isinstance(menu, list) else menu.values():
                yield from pages_of(entry)


def test_every_page_is_in_the_menu_and_was_made(site: Path) -> None:
    listed = list(pages_of(yaml.safe_load((DOCS / "mkdocs.yml").read_text())["nav"]))
    pages = {page.name for page in DOCS.glob("*.md")} | {name.lower() for name in website.OUTER}
    assert sorted(listed) == sorted(pages)
    for page in listed:
        assert (site / page.replace(".md", ".html")).stat().st_size > 1000, page


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]*)", text)
        loaded += re.findall(r"<link\b[^>]*\bhref=\"([^\"]*)", text)
        assert loaded or page.parent.name == "examples"  # a report has all it needs in itself
        assert not [source for source in loaded if re.match(r"(https?:)?//", source)], page
    styles = [path.read_text() for path in site.rglob("*.css")]
    assert styles
    assert not [style for style in styles if re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style)]


@pytest.mark.parametrize(
    ("line", "where"),
    [("[one](nowhere.md)", "page does not exist"), ("[one](guide.md#nowhere)", "anchor does not exist")],
)
def test_a_link_that_leads_nowhere_is_an_error(line: str, where: str, tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "pages")
    with (tmp_path / "pages" / "vocabulary.md").open("a") as page:
        page.write(f"\n{line}\n")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        website.build(tmp_path / "website", docs=tmp_path / "pages")
    output = refused.value.stdout + refused.value.stderr
    assert where in output
    assert "1 issue" in output
