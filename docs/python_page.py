"""Makes docs/python.md from the code: the names of `striata`, with their docstrings; `python docs/reference.py` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import griffe

import striata

SOURCE = Path(__file__).parents[1] / "src"
INTRODUCTION = """# Python

Made from the code by `python docs/reference.py`: what `import striata` gives. The command line calls the same functions.
Each name is loaded when it is first used, so that `import striata` takes no time and loads no torch.

```python
import striata

plan = striata.plan("s8", base="roberta-base", labels=4, budget=1_000_000)
print(plan.trainable)
```
"""
GROUPS = {
    "Functions": ("fit", "train", "plan", "load", "pack", "export", "load_study", "distil", "selftrain", "suggest"),
    "What comes out": ("Model", "Explanation", "Fitted", "Exported", "Trained", "Run", "Ensemble", "Distilled", "SelfTrained"),
    "What goes in": ("Study", "Plan", "Layout", "Section", "Columns"),
    "Errors": ("StriataError",),
}
_Sections = dict[str, list[griffe.DocstringSection]]


def render() -> str:
    """The whole page."""
    package = griffe.load("striata", search_paths=[SOURCE])
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(striata.__all__)
    parts = [INTRODUCTION.strip()]
    for title, names in GROUPS.items():
        parts.append(f"## {title}")
        for name in names:
            thing = getattr(striata, name)
            parts += _entry(name, package[f"{thing.__module__}.{thing.__qualname__}".removeprefix("striata.")])
    return "\n\n".join(parts) + "\n"


def _entry(name: str, code: griffe.Object) -> Iterator[str]:
    """A function, or a class with its methods."""
    yield f"### striata.{name}"
    if isinstance(code, griffe.Function):
        yield _signature(f"striata.{name}", code)
    yield from _body(code)
    if not isinstance(code, griffe.Class):
        return
    if name == "Study":
        yield "Its keys are those of [the study file](reference.md#the-study-file)."
    for member in code.members.values():
        if member.name.startswith("_") or not member.docstring:
            continue
        if isinstance(member, griffe.Function):
            yield f"#### {name}.{member.name}"
            yield _signature(f"{name}.{member.name}" if "classmethod" in member.labels else member.name, member)
            yield from _body(member)
        elif "property" in member.labels:
            yield f"#### {name}.{member.name}"
            yield f"`{member.annotation}`. {_first_up(_text(_sections(member)))}"


def _signature(name: str, function: griffe.Function) -> str:
    given, keyword = [], False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not keyword:
            given.append("*")
            keyword = True
        default = "" if parameter.default is None else f" = {parameter.default}"
        given.append(f"{parameter.name}: {parameter.annotation}{default}")
    line = f"{name}({', '.join(given)}) -> {function.returns}"
    if len(line) > 90:
        inner = "".join(f"    {one},\n" for one in given)
        line = f"{name}(\n{inner}) -> {function.returns}"
    return f"```text\n{line}\n```"


def _sections(code: griffe.Object | griffe.Alias) -> _Sections:
    sections: _Sections = {}
    if code.docstring:
        for section in code.docstring.parse("google", warnings=False):
            sections.setdefault(section.kind.value, []).append(section)
    return sections


def _text(sections: _Sections) -> str:
    return "\n\n".join(_plain(section.value) for section in sections.get("text", []))


def _body(code: griffe.Object) -> Iterator[str]:
    """A docstring: its text, then a table for each of its lists."""
    sections = _sections(code)
    yield _text(sections)
    for kind, heading in (("parameters", "argument"), ("attributes", "attribute"), ("raises", "raises")):
        if code.name == "Study" and kind == "parameters":
            continue
        rows = []
        for section in sections.get(kind, []):
            for item in section.value:
                name = str(item.annotation) if kind == "raises" else item.name
                rows.append((f"`{name}`", _first_up(" ".join(_plain(item.description).split()))))
        if rows:
            named = "field" if kind == "parameters" and isinstance(code, griffe.Class) else heading
            yield _table((named, ""), rows)
    for section in sections.get("returns", []):
        yield "Returns " + " ".join(_plain(item.description).strip() for item in section.value)


def _plain(text: str) -> str:
    """Without the roles of a docstring's references."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text)


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
