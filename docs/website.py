"""Makes the documentation's website in build/site, without a network; a link that leads nowhere is an error.

python docs/website.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
OUTER = ("CHANGELOG.md", "CONTRIBUTING.md", "LOG.md")  # pages that lie beside docs/
BUILDER = Path(sys.executable).with_name("zensical")


def lay_out(folder: Path, *, docs: Path = DOCS) -> None:
    """Puts configuration and pages where the builder wants them, all pages in one folder.

    Args:
        folder: to write into.
        docs: the pages.
    """
    pages = folder / "docs"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(docs, pages, ignore=shutil.ignore_patterns("*.py", "*.yml", "__pycache__"))
    shutil.copy(docs / "mkdocs.yml", folder)
    for name in OUTER:
        text = (ROOT / name).read_text(encoding="utf-8")
        (pages / name.lower()).write_text(text.replace("](docs/", "]("), encoding="utf-8")
    for page in pages.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(rf"\]\((?:\.\./)?({'|'.join(OUTER)})", _lower, text), encoding="utf-8")


def _lower(link: re.Match[str]) -> str:
    return f"]({link[1].lower()}"


def build(folder: Path, *, docs: Path = DOCS) -> Path:
    """Makes the website.

    Args:
        folder: to work in.
        docs: the pages.

    Returns:
        The website's folder; its index.html can be opened as it is.

    Raises:
        subprocess.CalledProcessError: a link leads nowhere, or the builder warns of something else; its output says what.
    """
    lay_out(folder, docs=docs)
    command = [str(BUILDER), "build", "--clean", "--strict", "--config-file", str(folder / "mkdocs.yml")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / "site"


if __name__ == "__main__":
    try:
        print(f"wrote {build(ROOT / 'build' / 'website') / 'index.html'}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.stdout}{error.stderr}\nthe website was not made; mend the links above")
