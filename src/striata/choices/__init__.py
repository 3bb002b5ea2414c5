"""The closed lists: every value that a user chooses by name, once, with what it means.

The study file's checks, the command line's help, docs/reference.md and the code that acts on a choice read these tables. A new
choice is a new entry here, and the code that carries it out where the entry cannot say that itself.
"""

from .choice import Choice, Choices, alternatives
from .reading import COMPRESSIONS, DATA_HELP, QUOTINGS, READERS, ReaderChoice
from .training import (
    CONTROLS,
    DEVICES,
    HEADS,
    LOSSES,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    TARGETS,
    HeadChoice,
    LossChoice,
    OptimizerChoice,
    PrecisionChoice,
    ScheduleChoice,
    TunableChoice,
)
from .using import (
    BASELINES,
    COMBINATIONS,
    DEMOS,
    EXPLANATIONS,
    EXPORTS,
    FORMS,
    METHODS,
    PREDICTIONS,
    QUANTIZATIONS,
    RANKINGS,
    REVIEWS,
    SUGGESTIONS,
    TRACKERS,
    MethodChoice,
)

__all__ = [
    "BASELINES",
    "COMBINATIONS",
    "COMPRESSIONS",
    "CONTROLS",
    "DATA_HELP",
    "DEMOS",
    "DEVICES",
    "EXPLANATIONS",
    "EXPORTS",
    "FORMS",
    "HEADS",
    "LOSSES",
    "METHODS",
    "OPTIMIZERS",
    "PRECISIONS",
    "PREDICTIONS",
    "QUANTIZATIONS",
    "QUOTINGS",
    "RANKINGS",
    "READERS",
    "REVIEWS",
    "SCHEDULES",
    "SUGGESTIONS",
    "TARGETS",
    "TRACKERS",
    "Choice",
    "Choices",
    "HeadChoice",
    "LossChoice",
    "MethodChoice",
    "OptimizerChoice",
    "PrecisionChoice",
    "ReaderChoice",
    "ScheduleChoice",
    "TunableChoice",
    "alternatives",
]
