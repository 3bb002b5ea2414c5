"""What a task changes in settings, and what it does not go with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from ..choices import LOSSES, alternatives
from ..errors import StudyError
from ..tasks import check_labels, task_named
from .recipe import Recipe


def own_figures(task: str, recipe: Recipe, ensemble: BaseModel) -> dict[str, BaseModel]:
    """Of a task without accuracy the recipe and the ensemble's settings with its own first figure, where they say nothing.

    Args:
        task: of :data:`striata.choices.TASKS`.
        recipe: as it is written.
        ensemble: likewise.
    """
    if not task_named(task).numeric:
        return {}
    first = task_named(task).rankings[0]
    defaults: dict[str, tuple[BaseModel, dict[str, object]]] = {
        "recipe": (recipe, {"best_by": first, "min_delta": 0.0}),
        "ensemble": (ensemble, {"by": first}),
    }
    changed: dict[str, BaseModel] = {}
    for group, (settings, own) in defaults.items():
        missing = {key: value for key, value in own.items() if key not in settings.model_fields_set}
        if missing:
            changed[group] = settings.model_copy(update=missing)
    return changed


def check_for_task(
    task: str,
    recipes: Iterable[Recipe],
    *,
    by: str,
    order: Sequence[str] | None = None,
    separator: str | None = None,
    where: str = "study",
) -> None:
    """Refuses losses, figures and weights that are of other tasks.

    Args:
        task: of :data:`striata.choices.TASKS`.
        recipes: of the study and of its layouts.
        by: what chooses the ensemble.
        order: of labels, where it is stated.
        separator: of labels, likewise.
        where: the file, for messages.

    Raises:
        StudyError: names the setting.
    """
    own = task_named(task)
    if order is not None:
        check_labels(own, f"{where}: data.order", StudyError)
    if separator is not None:
        check_labels(own, f"{where}: data.label_separator", StudyError)
    for recipe in recipes:
        if recipe.loss is not None and task not in LOSSES[recipe.loss.name].tasks:
            names = alternatives(name for name, loss in LOSSES.items() if task in loss.tasks)
            raise StudyError(
                f"{where}: recipe.loss {recipe.loss.name} is not of task {task}; expected {names}", key="recipe.loss"
            )
        for key in ("class_weights", "label_smoothing"):
            if getattr(recipe, key):
                check_labels(own, f"{where}: recipe.{key}", StudyError)
        for key, name in (("recipe.best_by", recipe.best_by), ("ensemble.by", by)):
            if name not in own.rankings:
                raise StudyError(f"{where}: {key} {name} is not of task {task}; expected {alternatives(own.rankings)}", key=key)
