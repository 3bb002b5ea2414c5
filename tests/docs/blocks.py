"""Code blocks of Markdown pages: fenced ones with their language, indented ones, with what each of them is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
_KINDS = {"console": "commands", "bash": "commands", "sh": "commands", "shell": "commands", "yml": "yaml"}
_COMMAND = re.compile(r"(striata|pip|make|python|\S*/python|tar|unzip|docker|curl|git) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block.

    Args:
        page: path of the page, from the repository's root.
        line: of its first line, counted from 1.
        kind: "python", "yaml", another language, "commands", or "text".
        text: without fences and indentation.
    """

    page: str
    line: int
    kind: str
    text: str

    @property
    def first(self) -> str:
        """Its first line, by which it is named."""
        return self.text.splitlines()[0].strip()

    @property
    def commands(self) -> list[str]:
        """Of a block of commands: each of them, without its comment."""
        lines = [re.sub(r"(^|\s+)#\s.*", "", line).strip() for line in self.text.splitlines()]
        return [line for line in lines if line]


def blocks_of(page: str) -> list[Block]:
    """All code blocks of a page, in their order."""
    return parse(page, (ROOT / page).read_text(encoding="utf-8"))


def parse(page: str, text: str) -> list[Block]:
    """All code blocks of a text in Markdown."""
    blocks: list[Block] = []
    lines = text.splitlines()
    at = 0
    free = True  # whether an indented line here begins a block: not within a paragraph or a list
    while at < len(lines):
        line = lines[at]
        fence = re.match(r"(\s*)```(\w*)", line)
        if fence:
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == "```")
            body = "\n".join(part[len(fence[1]) :] for part in lines[at + 1 : end])
            blocks.append(_block(page, at + 2, fence[2], body))
            at, free = end + 1, True
        elif line.startswith("    ") and line.strip() and free:
            end = at
            while end < len(lines) and lines[end].startswith("    "):
                end += 1
            body = "\n".join(part[4:] for part in lines[at:end])
            blocks.append(_block(page, at + 1, "", body))
            at = end
        else:
            free = not line.strip() or line.startswith("#")
            at += 1
    return blocks


def _block(page: str, line: int, language: str, text: str) -> Block:
    kind = _KINDS.get(language, language)
    if not kind:
        kind = "commands" if _COMMAND.match(text) else "text"
    return Block(page=page, line=line, kind=kind, text=text)
