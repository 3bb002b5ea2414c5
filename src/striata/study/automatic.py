"""A recipe for those who name none: from the encoder's size and the number of rows; learning rates race where steps allow."""

from __future__ import annotations

import math

from ..choices import UNADAPTED
from ..layout import shape_of
from ..settings import Recipe
from ..settings.file import RaceSettings, Study

RATES = (1 / 3, 1.0, 3.0)  # that race, as multiples of the usual one
UNTIL = 0.125  # share of its steps after which a race is over
RACING_STEPS = 200  # of a member, from which on a race tells
USEFUL_STEPS = 200  # that help even where they are many passes over few rows
EPOCHS = 6  # passes over the training rows after which more steps rarely help a small encoder
MOST_STEPS = 2500


def usual_rate(hidden: int) -> float:
    """AdamW's learning rate for adapters: 3e-3 suits encoders as small as MiniLM, larger ones take less.

    Args:
        hidden: the encoder's hidden size.
    """
    return 3e-3 if hidden <= 384 else 1e-3 if hidden <= 768 else 5e-4


def decide_recipe(study: Study, rows: int) -> Study:
    """A study whose recipe says `auto` with everything that it does not say itself, and with a race of learning rates.

    Args:
        study: its data has been read.
        rows: for training.

    Returns:
        The study; as it is where its recipe is not automatic.
    """
    stated = study.recipe.model_dump(exclude_unset=True)
    if not stated.pop("auto", False):
        return study
    rate = usual_rate(shape_of(study.base).hidden)
    batch = study.recipe.batch_size
    steps = min(MOST_STEPS, max(USEFUL_STEPS, math.ceil(EPOCHS * rows / batch)))
    most = Recipe.model_validate({"max_steps": steps, **stated}).steps(rows)
    decided = {
        "optimizer": {"name": "adamw"},
        "learning_rate": rate,
        "weight_decay": 0.01,
        "schedule": "linear",
        "max_steps": steps,
        "evaluate_every": max(1, math.ceil(most / 10)),
        "validation_rows": 1000,
        "patience": 5,
        "encoder_dropout": 0.0 if most * batch <= rows else None,
    }
    recipe = Recipe.model_validate({**decided, **stated})
    race = study.race
    if race is None and study.search is None and "learning_rate" not in stated and most >= RACING_STEPS:
        controls = sum(kind != UNADAPTED for kind in study.controls)  # which race with their layouts
        survivors = max(1, len(study.layouts) * len(study.seeds) * (1 + controls))
        rates = tuple(float(f"{rate * factor:.2g}") for factor in RATES)
        race = RaceSettings(learning_rates=rates, survivors=survivors, until=UNTIL)
    return study.model_copy(update={"recipe": recipe, "race": race})
