"""Studies: the file, the members it names, the folder of what came out. Reading needs no torch."""

from .file import Study, load_study
from .folder import StudyFolder
from .leaderboard import Standing, leaderboard
from .members import Member, members, shared_plans
from .prepare import Prepared, prepare
from .run import Run

__all__ = [
    "Member", "Prepared", "Run", "Standing", "Study", "StudyFolder", "leaderboard", "load_study", "members", "prepare",
    "shared_plans",
]  # fmt: skip
