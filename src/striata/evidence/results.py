"""What a comparison finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..figures.scores import Figured, in_words
from .sentences import rounded, shown_difference, unit_of

_NOT_TOLD = "not told apart"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutResult(Figured):
    """A layout over its seeds.

    Args:
        layout: what it is called.
        aliases: other layouts that are the same plan and recipe.
        plan_hash: of the plan; empty for kinds of runs without adapters.
        runs: names.
        seeds: of the runs.
        trainable: parameters, head included.
        lora: of these, in adapters.
        by: the figure that is compared, of :data:`striata.choices.RANKINGS`.
        value: of it on the validation rows, over the seeds: the mean; of rmse the root of the mean of the squares.
        low: end of the value's interval; over rows only where no layout has two seeds.
        high: other end.
        figures: all figures on the validation rows by name, mean over the seeds but for that one.
        macro_f1_low: end of the interval of macro F1; None where there is none.
        macro_f1_high: other end.
        test_value: of the compared figure on the test rows, mean over the seeds; None where a run was not measured on them.
        seconds: a run's share of the training time, mean over the seeds.
        texts_per_second: answered on the validation rows, mean over the seeds; None where a run's was not measured.
        refused: runs that the validation check refuses; where that is all of them, the layout comes last.
    """

    layout: str
    aliases: tuple[str, ...]
    plan_hash: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    trainable: int
    lora: int
    by: str
    value: float
    low: float
    high: float
    figures: Mapping[str, float]
    macro_f1_low: float | None
    macro_f1_high: float | None
    test_value: float | None
    seconds: float
    texts_per_second: float | None
    refused: tuple[str, ...] = ()

    @property
    def test_accuracy(self) -> float | None:
        """On the test rows, of a task with labels; None without."""
        return self.test_value if self.by == "accuracy" else None

    def to_json(self) -> dict[str, object]:
        """All of it, with the figures by their names."""
        fields = asdict(self)
        of_labels = {"test_accuracy": self.test_value} if "accuracy" in fields.pop("figures") else {}
        return fields | self.common | of_labels | {"special": self.special}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A layout against its reference.

    Args:
        layout: what it is called.
        reference: likewise.
        seeds: that both have, and by which they are compared.
        difference: of the compared figure, layout minus reference.
        low: end of its interval, not corrected.
        high: other end.
        p: of no difference.
        p_adjusted: corrected for the number of comparisons (Holm).
        method: of the test.
        verdict: "better", "worse" or "not told apart".
        sentence: all of it in words.
        rows_needed: validation rows that would tell the two apart with a power of 80 %, were the true difference the one found;
            None when they are told apart, or no number would.
        seeds_needed: likewise seeds of each; None also with one seed.
    """

    layout: str
    reference: str
    seeds: tuple[int, ...]
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    method: str
    verdict: str
    sentence: str
    rows_needed: int | None
    seeds_needed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """All layouts that have a control, together against their controls.

    Args:
        control: of :data:`striata.choices.CONTROLS`.
        layouts: names of those compared.
        seeds: that all of them have.
        difference: mean of the differences of the compared figure, layout minus control.
        low: end of its interval.
        high: other end.
        p: of no difference on average.
        verdict: "better", "worse" or "not told apart".
        sentence: all of it in words.
    """

    control: str
    layouts: tuple[str, ...]
    seeds: tuple[int, ...]
    difference: float
    low: float
    high: float
    p: float
    verdict: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The layouts of a study and their differences.

    Args:
        layouts: best first, behind them those of which the validation check refuses every run.
        differences: in the order of the layouts.
        together: the layouts on average against their controls, one for each kind of control that two or more have, or one of
            adaptation.
        reference: what each layout is compared with, in words.
        rows: of validation.
        confidence: of the intervals; 1 minus it is the level of the verdicts.
        notes: what one should know.
        figure: what is compared, of :data:`striata.choices.RANKINGS`.
    """

    layouts: tuple[LayoutResult, ...]
    differences: tuple[Difference, ...]
    together: tuple[Together, ...]
    reference: str
    rows: int
    confidence: float
    notes: tuple[str, ...]
    figure: str = "accuracy"

    def __repr__(self) -> str:
        best = ""
        if self.layouts:
            best = f", the best {self.layouts[0].layout} with {in_words({self.figure: self.layouts[0].value})}"
        apart = sum(difference.verdict in ("better", "worse") for difference in self.differences)
        told = f"{apart} of {len(self.differences)} differences told apart"
        return f"Comparison({len(self.layouts)} layouts on {self.rows:,} rows{best}; {told})"

    @property
    def summary(self) -> tuple[str, ...]:
        """The differences in as few sentences as possible: one for each that is told apart, one for all others together."""
        told = [difference for difference in self.differences if difference.verdict != _NOT_TOLD]
        rest = [difference for difference in self.differences if difference.verdict == _NOT_TOLD]
        sentences = tuple(difference.sentence for difference in told)
        if len(rest) < 2:
            return (*sentences, *(difference.sentence for difference in rest))
        references = {difference.reference for difference in rest}
        reference = references.pop() if len(references) == 1 else "its reference"
        near = min(rest, key=lambda difference: (difference.p, -abs(difference.difference)))
        difference, low, high = (shown_difference(value, self.figure) for value in (near.difference, near.low, near.high))
        text = (
            f"none of {len(rest)}{' others' if told else ''} is told apart from {reference}; closest: {near.layout}, "
            f"{difference} {unit_of(self.figure)} ({low} to {high})"
        )
        return (*sentences, text if near.rows_needed is None else f"{text}; about {rounded(near.rows_needed)} rows would tell")

    def to_json(self) -> dict[str, object]:
        """All fields, and the summary."""
        return asdict(self) | {"layouts": [layout.to_json() for layout in self.layouts], "summary": self.summary}
