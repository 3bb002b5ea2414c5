"""From a study file to finished runs."""

from .advice import advise
from .claim import check_output
from .contenders import fit_baselines
from .members import plan_members, shared_plans
from .preparation import Prepared, find_encoder, prepare, prepare_again
from .work import Work, baseline_lines, plan_work

__all__ = [
    "Prepared",
    "Work",
    "advise",
    "baseline_lines",
    "check_output",
    "find_encoder",
    "fit_baselines",
    "plan_members",
    "plan_work",
    "prepare",
    "prepare_again",
    "shared_plans",
]
