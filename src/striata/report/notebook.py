"""What a notebook shows of a plan, a run, a model and the like: tables and drawings of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from markupsafe import Markup

from ..figures.intervals import Interval, wilson
from ..figures.scores import Metrics
from .axes import duration
from .contents import judge_ensemble, judge_run
from .estimate_figures import IntervalRow, intervals
from .layout_figures import plan_maps
from .marked_words import WORDS_STYLE, explanation, heading
from .model_figures import confusion, recalls
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


def _judged(metrics: Metrics, name: str) -> Markup:
    return _drawn(confusion(metrics, name), recalls(metrics))


def _line(metrics: Metrics) -> str:
    scores = metrics.scores
    right = _right(wilson(scores.accuracy, metrics.rows))
    return f"{right} of {metrics.rows:,} rows right, macro F1 {scores.macro_f1:.4f}, log loss {scores.loss:.4f}"


def _run(run: Any) -> Markup:
    metrics = judge_run(run).metrics
    facts = f"{run.kind}, {run.trainable:,} trainable parameters, {duration(run.facts.seconds)} of training"
    return _head(f"Run {run.name}", f"{_line(metrics)}; {facts}") + _judged(metrics, run.name)


def _ensemble(ensemble: Any) -> Markup:
    metrics = judge_ensemble(ensemble).metrics
    members = _table(
        ("member", "weight", "accuracy alone", "trainable"),
        [
            (name, f"{weight:.3f}", f"{ensemble.runs[name].metrics['accuracy']:.2%}", f"{ensemble.runs[name].trainable:,}")
            for name, weight in ensemble.members.items()
        ],
    )
    return _head(f"Ensemble of {len(ensemble.members)} runs", _line(metrics)) + members + _judged(metrics, "the ensemble")


def _evaluation(measured: Any) -> Markup:
    wrong = _table(
        ("most confident errors", "label", "predicted", "probability"),
        [(row.text[:160], row.label, row.predicted, f"{row.probability:.1%}") for row in measured.wrong[:5]],
    )
    return (
        _head("Evaluation", _line(measured.metrics))
        + _judged(measured.metrics, "the model")
        + (wrong if measured.wrong else Markup(""))
    )


def _leaderboard(rows: Any) -> Markup:
    table = _table(
        ("run", "accuracy", "macro F1", "log loss", "test", "trainable", "time"),
        [
            (
                row.run, f"{row.accuracy:.2%}", f"{row.macro_f1:.4f}", f"{row.loss:.4f}",
                "" if row.test_accuracy is None else f"{row.test_accuracy:.2%}", f"{row.trainable:,}", duration(row.seconds),
            )
            for row in rows
        ],
    )  # fmt: skip
    return _head("Leaderboard", f"{len(rows)} runs, best first, on validation rows") + table


def _trained(trained: Any) -> Markup:
    best = sorted(trained.runs.values(), key=lambda run: (-run.metrics["accuracy"], run.metrics["loss"]))
    failed = f"; {len(trained.failed)} ended without a run: {', '.join(trained.failed)}" if trained.failed else ""
    rows = [
        IntervalRow(label=run.name, interval=wilson(run.metrics["accuracy"], run.facts.split["validation"]), stroke="c4")
        for run in best[:_MOST]
    ]
    if trained.ensemble is not None:
        seen = judge_ensemble(trained.ensemble)
        rows.insert(0, IntervalRow(label="ensemble", interval=seen.accuracy, stroke="ink"))
    drawing = intervals(
        rows, name="runs", title="Accuracy", describes="With 95 % intervals.", x_label="validation accuracy"
    ) if rows else None  # fmt: skip
    tests = _table(
        ("on test rows", "accuracy", "macro F1", "log loss"),
        [
            (name, f"{figures['accuracy']:.2%}", f"{figures['macro_f1']:.4f}", f"{figures['loss']:.4f}")
            for name, figures in trained.test.items()
        ],
    )
    shown = _head(f"Study {trained.folder.name}", f"{len(trained.runs)} runs{failed}")
    return shown + (Markup("") if drawing is None else _drawn(drawing)) + (tests if trained.test else Markup(""))


def _fitted(fitted: Any) -> Markup:
    return _head(fitted.name, f"{fitted.sentence}. Load it with striata.load({fitted.model.as_posix()!r}).")


def _model(model: Any) -> Markup:
    members = _table(("member", "kind", "trainable"), [(run.name, run.kind, f"{run.trainable:,}") for run in model.runs.values()])
    shown = ", ".join(model.labels[:_MOST]) + (", ..." if len(model.labels) > _MOST else "")
    return _head(repr(model), f"Labels: {shown}. Probabilities are calibrated with {model.calibration.shown}.") + members


def _explanation(explained: Any) -> Markup:
    return _head(f"Why {explained.label}", heading(explained)) + explanation(explained)


_FORMS: dict[str, Callable[[Any], Markup]] = {
    "Plan": _plan, "Run": _run, "Ensemble": _ensemble, "Evaluation": _evaluation, "Leaderboard": _leaderboard,
    "Trained": _trained, "Fitted": _fitted, "Model": _model, "Explanation": _explanation,
}  # fmt: skip
