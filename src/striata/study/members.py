"""From a study to its members: every layout and control with every seed, planned; what is the same is trained once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..choices import UNADAPTED
from ..errors import LayoutError, PlanError, StudyError
from ..layout import Plan, make_plan
from ..layout.sections import check_name
from ..runs import Member
from ..settings import AdaptationSettings, Recipe
from ..settings.file import LayoutSettings, Study

_MOST = 10_000  # members of a study


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A layout of the study, planned, with the names of all that are equal to it; see :class:`Member` for the last four."""

    title: str
    label: str
    plan: Plan
    recipe: Recipe
    layout: str
    adapt: AdaptationSettings | None
    control: str | None
    aliases: tuple[str, ...] = ()
    control_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def equals(self, other: _Planned) -> bool:
        return (self.plan.hash, self.recipe, self.adapt) == (other.plan.hash, other.recipe, other.adapt)

    def unadapted(self, own: Sequence[_Planned]) -> _Planned:
        """The control that is the same without adaptation; `own` are the study's layouts."""
        sources = (self.title, *(other.title for other in own if other.equals(self)))
        return replace(
            self,
            title=f"{self.title}-{UNADAPTED}",
            label=f"{self.label}:{UNADAPTED}",
            layout=f"{self.layout}:{UNADAPTED}",
            adapt=None,
            control=UNADAPTED,
            aliases=tuple(f"{alias}:{UNADAPTED}" for alias in self.aliases),
            control_of={UNADAPTED: tuple(dict.fromkeys(sources))},
        )


def plan_members(study: Study, labels: int) -> tuple[Member, ...]:
    """The members of a study, in the order of its layouts and seeds, each followed by its controls.

    Layouts with equal plans and recipes are one member per seed: the first gives the name, the others are its aliases. With an
    adaptation that is checked, controls have a control without adaptation too.

    Args:
        study: checked settings.
        labels: number of labels.

    Raises:
        StudyError: two members have one name, or a setting that all must share differs.
        LayoutError, PlanError, BudgetError, EncoderError: a layout cannot be planned.
    """
    entries = [raced for entry in study.layouts for raced in _raced(study, entry, labels)]
    own = [_planned(study, entry, labels) for entry in entries]
    own = [replace(planned, control_of=_sources(planned, own)) for planned in own]
    _check_names(own, study.seeds)
    listed: list[_Planned] = []
    for entry, planned in zip(entries, own, strict=True):
        listed.append(planned)
        for control in _controls(study, entry, planned, labels):
            sources = tuple(other.title for other in own if other.equals(planned))
            if not any(other.title == control.title and other.equals(control) for other in own):
                listed.append(replace(control, control_of={str(control.control): sources}))
    distinct: list[_Planned] = []
    for planned in listed:
        at = next((at for at, other in enumerate(distinct) if other.equals(planned)), None)
        if at is None:
            distinct.append(planned)
        else:
            merged = _united(distinct[at].control_of, planned.control_of)
            distinct[at] = replace(distinct[at], aliases=(*distinct[at].aliases, planned.label), control_of=merged)
    distinct = [one for planned in distinct for one in (planned, *_unadapted(study, planned, own))]
    _check_names(distinct, study.seeds)
    return tuple(
        Member(
            name=f"{planned.title}-seed{seed}",
            title=planned.title,
            layout=planned.layout,
            seed=seed,
            recipe=planned.recipe,
            plan=planned.plan,
            aliases=planned.aliases,
            control=planned.control,
            control_of=planned.control_of,
            adapt=planned.adapt,
        )
        for planned in distinct
        for seed in study.seeds
    )


def _raced(study: Study, entry: str | LayoutSettings, labels: int) -> list[str | LayoutSettings]:
    """A layout of the study once with each learning rate of its race."""
    if study.race is None:
        return [entry]
    settings = LayoutSettings(layout=entry) if isinstance(entry, str) else entry
    title = _planned(study, entry, labels).title
    return [
        settings.model_copy(update={"name": f"{title}-lr{rate:g}", "recipe": {**settings.recipe, "learning_rate": rate}})
        for rate in study.race.learning_rates
    ]


