"""What a search may propose: layouts as values of parameters, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BudgetError, PlanError, StudyError
from ..layout import Layout, Plan, Section, Shape, fit, make_plan, resolve, shape_of
from ..runs import Member
from ..settings import Recipe
from ..settings.file import LayoutSettings, Study
from ..settings.search_settings import SearchSettings

if TYPE_CHECKING:
    from optuna import Trial

Values = Mapping[str, Any]


class _Run(NamedTuple):
    """Neighbouring layers that are alike."""

    layers: int
    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Everything that a study's search may propose.

    Args:
        study: has a search.
        settings: the search.
        shape: of the study's encoder.
        labels: number of labels.
    """

    study: Study
    settings: SearchSettings
    shape: Shape
    labels: int

    @classmethod
    def of(cls, study: Study, labels: int) -> Space:
        """The space of a study, checked against its encoder and its budget.

        Raises:
            StudyError: the study has no search, or sections, ranks or a starting point do not fit.
            LayoutError, PlanError: targets or ranks do not fit the encoder.
            BudgetError: targets are above the budget even with rank 1 everywhere, or a starting point is.
            EncoderError: the encoder's shape cannot be found.
        """
        if study.search is None:
            raise StudyError("this study has no `search`; write one, or train its layouts")
        space = cls(study=study, settings=study.search, shape=shape_of(study.base), labels=labels)
        space._check()
        space.starts()
        return space

    def _check(self) -> None:
        depth, most = self.shape.depth, self.settings.sections[1]
        if most > depth:
            raise StudyError(f"search.sections: {most} sections do not fit over the {depth} layers of {self.study.base}")
        for targets in self.settings.targets:
            for rank in (1, max(self.settings.ranks)):
                section = Section(0, depth - 1, rank, float(rank), 0.0, targets)
                try:
                    self._make(Layout((section,)), self.study.budget if rank == 1 else None)
                except BudgetError as error:
                    raise BudgetError(
                        f"search.targets: {' '.join(targets)} is above the budget with rank 1 in every layer: {error}"
                    ) from None
                except PlanError as error:
                    raise PlanError(f"search: {error}") from None

    def _make(self, layout: Layout, budget: int | None) -> Plan:
        return make_plan(layout, base=self.study.base, labels=self.labels, head=self.study.head, budget=budget)

    def suggest(self, trial: Trial) -> None:
        """Asks for every parameter of a layout and its recipe, one after another; a section's exist only where it does."""
        settings = self.settings
        count = trial.suggest_int("sections", *settings.sections)
        trial.suggest_categorical("targets", [" ".join(targets) for targets in settings.targets])
        if settings.learning_rate is not None:
            trial.suggest_float("learning_rate", *settings.learning_rate, log=True)
        for at in range(1, count + 1):
            trial.suggest_int(f"rank_index_{at}", 0, len(settings.ranks) - 1)
            trial.suggest_float(f"dropout_{at}", *settings.dropout)
            if at < count:
                trial.suggest_float(f"border_{at}", 0.0, 1.0)

    def layout(self, values: Values) -> Layout:
        """The layout that parameters stand for, whatever the budget.

        Args:
            values: as asked for by :meth:`suggest`. `border_I` says where section I ends, as a share of the places that leave
                at least one layer for each later section.
        """
        count, ranks = values["sections"], sorted(self.settings.ranks)
        sections, first = [], 0
        for at in range(1, count + 1):
            left = self.shape.depth - first
            places = left - (count - at)
            width = left if at == count else 1 + min(int(values[f"border_{at}"] * places), places - 1)
            rank = ranks[values[f"rank_index_{at}"]]
            dropout = _rounded(values[f"dropout_{at}"], self.settings.dropout, f"{values[f'dropout_{at}']:.3f}")
            targets = tuple(values["targets"].split())
            sections.append(Section(first, first + width - 1, rank, self._alpha(rank), dropout, targets))
            first += width
        return Layout(tuple(sections))

    def _alpha(self, rank: int) -> float:
        return float(rank) if self.settings.alpha == "rank" else self.settings.alpha

    def plan(self, values: Values) -> Plan:
        """The plan of parameters, within the budget: a layout above it gets the largest ranks of its shape that fit.

        The plan's `layout` is what was asked for, its `text` what is trained.
        """
        layout, budget = self.layout(values), self.study.budget
        plan = self._make(layout, None)
        if budget is None or plan.trainable <= budget:
            return replace(plan, budget=budget)
        fitted = fit(layout, base=self.study.base, labels=self.labels, head=self.study.head, budget=budget)
        if self.settings.alpha != "rank":
            return fitted
        sections = tuple(replace(section, alpha=float(section.rank)) for section in Layout.parse(fitted.text).sections)
        notes = (f"fitted to {budget:,} parameters; alphas follow the ranks",)
        return replace(self._make(Layout(sections), budget), layout=plan.layout, notes=notes)

    def recipe(self, values: Values) -> Recipe:
        """The study's recipe with the learning rate of parameters, to three digits."""
        ends = self.settings.learning_rate
        if ends is None:
            return self.study.recipe
        rate = _rounded(values["learning_rate"], ends, f"{values['learning_rate']:.3g}")
        return self.study.recipe.model_copy(update={"learning_rate": rate})

    def member(self, name: str, values: Values) -> Member:
        """What parameters train, under a name."""
        plan = self.plan(values)
        return Member(name=name, title=name, layout=plan.layout, seed=self.study.seeds[0], recipe=self.recipe(values), plan=plan)

    def largest(self) -> Member:
        """Of all that may be proposed, what trains most parameters, nearly: all sections with the largest rank."""
        count, highest = self.settings.sections[0], len(self.settings.ranks) - 1
        rate = {} if self.settings.learning_rate is None else {"learning_rate": self.settings.learning_rate[0]}
        places = range(1, count + 1)
        sections = {f"rank_index_{at}": highest for at in places} | {f"dropout_{at}": 0.0 for at in places}
        borders = {f"border_{at}": 0.0 for at in places}
        members = [
            self.member("largest", {"sections": count, "targets": " ".join(targets), **sections, **borders, **rate})
            for targets in self.settings.targets
        ]
        return max(members, key=lambda member: member.plan.trainable)

    @property
    def size(self) -> int:
        """Different ranks over the layers and targets, whatever the budget, the dropouts and the learning rate."""
        depth, ranks = self.shape.depth, len(self.settings.ranks)
        profiles = 0
        for parts in range(1, self.settings.sections[1] + 1):  # neighbouring sections of one rank are one part
            profiles += math.comb(depth - 1, parts - 1) * ranks * int((ranks - 1) ** (parts - 1))
        return profiles * len(self.settings.targets)

    @property
    def finite(self) -> bool:
        """Whether ranks and targets are all that varies."""
        settings = self.settings
        ends = (settings.dropout, *([settings.learning_rate] if settings.learning_rate is not None else []))
        return all(low == high for low, high in ends)

    def starts(self) -> dict[str, dict[str, Any]]:
        """Parameters of the study's layouts, with which the search begins.

        Raises:
            StudyError: a layout is outside the space.
            LayoutError, PlanError, BudgetError: it cannot be planned.
        """
        starts = {}
        for entry in self.study.layouts:
            spec = entry if isinstance(entry, str) else entry.layout
            try:
                make_plan(spec, base=self.study.base, labels=self.labels, head=self.study.head, budget=self.study.budget)
                starts[spec] = self._values(spec) | self._rate(entry)
            except (PlanError, StudyError) as error:
                raise type(error)(f"layout '{spec}' cannot be where the search begins: {error}") from None
        return starts

    def _rate(self, entry: str | LayoutSettings) -> dict[str, float]:
        recipe, ends = self.study.recipe_of(entry), self.settings.learning_rate
        if recipe != self.study.recipe.model_copy(update={"learning_rate": recipe.learning_rate}):
            raise StudyError("its recipe differs in more than the learning rate, and the search has one recipe")
        if ends is None and recipe != self.study.recipe:
            raise StudyError("it has a learning rate of its own, but search.learning_rate is null")
        if ends is None:
            return {}
        if not ends[0] <= recipe.learning_rate <= ends[1]:
            raise StudyError(f"learning rate {recipe.learning_rate:g} is outside {ends[0]:g} to {ends[1]:g}")
        return {"learning_rate": recipe.learning_rate}

    def _values(self, spec: str) -> dict[str, Any]:
        settings, ranks = self.settings, sorted(self.settings.ranks)
        runs = self._runs(spec)
        least, most = settings.sections
        if not least <= len(runs) <= most:
            raise StudyError(f"it has {len(runs)} section(s); expected {least} to {most}")
        values: dict[str, Any] = {"sections": len(runs), "targets": " ".join(self._targets(runs))}
        left = self.shape.depth
        for at, run in enumerate(runs, 1):
            if run.rank not in ranks:
                raise StudyError(f"rank {run.rank} is none of search.ranks {', '.join(map(str, ranks))}")
            if run.alpha != self._alpha(run.rank):
                raise StudyError(f"alpha {run.alpha:g} is not search.alpha {settings.alpha}")
            low, high = settings.dropout
            if not low <= run.dropout <= high:
                raise StudyError(f"dropout {run.dropout:g} is outside search.dropout {low:g} to {high:g}")
            values |= {f"rank_index_{at}": ranks.index(run.rank), f"dropout_{at}": run.dropout}
            if at < len(runs):
                values[f"border_{at}"] = (run.layers - 0.5) / (left - (len(runs) - at))
            left -= run.layers
        return values

    def _runs(self, spec: str) -> list[_Run]:
        alike = []
        for claims in resolve(spec, self.shape).layers:
            sections = {(s.rank, s.alpha, s.dropout) for s in claims.values()}
            if len(sections) != 1:
                raise StudyError("expected one rank, alpha and dropout in every layer")
            alike.append((*sections.pop(), tuple(sorted(claims))))
        return [_Run(len(list(layers)), *key) for key, layers in groupby(alike)]

    def _targets(self, runs: list[_Run]) -> tuple[str, ...]:
        for targets in self.settings.targets:
            if all(run.targets == tuple(sorted(targets)) for run in runs):
                return targets
        known = ", ".join(" ".join(targets) for targets in self.settings.targets)
        raise StudyError(f"its targets are none of search.targets ({known}) in every layer")

    def to_json(self) -> dict[str, Any]:
        """For `striata check --json`."""
        return {"layouts": self.size, "finite": self.finite, "settings": self.settings.model_dump(mode="json")}


def _rounded(value: float, ends: tuple[float, float], text: str) -> float:
    return min(max(float(text), ends[0]), ends[1])
