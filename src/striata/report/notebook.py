"""What a notebook shows of a plan, a run, a model and the like: tables and drawings of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ..choices import RANKINGS
from ..figures.intervals import Interval, wilson
from ..figures.scores import Metrics, in_words, special_figures
from .axes import duration, percent, plain
from .estimate_figures import IntervalRow, intervals
from .judged import Judged, judge_ensemble, judge_run
from .layout_figures import plan_maps
from .marked_words import WORDS_STYLE, explanation, heading
from .model_figures import confusion, recalls
from .number_figures import errors_by_size, scatter
from .palette import DARK, LIGHT, variables
from .scene import Scene
from .svg import svg

_STYLE = (
    f".striata-cell{{{variables(LIGHT)}background:var(--ground);color:var(--ink);padding:12px 14px;border:1px solid var(--grid);"
    "border-radius:8px;max-width:960px;overflow-x:auto;font:14px/1.45 system-ui,sans-serif}"
    f"@media (prefers-color-scheme:dark){{.striata-cell{{{variables(DARK)}}}}}"
    ".striata-cell b{font-size:1.1em}.striata-cell p{margin:2px 0 8px;color:var(--muted)}"
    ".striata-cell table{border-collapse:collapse;margin:8px 0;font-size:13px;font-variant-numeric:tabular-nums}"
    ".striata-cell th,.striata-cell td{padding:3px 10px;border-top:1px solid var(--grid);text-align:left;background:none}"
    ".striata-cell th,.striata-cell td{color:inherit}"
    ".striata-cell .n{text-align:right}.striata-cell .drawn{display:flex;flex-wrap:wrap;gap:16px}"
    ".striata-cell strong{display:block;font-weight:600}.striata-cell svg{display:block;width:440px;max-width:100%;height:auto}"
    + WORDS_STYLE
)
_MOST = 30  # rows of a table


def markup(value: object) -> str | None:
    """A value of striata as HTML; None for one that has no such form."""
    for kind in type(value).__mro__:
        if kind.__name__ in _FORMS:
            return str(
                Markup('<div class="striata-cell"><style>{}</style>{}</div>').format(Markup(_STYLE), _FORMS[kind.__name__](value))
            )
    return None


def _head(title: str, line: str) -> Markup:
    return Markup("<b>{}</b><p>{}</p>").format(title, line)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """A table whose columns but the first hold figures."""
    listed = list(rows)
    cells = [
        Markup("<tr>{}</tr>").format(Markup("").join(_cell("td", at, cell) for at, cell in enumerate(row)))
        for row in listed[:_MOST]
    ]
    head = Markup("").join(_cell("th", at, name) for at, name in enumerate(columns))
    rest = Markup("<p>and {:,} more</p>").format(len(listed) - _MOST) if len(listed) > _MOST else Markup("")
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}").format(head, Markup("").join(cells), rest)


def _cell(tag: str, place: int, value: object) -> Markup:
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), Markup(' class="n"' if place else ""), value)


def _drawn(*scenes: Scene) -> Markup:
    figures = [Markup("<div><strong>{}</strong>{}</div>").format(scene.title, Markup(svg(scene))) for scene in scenes]
    return Markup('<div class="drawn">{}</div>').format(Markup("").join(figures))


def _right(interval: Interval) -> str:
    return f"{interval.value:.2%} ({interval.low:.2%} to {interval.high:.2%})"


def _plan(plan: Any) -> Markup:
    limit = "" if plan.budget is None else f" of at most {plan.budget:,}"
    parts = f"{plan.lora:,} in {len(plan.sites)} adapters, {plan.head.parameters:,} in the head"
    line = f"{plan.trainable:,} trainable parameters{limit}: {parts}"
    return (
        _head(f"Plan {plan.layout}", line)
        + Markup("<p>{}</p>").format(plan.text)
        + _drawn(*plan_maps([(plan.layout, "c0", plan)]))
    )


def _judged(judged: Judged) -> Markup:
    if judged.numbers is not None:
        return _drawn(scatter(judged.numbers, judged.spoken), errors_by_size(judged.numbers))
    return _confused(judged.metrics, judged.spoken)


def _confused(metrics: Metrics, name: str) -> Markup:
    matrix = [confusion(metrics, name)] if metrics.confusion else []
    return _drawn(*matrix, recalls(metrics))


def _line(metrics: Metrics) -> str:
    scores = metrics.scores
    if "accuracy" not in scores:
        return f"{in_words(special_figures(scores))} on {metrics.rows:,} rows"
    right = _right(wilson(scores.accuracy, metrics.rows))
    return f"{right} of {metrics.rows:,} rows right, macro F1 {scores.macro_f1:.4f}, log loss {scores.loss:.4f}"


def _run(run: Any) -> Markup:
    judged = judge_run(run)
    facts = f"{run.kind}, {run.trainable:,} trainable parameters, {duration(run.facts.seconds)} of training"
    return _head(f"Run {run.name}", f"{_line(judged.metrics)}; {facts}") + _judged(judged)


def _ensemble(ensemble: Any) -> Markup:
    judged, figure = judge_ensemble(ensemble), ensemble.headline
    members = _table(
        ("member", "weight", f"{RANKINGS[figure].title} alone", "trainable"),
        [
            (name, f"{weight:.3f}", _shown(ensemble.runs[name].metrics[figure], figure), f"{ensemble.runs[name].trainable:,}")
            for name, weight in ensemble.members.items()
        ],
    )
    return _head(f"Ensemble of {len(ensemble.members)} runs", _line(judged.metrics)) + members + _judged(judged)


def _shown(value: float, figure: str) -> str:
    """A value of a figure: of accuracy as a percentage."""
    return f"{value:.2%}" if figure == "accuracy" else RANKINGS[figure].shown(value)


def _evaluation(measured: Any) -> Markup:
    if measured.calibrated is None:
        largest = _table(
            ("largest errors", "number", "predicted", "error"),
            [(row.text[:160], row.label, row.predicted, f"{row.error:+.4g}") for row in measured.wrong[:5]],
        )
        return _head("Evaluation", _line(measured.metrics)) + largest
    wrong = _table(
        ("most confident errors", "label", "predicted", "probability"),
        [(row.text[:160], row.label, row.predicted, f"{row.probability:.1%}") for row in measured.wrong[:5]],
    )
    return (
        _head("Evaluation", _line(measured.metrics))
        + _confused(measured.metrics, "the model")
        + (wrong if measured.wrong else Markup(""))
    )


def _figures_shown(figures: Mapping[str, float]) -> list[str]:
    """Names of the figures that a table has: those of labels, or of numbers."""
    return ["accuracy", "macro_f1", "loss"] if "accuracy" in figures else list(special_figures(figures))


def _leaderboard(rows: Any) -> Markup:
    names = _figures_shown(rows[0].figures)
    table = _table(
        ("run", *(RANKINGS[name].title for name in names), "test", "trainable", "time"),
        [
            (
                row.run, *(_shown(row.figures[name], name) for name in names),
                "" if row.test is None else _shown(row.test[names[0]], names[0]), f"{row.trainable:,}", duration(row.seconds),
            )
            for row in rows
        ],
    )  # fmt: skip
    return _head("Leaderboard", f"{len(rows)} runs, best first, on validation rows") + table


def _trained(trained: Any) -> Markup:
    failed = f"; {len(trained.failed)} ended without a run: {', '.join(trained.failed)}" if trained.failed else ""
    drawing = _runs(trained) if trained.runs else Markup("")
    shown = _head(f"Study {trained.folder.name}", f"{len(trained.runs)} runs{failed}") + drawing
    if not trained.test:
        return shown
    names = _figures_shown(next(iter(trained.test.values())))
    return shown + _table(
        ("on test rows", *(RANKINGS[name].title for name in names)),
        [(run, *(_shown(figures[name], name) for name in names)) for run, figures in trained.test.items()],
    )


def _runs(trained: Any) -> Markup:
    """The best runs and the ensemble with their intervals."""
    figure = next(iter(trained.runs.values())).task.rankings[0]
    merit, numeric = RANKINGS[figure].merit, figure != "accuracy"
    best = sorted(trained.runs.values(), key=lambda run: (-merit(run.metrics[figure]), run.metrics["loss"]))[:_MOST]
    if numeric:
        rows = [IntervalRow(label=run.name, interval=judge_run(run).value, stroke="c4") for run in best]
    else:
        rows = [
            IntervalRow(label=run.name, interval=wilson(run.metrics[figure], run.facts.split["validation"]), stroke="c4")
            for run in best
        ]
    if trained.ensemble is not None:
        rows.insert(0, IntervalRow(label="ensemble", interval=judge_ensemble(trained.ensemble).value, stroke="ink"))
    title = RANKINGS[figure].title
    return _drawn(
        intervals(
            rows,
            name="runs",
            title=title[:1].upper() + title[1:],
            describes="With 95 % intervals.",
            x_label=f"validation {title}",
            form=plain if numeric else percent,
        )
    )


def _fitted(fitted: Any) -> Markup:
    return _head(fitted.name, f"{fitted.sentence}. Load it with striata.load({fitted.model.as_posix()!r}).")


def _model(model: Any) -> Markup:
    members = _table(("member", "kind", "trainable"), [(run.name, run.kind, f"{run.trainable:,}") for run in model.runs.values()])
    shown = ", ".join(model.labels[:_MOST]) + (", ..." if len(model.labels) > _MOST else "")
    if model.task.numeric:
        return _head(repr(model), "Answers are numbers.") + members
    return _head(repr(model), f"Labels: {shown}. Probabilities are calibrated with {model.calibration.shown}.") + members


def _explanation(explained: Any) -> Markup:
    return _head(f"Why {explained.label}", heading(explained)) + explanation(explained)


_FORMS: dict[str, Callable[[Any], Markup]] = {
    "Plan": _plan, "Run": _run, "Ensemble": _ensemble, "Evaluation": _evaluation, "Leaderboard": _leaderboard,
    "Trained": _trained, "Fitted": _fitted, "Model": _model, "Explanation": _explanation,
}  # fmt: skip
