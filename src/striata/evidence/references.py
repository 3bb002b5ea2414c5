"""What each layout is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..choices import CONTROLS, UNADAPTED
from ..errors import StudyError, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A layout with the names it goes by.

    Args:
        title: its runs' name without the seed.
        layout: what the study called it.
        aliases: other layouts that are the same plan and recipe.
        control: of :data:`striata.choices.CONTROLS` for a control, else None.
        control_of: titles of the layouts whose control it is, by the kind of control.
    """

    title: str
    layout: str
    aliases: tuple[str, ...]
    control: str | None
    control_of: Mapping[str, tuple[str, ...]]

    @property
    def label(self) -> str:
        """The layout's name; the title where it has none of its own."""
        return self.layout if self.layout.replace(":", "-").replace("/", "-") == self.title else self.title

    @property
    def names(self) -> tuple[str, ...]:
        """What it goes by."""
        return tuple(dict.fromkeys((self.label, self.title, *self.aliases)))

    def is_controlled_by(self, other: Named, kind: str) -> bool:
        """Whether another layout is this one's control of a kind; a control's own control is that of its layout, but for the one
        without adaptation, which is of the same plan."""
        alone = self.control is None or kind == UNADAPTED
        roots = {self.title} if alone else set(self.control_of.get(str(self.control), ()))
        return other is not self and not roots.isdisjoint(other.control_of.get(kind, ()))


AnyNamed = TypeVar("AnyNamed", bound=Named)


def find(known: Sequence[AnyNamed], name: str, where: object) -> AnyNamed:
    """The layout of a name, title or alias; or of a text form, where only one is trained.

    Raises:
        StudyError: there is none.
    """
    for one in known:
        if name in one.names:
            return one
    of_form = [one for one in known if one.layout == name]
    if len(of_form) == 1:
        return of_form[0]
    names = [name for one in known for name in one.names]
    raise StudyError(
        f"{where} has no finished layout or run '{name}'{did_you_mean(name, names)}; expected one of {', '.join(names)}"
    )


def own_controls(known: Sequence[AnyNamed], kind: str) -> list[tuple[AnyNamed, AnyNamed]]:
    """Each layout that has a control of a kind, with it."""
    pairs = ((one, next((other for other in known if one.is_controlled_by(other, kind)), None)) for one in known)
    return [(one, control) for one, control in pairs if control is not None and one.control != kind]


def references(
    known: Sequence[AnyNamed], first: AnyNamed, reference: str | None, where: object
) -> tuple[list[tuple[AnyNamed, AnyNamed]], str]:
    """Pairs of layout and reference, and the rule in words.

    Args:
        known: the layouts.
        first: the one that stands in where a layout has no such control.
        reference: of :data:`striata.choices.CONTROLS` for each layout's own control; a layout for all; None for the own uniform
            one, or where no layout has one the own without adaptation, or `first`.
        where: the study, for messages.

    Raises:
        StudyError: there is no such layout or control.
    """
    if reference is not None and reference not in CONTROLS:
        all_with = find(known, reference, where)
        return [(one, all_with) for one in known if one is not all_with], f"{all_with.label} for all"
    kind = reference or next((kind for kind in ("uniform", UNADAPTED) if own_controls(known, kind)), "uniform")
    if kind != UNADAPTED:  # layouts are compared adapted alike
        known = [one for one in known if one.control != UNADAPTED]
    own = [pair for pair in own_controls(known, kind) if not (reference == "reversed" and pair[0].control)]
    settled = {one.title for one, _ in own}
    other = [(one, first) for one in known if one.control != kind and one is not first and one.title not in settled]
    if reference is not None:
        if not own:
            raise StudyError(
                f"{where} has no :{kind} control of any layout; add `controls: [{kind}]` to the study, or name a layout"
            )
        return own, f"each layout's own :{kind} control"
    rules = [f"each layout's own :{kind} control"] if own else []
    rules += [f"{first.label}, the study's first layout, {'where there is none' if own else 'for all'}"] if other else []
    return [*own, *other], "; ".join(rules) or "none: there is nothing to compare with"