def _check_names(distinct: Sequence[_Planned], seeds: Sequence[int]) -> None:
    if len(distinct) * len(seeds) > _MOST:
        raise StudyError(f"{len(distinct):,} layouts and controls with {len(seeds):,} seeds are more than {_MOST:,} members")
    names = set()
    for name in (f"{planned.title}-seed{seed}" for planned in distinct for seed in seeds):
        check_name(name, "run name")
        if name in names:
            raise StudyError(f"two members are named {name}; remove a layout or a seed, or write `{{layout: ..., name: ...}}`")
        names.add(name)


def _planned(study: Study, entry: str | LayoutSettings, labels: int) -> _Planned:
    spec = entry if isinstance(entry, str) else entry.layout
    try:
        plan = make_plan(spec, base=study.base, labels=labels, head=study.head, budget=study.budget)
    except (LayoutError, PlanError) as error:
        raise error.within(f"layout '{spec}'") from None
    recipe = study.recipe_of(entry)
    for shared in ("precision", "encoder_dropout"):
        if getattr(recipe, shared) != getattr(study.recipe, shared):
            raise StudyError(f"layout '{spec}': {shared} is of the shared encoder; set it in the study's own recipe")
    label = plan.layout if isinstance(entry, str) or entry.name is None else entry.name
    return _Planned(
        title=_title(entry, plan),
        label=label,
        plan=plan,
        recipe=recipe,
        layout=plan.layout,
        adapt=study.adapt,
        control=plan.control,
    )


def _controls(study: Study, entry: str | LayoutSettings, planned: _Planned, labels: int) -> list[_Planned]:
    """The controls asked for; one that equals its layout says nothing and is left out."""
    settings = LayoutSettings(layout=entry) if isinstance(entry, str) else entry
    if planned.plan.control is not None:
        return []
    controls = []
    for kind in dict.fromkeys(study.controls):
        if kind == UNADAPTED:  # is of the plan that several layouts may share
            continue
        made = settings.model_copy(update={"layout": f"{settings.layout}:{kind}", "name": f"{planned.title}-{kind}"})
        control = replace(_planned(study, made, labels), label=f"{planned.label}:{kind}")
        if not control.equals(planned):
            controls.append(control)
    return controls


def _unadapted(study: Study, planned: _Planned, own: Sequence[_Planned]) -> list[_Planned]:
    """The same without adaptation: for the validation check of each plan, else for each layout whose study has this control."""
    if planned.adapt is None:
        return []
    wants = planned.adapt.check or (UNADAPTED in study.controls and planned.control is None)
    return [planned.unadapted(own)] if wants else []


def _sources(control: _Planned, own: Sequence[_Planned]) -> dict[str, tuple[str, ...]]:
    """Whose control a layout that the study lists is: of those listed that it was made from and that have its recipe."""
    kind, source = control.plan.control, control.plan.control_of
    if kind is None or source is None:
        return {}
    titles = [planned.title for planned in own if planned.plan.layout == source and planned.recipe == control.recipe]
    if not titles and not _is_text(source):
        titles = [_title_of(source)]  # its runs may be in the folder from a call before
    return {kind: tuple(titles)}


def _united(one: Mapping[str, tuple[str, ...]], other: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(dict.fromkeys((*one.get(kind, ()), *other.get(kind, ())))) for kind in dict.fromkeys((*one, *other))}


def _title(entry: str | LayoutSettings, plan: Plan) -> str:
    if isinstance(entry, LayoutSettings) and entry.name is not None:
        return entry.name
    return f"layout-{plan.hash[:8]}" if _is_text(plan.layout) else _title_of(plan.layout)


def _is_text(layout: str) -> bool:
    """Whether a layout has no name but its text form, which is too long for a folder's name."""
    return "|" in layout or " " in layout


def _title_of(layout: str) -> str:
    return layout.replace(":", "-").replace("/", "-")


def twins(members: Sequence[Member]) -> dict[str, str]:
    """The members that are the same as an adapted one without adaptation, seed included, each with the adapted one's name."""
    adapted = {(replace(member, adapt=None).identity, member.seed): member.name for member in members if member.adapt is not None}
    plain = ((member.name, adapted.get((member.identity, member.seed))) for member in members if member.adapt is None)
    return {name: other for name, other in plain if other is not None} if adapted else {}


def shared_plans(members: Sequence[Member]) -> list[str]:
    """A sentence for every member that stands for several layouts."""
    shared = {member.title: member.aliases for member in members if member.aliases}
    return [
        f"{layout} stands for {', '.join(aliases)} too: one and the same plan and recipe, trained once"
        for layout, aliases in shared.items()
    ]
