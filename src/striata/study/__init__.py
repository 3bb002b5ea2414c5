"""From a study file to finished runs."""

from .advice import advise
from .members import plan_members, shared_plans
from .preparation import Prepared, prepare
from .work import Work, plan_work

__all__ = ["Prepared", "Work", "advise", "plan_members", "plan_work", "prepare", "shared_plans"]
