"""From a study file to finished runs."""

from .members import plan_members, shared_plans
from .preparation import Prepared, prepare

__all__ = ["Prepared", "plan_members", "prepare", "shared_plans"]
