"""How a lexical baseline is fitted: analysis and strength on a few rows, the model on all, its scale on rows held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..figures.folds import deal_folds
from .linear import Linear, Part, centroids, machine, ridge, stochastic
from .majority import constant
from .rows import Ints, Logits, Rows, Targets, are_numbers, part_of
from .selection import Judgement, climb, cross_fit, judge
from .store import Tried
from .words import CHARACTERS, PARTS, WORDS, Analysis, Counts, Vectorizer, unspaced

STRENGTHS = (0.1, 0.3, 1.0, 3.0)  # C of the machine; above, fits take long and no better
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # one over the penalty of a ridge regression of numbers
RATES = (1e-5, 1e-6)  # alpha of its stochastic form
_TRIED = 3000  # rows on which analysis and strength are chosen
_FEWEST = 200  # with fewer of them, though there are more rows, nothing is chosen
_AT_ONCE = 20_000_000  # scores in memory beside the result
_HELD = 5000  # most rows that are held out for the scale
_SEEN = 600_000  # rows that the stochastic form sees, in up to five epochs

Solver = Literal["machine", "stochastic", "centroids", "ridge", "none"]
Matrix = Callable[[Ints], Any]  # features of the rows at some places


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds memory and time.

    Args:
        characters: of texts from which a vocabulary is taken, and whose features are in memory at once.
        parts: most characters of all texts times labels for which parts of words are counted (they are four times as many).
        weights: most weights of the machine; its stochastic form has a quarter of it, centroids a twentieth as many columns.
        search: most entries of features times labels in a fit that only chooses settings.
        machine: most entries times labels for the machine; above, it is fitted by stochastic gradients; a ridge regression then
            on a part of the rows.
        stochastic: most entries times labels seen in all epochs of these; above, there are centroids.
        entries: most entries for centroids; above, these are of a sample of the rows.
        chunk: rows whose features are in memory at once where not all are.
    """

    characters: int = 60_000_000
    parts: int = 300_000_000
    weights: int = 20_000_000
    search: int = 20_000_000
    machine: int = 400_000_000
    stochastic: int = 5_000_000_000
    entries: int = 50_000_000
    chunk: int = 20_000

    def columns(self, solver: Solver, labels: int) -> int:
        """Largest number of features for a solver."""
        most = {"machine": self.weights // labels, "ridge": self.weights, "stochastic": self.weights // 4 // labels}
        return max(1, most.get(solver, self.weights // 20))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The settings that were chosen.

    Args:
        solver: "machine", "stochastic" or "centroids"; "ridge" for numbers; "none" without features.
        strength: C of the machine, alpha of its stochastic form, or one over alpha of ridge; else 0.
        epochs: of the stochastic form; else 0.
    """

    solver: Solver
    strength: float = 0.0
    epochs: int = 0


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be fitted; arguments as :meth:`striata.baselines.rows.Baseline.fit`."""

    rows: Rows
    targets: Targets
    labels: int
    seed: int
    limits: Limits

    @property
    def numbers(self) -> bool:
        """Whether rows have numbers."""
        return are_numbers(self.targets)

    @property
    def solver(self) -> Solver:
        """What is fitted where there is time for it."""
        return "ridge" if self.numbers else "machine"

    def sample(self, count: float) -> Ints:
        """Places of so many rows by chance, ascending."""
        return np.sort(np.random.default_rng(self.seed).permutation(len(self.rows))[: max(1, int(count))])

    def take(self, places: Ints) -> Work:
        """The same of some of the rows."""
        return replace(self, rows=self.rows.take(places), targets=self.targets[places])


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What came out; the fields are those of :class:`striata.baselines.lexical.Lexical`."""

    vectorizer: Vectorizer | None
    model: Linear
    choice: Choice
    tried: Tried = ()
    notes: tuple[str, ...] = ()


def features_of(vectorizer: Vectorizer | None, rows: Rows, part: slice = slice(None)) -> Any:
    """Features of a part of the rows; none where there is nothing to count."""
    texts = rows.texts[part]
    if vectorizer is None:
        return np.zeros((len(texts), 0), np.float32)
    return vectorizer.transform(texts, None if rows.pairs is None else rows.pairs[part])


def matrix_of(vectorizer: Vectorizer | None, rows: Rows, limits: Limits) -> Matrix:
    """Features of all rows, in memory where they fit, or made anew for every part that is looked at."""
    if rows.characters <= limits.characters:
        whole = features_of(vectorizer, rows)
        return lambda places: whole[places]
    return lambda places: features_of(vectorizer, rows.take(places))


def scores_of(model: Linear, matrix: Matrix, places: Ints, chunk: int) -> Logits:
    """(places, labels) float32."""
    chunk = max(1, min(chunk, _AT_ONCE // len(model.bias)))
    parts = [model.scores(matrix(places[at : at + chunk])) for at in range(0, len(places), chunk)]
    return np.concatenate([np.zeros((0, len(model.bias)), np.float32), *parts])


def solve(work: Work, matrix: Matrix, inside: Ints, choice: Choice) -> Linear:
    """Fits the chosen solver on the rows at `inside`."""

    weights = work.rows.weights

    def parts(epoch: int) -> Iterator[Part]:
        order = np.random.default_rng([work.seed, epoch]).permutation(inside)
        for at in range(0, len(order), work.limits.chunk):
            places = order[at : at + work.limits.chunk]
            yield matrix(places), work.targets[places], part_of(weights, places)

    goals = work.targets[inside]
    if choice.solver == "none":
        return Linear(weights=np.zeros((0, work.labels), np.float32), bias=constant(goals, work.labels, part_of(weights, inside)))
    if choice.solver == "machine":
        return machine(matrix(inside), goals, work.labels, choice.strength, work.seed, part_of(weights, inside))
    if choice.solver == "ridge":
        return ridge(matrix(inside), goals, choice.strength, work.seed, part_of(weights, inside))
    if choice.solver == "stochastic":
        return stochastic(parts, np.unique(goals), work.labels, choice.strength, work.seed, choice.epochs)
    return centroids(parts(0), matrix(inside[:1]).shape[1], work.labels)


def fit_words(work: Work) -> Fitted:
    """All steps."""
    sample, notes = np.arange(len(work.rows)), []
    if work.rows.characters > work.limits.characters:
        sample = work.sample(len(sample) * work.limits.characters / work.rows.characters)
        notes.append(f"the vocabulary is that of {len(sample):,} of {len(work.rows):,} rows, so that it fits into memory")
    plain = PARTS if work.rows.characters * work.labels <= work.limits.parts else WORDS
    counts = _count(work.rows if len(sample) == len(work.rows) else work.rows.take(sample), plain)
    if counts is None:
        choice = Choice(solver="none")
        model = solve(work, lambda places: None, sample, choice)
        answer = "mean of the training rows" if work.numbers else "shares of the labels"
        note = f"the texts hold nothing that can be counted: every text gets the {answer}"
        return Fitted(vectorizer=None, model=model, choice=choice, notes=(note,))
    entries = counts.entries / len(sample) * len(work.rows)
    cost = entries * work.labels
    if work.targets.ndim == 2 or work.numbers:
        return _fit_part(work, counts, cost, notes)
    if len(sample) == len(work.rows) and cost <= work.limits.machine:
        return _fit_machine(work, counts)
    solver: Solver = "stochastic" if cost * _epochs(work) * len(RATES) <= work.limits.stochastic else "centroids"
    columns = work.limits.columns(solver, work.labels)
    vectorizer, features = _weighed(counts, counts.analysis.min_df, columns)
    if vectorizer.width + 3 > columns:
        notes.append(f"the {len(vectorizer.terms):,} most frequent terms are counted, so that the weights fit into memory")
    matrix = features.__getitem__ if len(sample) == len(work.rows) else matrix_of(vectorizer, work.rows, work.limits)
    if solver == "stochastic":
        return _fit_stochastic(work, vectorizer, matrix, notes)
    return _fit_centroids(work, vectorizer, matrix, notes, entries)


def _epochs(work: Work) -> int:
    return max(1, min(5, _SEEN // len(work.rows)))


def _count(rows: Rows, plain: Analysis) -> Counts | None:
    """By the plain analysis; characters where words have no spaces or there are none."""
    counts = None if unspaced(rows.texts) else Counts.of(plain, rows.texts, rows.pairs)
    return Counts.of(CHARACTERS, rows.texts, rows.pairs) if counts is None else counts


def _weighed(counts: Counts, min_df: int, columns: int) -> tuple[Vectorizer, Any]:
    """Terms in so many texts or more, or all where there are none."""
    weighed = counts.weigh(min_df, columns) or counts.weigh(1, columns)
    assert weighed is not None  # counts have terms
    return weighed


def _held_out(work: Work, places: Ints) -> tuple[Ints, Ints]:
    """Places to fit on and places to judge on: a fifth of them or 5,000, never with a text of the others."""
    part = work.take(places)
    folds = deal_folds(part.targets, max(5, -(-len(places) // _HELD)), work.seed, part.rows.groups)
    held = folds == 0 if folds.max() > 0 else np.zeros(len(places), np.bool_)
    return places[~held], places[held]


def _judge(work: Work, matrix: Matrix, model: Linear, held: Ints) -> Judgement:
    scores = scores_of(model, matrix, held, work.limits.chunk)
    return judge(scores, work.targets[held], part_of(work.rows.weights, held))


def _fit_machine(work: Work, counts: Counts) -> Fitted:
    """Analysis and strength by cross-validation on up to 3,000 rows; where there are more, the scale on a part of all rows."""
    columns = work.limits.columns(work.solver, work.labels)
    search = _Search(work, counts, columns)
    analysis, strength, judged = search.run()
    vectorizer, features = _weighed(counts, analysis.min_df, columns)
    matrix, places = features.__getitem__, np.arange(len(work.rows))
    choice = Choice(solver=work.solver, strength=strength)
    if judged is None:
        inside, held = _held_out(work, places)
        judged = _judge(work, matrix, solve(work, matrix, inside, choice), held)
        if len(held):
            search.tried.append(_line(analysis, strength, judged, len(inside)))
    model = solve(work, matrix, places, choice).scaled(judged.scale)
    tried, notes = tuple(search.tried), tuple(search.notes)
    return Fitted(vectorizer=vectorizer, model=model, choice=choice, tried=tried, notes=notes)


def _fit_part(work: Work, counts: Counts, cost: float, notes: list[str]) -> Fitted:
    """A machine for each label, or a ridge regression; of as many rows as that takes no longer than it may."""
    most = len(work.rows) * min(1.0, work.limits.machine / cost)
    if most < len(work.rows) or len(counts) < len(work.rows):
        work = work.take(work.sample(min(most, len(counts))))
        counted = _count(work.rows, counts.analysis)
        assert counted is not None  # the texts of all rows have terms
        counts = counted
        what = "a ridge regression" if work.numbers else f"a machine for each of {work.labels:,} labels"
        notes.append(f"{what} is fitted on {len(work.rows):,} rows; more would take too long")
    fitted = _fit_machine(work, counts)
    return replace(fitted, notes=(*notes, *fitted.notes))


def _fit_stochastic(work: Work, vectorizer: Vectorizer, matrix: Matrix, notes: list[str]) -> Fitted:
    """The better of two rates, without the rows they were judged on."""
    inside, held = _held_out(work, np.arange(len(work.rows)))
    tried, fits = [], []
    for rate in RATES:
        choice = Choice(solver="stochastic", strength=rate, epochs=_epochs(work))
        model = solve(work, matrix, inside, choice)
        judged = _judge(work, matrix, model, held)
        fits.append((judged.loss, choice, model.scaled(judged.scale)))
        tried.append(_line(vectorizer.analysis, rate, judged, len(inside)))
    _, choice, model = min(fits, key=lambda fit: fit[0])
    notes.append(f"fitted by stochastic gradients on {len(inside):,} rows; the other {len(held):,} chose their rate and scale")
    return Fitted(vectorizer=vectorizer, model=model, choice=choice, tried=tuple(tried), notes=tuple(notes))


def _fit_centroids(work: Work, vectorizer: Vectorizer, matrix: Matrix, notes: list[str], entries: float) -> Fitted:
    """The cosine to each label's mean text."""
    notes.append(f"{work.labels:,} labels are told apart by the cosine to their mean text; a linear model would take too long")
    places, choice = np.arange(len(work.rows)), Choice(solver="centroids")
    if entries > work.limits.entries:
        places = work.sample(len(places) * work.limits.entries / entries)
        notes.append(f"the mean texts are of {len(places):,} of {len(work.rows):,} rows, so that they fit into memory")
    inside, held = _held_out(work, places)
    judged = _judge(work, matrix, solve(work, matrix, inside, choice), held)
    model = solve(work, matrix, places, choice).scaled(judged.scale)
    tried = (_line(vectorizer.analysis, 0.0, judged, len(inside)),)
    return Fitted(vectorizer=vectorizer, model=model, choice=choice, tried=tried, notes=tuple(notes))


def _line(analysis: Analysis, strength: float, judged: Judgement, rows: int) -> dict[str, str | int | float]:
    return {"analysis": analysis.name, "min_df": analysis.min_df, "strength": strength, "rows": rows, **judged.figures}


class _Search:
    """The machine's strength, and whether rare terms are counted, by cross-validation on up to 3,000 rows.

    Args:
        work: all rows.
        counts: of all rows with the plain analysis.
        columns: largest number of features.
    """

    def __init__(self, work: Work, counts: Counts, columns: int) -> None:
        most = work.limits.search / max(1.0, counts.entries / len(counts) * work.labels)
        places = work.sample(min(len(work.rows), _TRIED, most))
        self.all, self.counts, self.columns = work, counts, columns
        self.work, self.few = work.take(places), counts.take(places)
        self.everything = len(places) == len(work.rows)
        self.folds = deal_folds(self.work.targets, 5 if len(places) <= 1000 else 3, work.seed, self.work.rows.groups)
        self.tried: list[dict[str, str | int | float]] = []
        self.notes: list[str] = []

    def run(self) -> tuple[Analysis, float, Judgement | None]:
        """The analysis, the strength, and how good it is where all rows were looked at."""
        plain, rows = self.counts.analysis, self.work.rows
        if self.folds.max() == 0 or (not self.everything and len(rows) < _FEWEST):
            reason = "there is only one text" if self.everything else f"{self.all.labels:,} labels would take too long"
            name = "of the penalty" if self.all.numbers else "C"
            self.notes.append(f"the strength {name} = 1 was not chosen on held-out rows: {reason}")
            return plain, 1.0, None
        best = self._strength(self.few, plain.min_df)
        if best is None or self.everything:
            rare = self._strength(self.few, 1)
            best = rare if best is None or (rare and rare[2].loss < best[2].loss) else best
        assert best is not None  # counts have terms
        return best if self.everything else (best[0], best[1], None)

    def _strength(self, counts: Counts, min_df: int) -> tuple[Analysis, float, Judgement] | None:
        """The best strength for an analysis; None where it counts nothing."""
        weighed = counts.weigh(min_df, self.columns)
        if weighed is None:
            return None
        vectorizer, features = weighed

        def judge_at(strength: float) -> Judgement:
            choice = Choice(solver=self.all.solver, strength=strength)

            def score(inside: Ints, held: Ints) -> Logits:
                return solve(self.work, features.__getitem__, inside, choice).scores(features[held])

            return judge(cross_fit(score, self.folds, self.work.labels), self.work.targets, self.work.rows.weights)

        judged = climb(RIDGES if self.all.numbers else STRENGTHS, judge_at)
        self.tried += [_line(vectorizer.analysis, strength, at, len(counts)) for strength, at in judged.items()]
        best = min(judged.values(), key=lambda at: at.loss)
        if self.everything:
            strength = next(strength for strength, at in judged.items() if at is best)
        else:  # more rows bear a larger strength: the largest that is not told apart from the best
            strength = max(strength for strength, at in judged.items() if not best.better(at))
        return vectorizer.analysis, strength, judged[strength]
