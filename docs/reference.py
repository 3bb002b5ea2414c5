"""Makes docs/reference.md from the code: every key of a study file, every closed list, every command and option.

Makes docs/python.md and the tables in docs/layouts.md, too.

python docs/reference.py
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import python_page
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.models import ArgumentInfo, OptionInfo

from striata import choices
from striata.choices import Choices, TunableChoice
from striata.cli.app import COMMANDS, app
from striata.layout import make_plan
from striata.layout.named import builtin_catalogue
from striata.settings import Study
from striata.settings.checking import describe, groups_of

_PARAMETERS: dict[str, Any] = {name: command.params for name, command in typer.main.get_command(app).commands.items()}
DOCS = Path(__file__).parent
_TABLES = r"(?<=<!-- made by docs/reference.py: {name} -->\n\n).*?(?=\n\n<!-- end -->)"
TITLES = {
    "HEADS": "Heads", "TARGETS": "Targets", "CONTROLS": "Controls", "OPTIMIZERS": "Optimizers", "LOSSES": "Losses",
    "TASKS": "Tasks", "SCHEDULES": "Schedules", "PRECISIONS": "Precisions", "DEVICES": "Devices",
    "RANKINGS": "Ranking figures", "COMBINATIONS": "Combinations", "METHODS": "Methods of ensembles",
    "TRACKERS": "Trackers", "READERS": "Files that are read", "COMPRESSIONS": "Compressions", "QUOTINGS": "Quotings",
    "PREDICTIONS": "Files of predictions",
    "FORMS": "Formats of predictions", "BASELINES": "Baselines", "DEMOS": "Demos", "EXPORTS": "Exports",
    "QUANTIZATIONS": "Quantizations", "EXPLANATIONS": "Ways to explain",
    "REVIEWS": "Forms for labelling again", "SUGGESTIONS": "Ways to suggest rows",
    "OBJECTIVES": "Objectives of adaptation",
}  # fmt: skip


def pages() -> dict[str, str]:
    """All pages that are made from the code, by name."""
    layouts = (DOCS / "layouts.md").read_text(encoding="utf-8")
    return {"reference.md": render(), "python.md": python_page.render(), "layouts.md": render_layouts(layouts)}


def render() -> str:
    """The page of the study file, the lists and the commands."""
    parts = [
        "# Reference\n\nMade from the code by `python docs/reference.py`. The [guide](guide.md) shows how things go together,\n"
        "the [vocabulary](vocabulary.md) says what the words mean.",
        "## The study file",
        *_groups(Study, ""),
        "## Lists\n\nWhat can be chosen by name.",
        *(_table_of(name, table) for name, table in vars(choices).items() if isinstance(table, Choices)),
        "## Commands\n\n`striata --version` prints the version, `-h` and `--help` what a command takes.",
        *map(_command, COMMANDS),
    ]
    return "\n\n".join(parts) + "\n"


def render_layouts(page: str) -> str:
    """The page on layouts, with its tables made anew."""
    for name, usual in (("usual", True), ("others", False)):
        rows = [
            (f"`{name}`", entry.purpose, _code(entry.layout.text), f"{make_plan(name, base='roberta-base', labels=4).lora:,}")
            for name, entry in builtin_catalogue().items()
            if entry.usual is usual
        ]
        made = _markdown(("name", "for", "sections", "parameters"), rows)
        page = re.sub(_TABLES.format(name=name), lambda _, made=made: made, page, flags=re.DOTALL)
    return page


def _groups(kind: type[BaseModel], key: str) -> Iterable[str]:
    """A group of keys with its table, then the groups inside it."""
    described = _arguments(kind)
    rows, inner = [], []
    for name, annotation in get_type_hints(kind, include_extras=True).items():
        if name not in kind.model_fields:
            continue
        field = kind.model_fields[name]
        rows.append((f"`{name}`", describe(annotation), _default(field.default), described[name]))
        inner += [(group, f"{key}.{name}" if key else name) for group in groups_of(annotation)]
    if key:
        yield f"### `{key}`\n\n{_first_up(_summary(kind))}"
    else:
        yield _first_up(_summary(kind))
    yield _markdown(("key", "is", "default", ""), rows)
    for group, path in inner:
        yield from _groups(group, path)


def _table_of(name: str, table: Choices[Any]) -> str:
    rows: list[Sequence[str]] = []
    tuned = any(isinstance(choice, TunableChoice) for choice in table.values())
    for entry, choice in table.items():
        own = ", ".join(f"`{key}` {_value(value)}" for key, value in choice.settings.items()) if tuned else ""
        rows.append((f"`{entry}`", choice.text, own) if tuned else (f"`{entry}`", choice.text))
    heading = ("name", "", "settings of its own") if tuned else ("name", "")
    return f"### {TITLES[name]}\n\n{_markdown(heading, rows)}"


def _command(name: str) -> str:
    function: Callable[..., None] = getattr(importlib.import_module(f"striata.cli.{name}"), name)
    flags = {parameter.name: parameter.opts[0] for parameter in _PARAMETERS[name]}
    arguments, options = [], []
    for parameter in inspect.signature(function).parameters.values():
        hint = get_type_hints(function, include_extras=True)[parameter.name]
        info = next(mark for mark in get_args(hint) if isinstance(mark, ArgumentInfo | OptionInfo))
        required = parameter.default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            shown = (info.metavar or parameter.name).upper()
            arguments.append((shown if required else f"[{shown}]", info.help or ""))
        else:
            value = "" if isinstance(parameter.default, bool) else f" {info.metavar or parameter.name.upper()}"
            default = (
                "required"
                if required
                else ""
                if parameter.default is None or parameter.default is False
                else f"`{parameter.default}`"
            )
            options.append((f"`{flags[parameter.name]}{value}`", default, info.help or ""))
    usage = " ".join(["striata", name, *(argument for argument, _ in arguments)])
    parts = [f"### striata {name}", f"    {usage}", inspect.cleandoc(function.__doc__ or "")]
    if arguments:
        parts.append(_markdown(("argument", ""), [(f"`{argument.strip('[]')}`", text) for argument, text in arguments]))
    if options:
        parts.append(_markdown(("option", "default", ""), options))
    return "\n\n".join(parts)


def _summary(kind: type[BaseModel]) -> str:
    return inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]


def _arguments(kind: type[BaseModel]) -> dict[str, str]:
    """What a docstring says of each argument."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Args:\n")[2]
    described = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: _linked(" ".join(words.split())) for name, words in described}


def _linked(text: str) -> str:
    """A docstring's references as links of the page."""

    def link(match: re.Match[str]) -> str:
        title = TITLES[match[1]]
        return f"one of [{title.lower()}](#{title.lower().replace(' ', '-')})"

    text = re.sub(r"of :data:`striata\.choices\.(\w+)`", link, text)
    text = re.sub(r":\w+:`([\w.]+)`", r"`\1`", text).replace("None", "null")
    return _first_up(text)


def _default(value: object) -> str:
    return "required" if value is PydanticUndefined else _value(value)


def _value(value: object) -> str:
    if isinstance(value, BaseModel):
        name = getattr(value, "name", None)
        return f"`{name}`" if name else "its defaults"
    if value is None:
        return "`null`"
    if isinstance(value, tuple):
        return f"`{_plain(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _plain(value: object) -> str:
    return f"[{', '.join(map(_plain, value))}]" if isinstance(value, tuple) else str(value)


def _code(text: str) -> str:
    """Code that may have bars in it, for a cell of a table."""
    return f"<code>{text.replace('|', '&#124;')}</code>"


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def _markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
