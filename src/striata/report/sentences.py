"""What a report says in sentences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..choices import BASELINES, RANKINGS
from ..figures.intervals import Interval, wilson
from ..robustness.checks import judged_rows
from ..robustness.documents import EvaluationFacts, NumberEvaluationFacts
from ..runs.refusal import check_lines
from ..runs.standings import total_seconds
from ..settings.file import NO_ENCODER
from .axes import amount, duration, exactly, thousands
from .contents import Group, Report
from .judged import ENSEMBLE, Judged, spoken
from .places import encoder_name, shown_path


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the summary.

    Args:
        text: of it.
        tone: "good", "bad" or "" for neither.
    """

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the head of the page.

    Args:
        value: the figure.
        label: what it is.
        interval: around it; empty without.
    """

    value: str
    label: str
    interval: str = ""


def _between(interval: Interval, figure: str = "accuracy") -> str:
    return f"{amount(interval.low, figure)} to {amount(interval.high, figure)}"


def _measured(tested: EvaluationFacts | NumberEvaluationFacts) -> tuple[Interval, str]:
    """What stands for a model on rows of its own: a figure with its interval, and its name."""
    return (tested.accuracy, "accuracy") if isinstance(tested, EvaluationFacts) else (tested.rmse, "rmse")


def _quality(value: float, figure: str, rows: str) -> str:
    """A figure on rows, in words."""
    if figure == "accuracy":
        return f"{exactly(value)} of {rows} right"
    return f"{RANKINGS[figure].title} {amount(value, figure)} on {rows}"


def lead(report: Report) -> str:
    """The line under the title."""
    layouts, seeds, metrics = _layouts(report), len(report.settings["seeds"]), report.best.metrics
    baselines = len(report.groups) - layouts
    seeded = f", {seeds} seeds each," if seeds > 1 else ""
    many = [(f"{layouts} LoRA layouts" if layouts > 1 else "One LoRA layout") + seeded] if layouts else []
    many += [f"{baselines} baseline{'s' if baselines > 1 else ''}"] if baselines else []
    base = report.settings["base"]
    encoder = f" on {encoder_name(base)}" if base != NO_ENCODER else ", no encoder"
    rows = f"{'a number' if report.numeric else f'{len(metrics.labels)} labels'}, {metrics.rows:,} validation rows"
    return f"{' and '.join(many)}{encoder}: {rows}."


def _layouts(report: Report) -> int:
    """How many are no baselines."""
    return sum(group.standings[0].kind not in BASELINES for group in report.groups)


def tiles(report: Report) -> list[Tile]:
    """The figures at the head of the page."""
    best = report.standings[0]
    runs, layouts = len(report.standings), _layouts(report)
    baselines = len(report.groups) - layouts
    parts = [f"{layouts} layout{'s' if layouts > 1 else ''}"] if layouts else []
    parts += [f"{baselines} baseline{'s' if baselines > 1 else ''}"] if baselines else []
    budget = report.settings["budget"]
    share = f", of {thousands(budget)} allowed" if budget and best.kind not in BASELINES else ""
    value, figure = report.judged.value, report.judged.figure
    title = RANKINGS[figure].title
    figures = [
        Tile(amount(value.value, figure), f"validation {title} of {_called(report, report.judged)}", _between(value, figure)),
        Tile(thousands(report.group_of(best.run).result.trainable), f"trained parameters of the best run{share}"),
        Tile(f"{runs:,}", f"finished run{'s' if runs > 1 else ''} of {' and '.join(parts)}"),
        Tile(duration(total_seconds(report.standings)), "of training in all"),
    ]
    measured = next((tested for tested in report.evaluations if tested.model.name == report.judged.name), None)
    rows = 0 if report.audit is None or "test" not in report.audit.parts else report.audit.parts["test"].rows
    if measured is not None:
        value, figure = _measured(measured)
        title = RANKINGS[figure].title
        what = f"{title} of {spoken(measured.model.name)} on {measured.rows:,} rows of {shown_path(measured.source)}"
        figures.insert(1, Tile(amount(value.value, figure), what, _between(value, figure)))
    elif best.test is not None:
        tested = best.test[figure]
        span = _between(wilson(tested, rows)) if rows and not report.numeric else ""
        figures.insert(1, Tile(amount(tested, figure), f"test {title} of the best run on validation", span))
    return figures


def summary(report: Report) -> list[Sentence]:
    """What the page says, in a few sentences."""
    sentences = [
        _advice(report),
        *_worth(report),
        _best(report),
        *_verdicts(report),
        *_refused(report),
        _ensemble(report),
        receipts(report),
        *_data(report),
        *_robust(report),
    ]
    return [sentence for sentence in sentences if sentence is not None]


def _called(report: Report, judged: Judged) -> str:
    """A model with how many runs it has, or that it is the best of them."""
    if judged.name == ENSEMBLE and report.ensemble is not None:
        return f"the ensemble of {len(report.ensemble.members)} runs"
    return f"the best run, {judged.name}" if len(report.standings) > 1 else f"the run {judged.name}"


def _advice(report: Report) -> Sentence:
    """What to use, and what is as good for less."""
    judged = report.judged
    quality = _quality(judged.value.value, judged.figure, f"{judged.metrics.rows:,} validation rows")
    text = f"Use {_called(report, judged)}: {quality} ({_between(judged.value, judged.figure)}). It lies in `{report.model}`."
    for tested in report.evaluations:
        if tested.model.name == judged.name:
            value, figure = _measured(tested)
            text += (
                f" On {tested.rows:,} rows of {shown_path(tested.source)}: {amount(value.value, figure)} "
                f"({_between(value, figure)})."
            )
    bar = report.worth.bar
    equals = [gain for gain in report.worth.gains if gain.contender.name == judged.name and gain.verdict == "not told apart"]
    if equals and bar is not None and bar.name != judged.name:
        text += f" Where time or size matter, use {bar.name}, which these rows do not tell apart from it and which costs seconds."
    return Sentence(text, "good")


def _worth(report: Report) -> list[Sentence]:
    """What a reader needs to know first; of a good or a bad tone where the contender is told apart from the baseline."""
    tones = {gain.sentence: {"better": "good", "worse": "bad"}.get(gain.verdict, "") for gain in report.worth.gains}
    return [Sentence(text, tones.get(text, "")) for text in report.worth.sentences]


def _best(report: Report) -> Sentence:
    first = report.comparison.layouts[0]
    seeds = f" over {len(first.seeds)} seeds" if len(first.seeds) > 1 else ""
    quality = _quality(first.value, first.by, "the validation rows")
    return Sentence(
        f"First is {first.layout}: {quality}{seeds} ({amount(first.low, first.by)} to {amount(first.high, first.by)}), with "
        f"{first.trainable:,} trained parameters."
    )


def _verdicts(report: Report) -> list[Sentence]:
    differences = report.comparison.differences
    if not differences:
        return []
    counts = Counter(difference.verdict for difference in differences)
    parts = [
        f"{counts[verdict]} {name}"
        for verdict, name in (("better", "better"), ("worse", "worse"), ("not told apart", "not told apart"))
        if counts[verdict]
    ]
    one = len(differences) == 1
    sentences = [
        Sentence(
            f"{'One layout was' if one else f'{len(differences)} layouts were'} compared, the reference being "
            f"{report.comparison.reference}: {', '.join(parts)}, by {report.comparison.rows:,} rows."
        )
    ]
    sentences += [
        Sentence(f"{difference.sentence[0].upper()}{difference.sentence[1:]}.") for difference in report.comparison.together
    ]
    told = [difference for difference in differences if difference.verdict != "not told apart"]
    return sentences + [
        Sentence(f"{difference.sentence}.", "good" if difference.verdict == "better" else "bad") for difference in told[:4]
    ]


def _refused(report: Report) -> list[Sentence]:
    return [Sentence(f"{line[0].upper()}{line[1:]}.", "bad") for line in check_lines(report.runs.values())]


def _ensemble(report: Report) -> Sentence | None:
    if report.ensemble is None or report.ensemble_judged is None:
        return None
    figure, single = report.ensemble_judged.figure, report.ensemble.single
    title = "" if figure == "accuracy" else f"{RANKINGS[figure].title} "
    together = title + amount(report.ensemble_judged.value.value, figure)
    many = len(report.ensemble.members)
    if not single:
        return Sentence(f"An ensemble of {many} runs reaches {together}; its members were chosen on these same rows.")
    return Sentence(
        f"An ensemble of {many} runs reaches {together} on rows it was not chosen by; the best single run, chosen "
        f"likewise, {amount(single[figure], figure)}."
    )


def unequal(group: Group) -> list[str]:
    """The runs of a layout whose receipt is not what their plan says."""
    if group.plan is None:
        return []
    planned = [(site.module, site.rank, site.scale, site.dropout) for site in group.plan.sites]
    return [
        run
        for run, receipt in group.receipts.items()
        if receipt.trainable != group.plan.trainable
        or [(live.module, live.rank, live.scale, live.dropout) for live in receipt.sites] != planned
    ]


def receipts(report: Report) -> Sentence:
    """Whether what was trained is what was planned."""
    wrong = [run for group in report.groups for run in unequal(group)]
    if wrong:
        return Sentence(f"What was trained is not what was planned in {', '.join(wrong)}.", "bad")
    runs = sum(len(group.standings) for group in report.groups if group.plan is not None)
    if not runs:
        return Sentence("No adapters were trained, so there are no receipts.")
    extent = f"in all {runs} runs every receipt equals its plan" if runs > 1 else "the receipt equals the plan"
    return Sentence(f"What was trained is what was asked: {extent}.", "good")


def _data(report: Report) -> list[Sentence]:
    shared = {} if report.audit is None else {pair: count for pair, count in report.audit.shared.items() if count}
    sentences = [
        Sentence(f"{pair.capitalize()} share {count:,} texts, so figures on the second flatter a little.", "bad")
        for pair, count in shared.items()
    ]
    if report.labels is not None and report.labels.suspect_rows:
        text = f"{report.labels.suspect_rows:,} rows have a label that is probably wrong. {sampled(report)}"
        sentences.append(Sentence(text.rstrip(), "bad"))
    return sentences


def sampled(report: Report) -> str:
    """A sentence about the rows whose labels were judged; empty where all were, or none."""
    parts = () if report.labels is None else report.labels.parts
    rows = judged_rows((part.name, part.rows, part.judged) for part in parts)
    return f"Only a random sample was judged: {rows}." if rows else ""


def _robust(report: Report) -> list[Sentence]:
    sentences = []
    if report.outdated:
        sentences.append(
            Sentence(
                f"Left out, because the model has been replaced since: {', '.join(report.outdated)}. Measure it again with "
                "`striata evaluate`, `striata stress` or `striata shift`.",
                "bad",
            )
        )
    for stress in report.stress:
        worst = min(stress.stressed, key=lambda one: one.difference.value)
        sentences.append(
            Sentence(
                f"Of the changes tried on its texts, {worst.perturbation.replace('_', ' ')} ({worst.amount}) costs "
                f"{spoken(stress.model.name)} most: {exactly(stress.clean.value)} become "
                f"{exactly(worst.accuracy.value)}."
            )
        )
    for shift in report.shift:
        tests = [part.test for part in shift.parts if part.name == "whole" and part.test is not None]
        if any(test.p_value < 0.05 for test in tests):
            sentences.append(
                Sentence(
                    f"{shown_path(shift.sources.unlabelled)} is not from the same distribution as "
                    f"{shown_path(shift.sources.known)}.",
                    "bad",
                )
            )
    return sentences


def confused(report: Report) -> str:
    """The most frequent confusion; empty without any."""
    labels, counts = report.judged.metrics.labels, report.judged.metrics.confusion
    if not counts:
        return ""
    pairs = [(counts[i][j], labels[i], labels[j]) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    most, true, predicted = max(pairs, default=(0, "", ""))
    return f"Most often {true} is taken for {predicted}: {most:,} rows." if most else ""
