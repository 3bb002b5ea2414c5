"""The report as one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..choices import METHODS, RANKINGS
from ..ensemble import Rule
from ..evidence.sentences import rounded, speed
from ..figures.scores import in_words, special_figures
from .axes import amount, colour, dash, duration, point, signed_plain
from .contents import Group, Report
from .examples import Examples
from .figures import figures_of
from .marked_words import WORDS_STYLE, marked_excerpt
from .palette import DARK, LIGHT, variables
from .places import encoder_name, shown_path, shown_paths
from .scene import Line, Scene
from .sentences import confused, lead, receipts, sampled, summary, tiles, unequal
from .svg import svg

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_LABELS = 100  # in a table
SECTIONS = (
    ("summary", "In short"), ("asked", "What was asked"), ("trained", "What was trained"), ("layouts", "Layouts"),
    ("training", "Training"), ("leaderboard", "Leaderboard"), ("differences", "Differences"), ("cost", "Accuracy and cost"),
    ("tested", "On test rows"), ("errors", "Where it errs"), ("texts", "Texts to look at"), ("calibration", "Calibration"),
    ("ensemble", "Ensemble"), ("stress", "Under stress"), ("data", "Data"), ("again", "Do it again"),
)  # fmt: skip


_OF_LABELS = ("calibration", "stress")  # sections of a study whose rows have labels
_OF_ADAPTERS = ("trained", "layouts", "training", "differences")  # sections of a study that trains some


def _data(value: float, shown: str) -> Markup:
    """A number as a reader sees it, with all its digits for programs."""
    return Markup('<data value="{}">{}</data>').format(value, shown)


def _percent(value: float, digits: int = 2) -> Markup:
    return _data(value, f"{value * 100:.{digits}f}\u00a0%")


def _points(value: float) -> Markup:
    return _data(value, f"{value * 100:+.2f}".replace("-", "−"))


def _value(value: float, figure: str) -> Markup:
    """A value of a figure: of a share as a percentage."""
    return _data(value, amount(value, figure))


def _difference(value: float, figure: str) -> Markup:
    """A difference of such values: of shares in points."""
    return _points(value) if figure == "accuracy" else _data(value, signed_plain(value))


def _number(value: float, form: str = "%.4f") -> Markup:
    return _data(value, form % value)


def _count(value: int) -> Markup:
    return _data(value, f"{value:,}")


def _about(value: int | None) -> Markup:
    """A number with two digits that count; a dash for none."""
    return Markup("-") if value is None else _data(value, rounded(value))


def _speed(value: float) -> Markup:
    return _data(value, speed(value))


def _duration(value: float) -> Markup:
    return _data(value, duration(value))


def _swatch(group: Group) -> Markup:
    """A line and a point as the figures draw them."""
    line = Line(points=((0, 6), (26, 6)), stroke=colour(group), width=2, dash=dash(group))
    drawn = svg(Scene(name="", title="", describes="", width=26, height=12, marks=(line, point(group, 13, 6, radius=4))))
    return Markup(drawn.replace(' role="img" aria-label=""', ' aria-hidden="true"').replace(f' data-series="{group.place}"', ""))


def _receipt(group: Group) -> Markup:
    """Whether what was live in every run is what its plan says."""
    if wrong := unequal(group):
        return Markup('<span class="bad-text">no: {}</span>').format(", ".join(wrong))
    return Markup('<span class="good-text">yes</span>, {} of {}').format(len(group.receipts), len(group.standings))


def _coded(text: str) -> Markup:
    """A sentence with what stands between backticks set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _long(name: str) -> str:
    """The class of cells whose name has to wrap."""
    return " long" if len(name) > 30 else ""


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "marked": marked_excerpt,
        "value": _value, "difference": _difference,
        "pct": _percent, "points": _points, "num": _number, "count": _count, "duration": _duration, "speed": _speed,
        "about": _about, "place": shown_path, "encoder": encoder_name, "swatch": _swatch, "receipt": _receipt, "long": _long,
        "colour": colour, "coded": _coded, "svg": lambda scene: Markup(svg(scene)),
    }  # fmt: skip
    return environment


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a page says of itself.

    Args:
        title: at its head; empty for the study's name.
        author: who made it; empty for none.
        note: a paragraph of the author's below the title, line breaks kept; empty for none.
        date: of the page, as 2026-11-26; empty for none.
    """

    title: str = ""
    author: str = ""
    note: str = ""
    date: str = ""


def render(report: Report, about: About = About(), examples: Examples | None = None) -> str:
    """The whole page.

    Args:
        report: from :func:`striata.report.contents.collect`.
        about: title, author, note and date.
        examples: texts to look at; None leaves their section out.
    """
    figures = figures_of(report)
    adapted = [group for group in report.groups if group.plan is not None]
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            about=about,
            examples=examples,
            figures=figures,
            sections=_sections(report, bool(adapted), examples is not None),
            figure=report.comparison.figure,
            tiles=tiles(report),
            lead=lead(report),
            sentences=summary(report),
            receipts=receipts(report),
            adapted=adapted,
            several=any(len(group.standings) > 1 for group in report.groups),
            tested=any(row.test is not None for row in report.standings),
            timed=any(row.texts_per_second is not None for row in report.standings),
            remarks=list(dict.fromkeys(remark for group in report.groups if group.plan for remark in group.plan.notes)),
            confused=confused(report),
            special=in_words(
                {n: v for n, v in special_figures(report.judged.metrics.scores).items() if n != report.judged.figure}
            ),
            titles={name: choice.title for name, choice in RANKINGS.items()},
            weakest=_weakest(report.judged.metrics.per_label),
            most=_MOST_LABELS,
            sampled=sampled(report),
            study_yaml=yaml.safe_dump(
                shown_paths(dict(report.settings)), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
            ).strip(),
            commands=_commands(report),
            css=Markup(_css()),
            js=Markup((_TEMPLATES / "page.js").read_text(encoding="utf-8")),
            version=version("striata"),
        )
    )


def _sections(report: Report, adapted: bool, texts: bool) -> list[tuple[str, str]]:
    """Those of a page, with and without adapters, labels and texts."""
    left_out = {*(() if adapted else _OF_ADAPTERS), *(() if texts else ("texts",)), *(_OF_LABELS if report.numeric else ())}
    cost = f"{RANKINGS[report.comparison.figure].title} and cost" if report.numeric else "Accuracy and cost"
    return [(key, cost if key == "cost" else name) for key, name in SECTIONS if key not in left_out]


def _weakest(per_label: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    """Labels with the lowest F1, in the order of all, as many as a table shows."""
    lowest = set(sorted(per_label, key=lambda label: per_label[label]["f1"])[:_MOST_LABELS])
    return {label: row for label, row in per_label.items() if label in lowest}


def _css() -> str:
    """Colours for light and, on screens that ask for it, dark; then the style sheet."""
    themes = f":root{{{variables(LIGHT)}}}@media screen and (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"
    return themes + (_TEMPLATES / "page.css").read_text(encoding="utf-8") + WORDS_STYLE


def _commands(report: Report) -> list[str]:
    """What leads to this page from the study file; an ensemble that was chosen otherwise has a command of its own."""
    chosen, rule = report.chosen, Rule(**report.settings["ensemble"])
    by_file = replace(rule, size=min(rule.size, sum(row.refused_for is None for row in report.standings)))
    own = [] if chosen is None or chosen == by_file else [_ensemble_command(report.place, chosen)]
    return [
        "pip install striata", "striata check study.yaml", "striata train study.yaml", *own, f"striata report {report.place}",
    ]  # fmt: skip


def _ensemble_command(folder: str, rule: Rule) -> str:
    limit = "" if rule.budget is None else f" --budget {rule.budget}"
    if METHODS[rule.method].cascades:
        first = "" if rule.cheap is None else f" --cheap {rule.cheap}"
        return f"striata cascade {folder} --loss {rule.loss:g}{first} --size {rule.size} --by {rule.by}{limit}"
    kind = "" if rule.combine == "logits" else f" --combine {rule.combine}"
    return f"striata ensemble {folder} --method {rule.method} --size {rule.size} --by {rule.by}{kind}{limit}"
