"""What a report says in sentences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..robustness.checks import judged_rows
from .axes import duration, exactly, thousands
from .contents import Group, Report, spoken


@dataclass(frozen=True, slots=True)
class Said:
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
    """

    value: str
    label: str


def lead(report: Report) -> str:
    """The line under the title."""
    layouts, seeds, metrics = len(report.groups), len(report.settings["seeds"]), report.best.metrics
    many = f"{layouts} LoRA layouts" if layouts > 1 else "One LoRA layout"
    each = f", {seeds} seeds each," if seeds > 1 else ""
    return (
        f"{many}{each} on {Path(report.settings['base']).name}: {len(metrics.labels)} labels, {metrics.rows:,} validation rows."
    )


def tiles(report: Report) -> list[Tile]:
    """The figures at the head of the page."""
    best = report.standings[0]
    runs, layouts = len(report.standings), len(report.groups)
    budget = report.settings["budget"]
    share = f", of {thousands(budget)} allowed" if budget else ""
    kind = f"best run, {best.run}" if report.ensemble is None else f"ensemble of {len(report.ensemble.members)} runs"
    found = [
        Tile(exactly(report.judged.metrics.scores.accuracy), f"validation accuracy of the {kind}"),
        Tile(thousands(report.group_of(best.run).result.trainable), f"trained parameters of the best run{share}"),
        Tile(f"{runs:,}", f"finished run{'s' if runs > 1 else ''} of {layouts} layout{'s' if layouts > 1 else ''}"),
        Tile(duration(sum(row.seconds for row in report.standings)), "of training in all"),
    ]
    if best.test_accuracy is not None:
        found.insert(1, Tile(exactly(best.test_accuracy), "test accuracy of the best run on validation"))
    return found


def summary(report: Report) -> list[Said]:
    """What the page says, in a few sentences."""
    found = [_best(report), *_verdicts(report), _ensemble(report), receipts(report), *_data(report), *_robust(report)]
    return [said for said in found if said is not None]


def _best(report: Report) -> Said:
    first = report.comparison.layouts[0]
    seeds = f" over {len(first.seeds)} seeds" if len(first.seeds) > 1 else ""
    return Said(
        f"First is {first.layout}: {exactly(first.accuracy)} of the validation rows right{seeds} ({exactly(first.low)} to "
        f"{exactly(first.high)}), with {first.trainable:,} trained parameters."
    )


def _verdicts(report: Report) -> list[Said]:
    differences = report.comparison.differences
    if not differences:
        return []
    counts = Counter(each.verdict for each in differences)
    parts = [
        f"{counts[verdict]} {name}"
        for verdict, name in (("better", "better"), ("worse", "worse"), ("not told apart", "not told apart"))
        if counts[verdict]
    ]
    one = len(differences) == 1
    said = [
        Said(
            f"{'One layout was' if one else f'{len(differences)} layouts were'} compared, the reference being "
            f"{report.comparison.reference}: {', '.join(parts)}, by {report.comparison.rows:,} rows."
        )
    ]
    said += [Said(f"{each.sentence[0].upper()}{each.sentence[1:]}.") for each in report.comparison.together]
    told = [each for each in differences if each.verdict != "not told apart"]
    return said + [Said(f"{each.sentence}.", "good" if each.verdict == "better" else "bad") for each in told[:4]]


def _ensemble(report: Report) -> Said | None:
    if report.ensemble is None or report.ensemble_judged is None:
        return None
    together, single = report.ensemble_judged.metrics.scores.accuracy, report.ensemble.single
    many = len(report.ensemble.members)
    if not single:
        return Said(f"An ensemble of {many} runs reaches {exactly(together)}; its members were chosen on these same rows.")
    return Said(
        f"An ensemble of {many} runs reaches {exactly(together)} on rows it was not chosen by; the best single run, chosen "
        f"likewise, {exactly(single['accuracy'])}."
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


def receipts(report: Report) -> Said:
    """Whether what was trained is what was planned."""
    wrong = [run for group in report.groups for run in unequal(group)]
    if wrong:
        return Said(f"What was trained is not what was planned in {', '.join(wrong)}.", "bad")
    runs = sum(len(group.standings) for group in report.groups if group.plan is not None)
    each = f"in all {runs} runs every receipt equals its plan" if runs > 1 else "the receipt equals the plan"
    return Said(f"What was trained is what was asked: {each}.", "good")


def _data(report: Report) -> list[Said]:
    shared = {} if report.audit is None else {pair: count for pair, count in report.audit.shared.items() if count}
    found = [
        Said(f"{pair.capitalize()} share {count:,} texts, so figures on the second flatter a little.", "bad")
        for pair, count in shared.items()
    ]
    if report.labels is not None and report.labels.suspect_rows:
        text = f"{report.labels.suspect_rows:,} rows have a label that is probably wrong. {sampled(report)}"
        found.append(Said(text.rstrip(), "bad"))
    return found


def sampled(report: Report) -> str:
    """A sentence about the rows whose labels were judged; empty where all were, or none."""
    parts = () if report.labels is None else report.labels.parts
    rows = judged_rows((part.name, part.rows, part.judged) for part in parts)
    return f"Only a random sample was judged: {rows}." if rows else ""


def _robust(report: Report) -> list[Said]:
    found = []
    if report.outdated:
        found.append(
            Said(
                f"Left out, because the model has been replaced since: {', '.join(report.outdated)}. Measure it again with "
                "`striata stress` or `striata shift`.",
                "bad",
            )
        )
    for each in report.stress:
        worst = min(each.stressed, key=lambda one: one.difference.value)
        found.append(
            Said(
                f"Of the changes tried on its texts, {worst.perturbation.replace('_', ' ')} ({worst.amount}) costs "
                f"{spoken(each.model.name)} most: {exactly(each.clean.value)} become "
                f"{exactly(worst.accuracy.value)}."
            )
        )
    for shift in report.shift:
        tests = [part.test for part in shift.parts if part.name == "whole" and part.test is not None]
        if any(test.p_value < 0.05 for test in tests):
            found.append(Said(f"{shift.sources.unlabelled} is not from the same distribution as {shift.sources.known}.", "bad"))
    return found


def confused(report: Report) -> str:
    """The most frequent confusion; empty without any."""
    labels, counts = report.judged.metrics.labels, report.judged.metrics.confusion
    pairs = [(counts[i][j], labels[i], labels[j]) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    most, true, predicted = max(pairs, default=(0, "", ""))
    return f"Most often {true} is taken for {predicted}: {most:,} rows." if most else ""
