"""What lies on disk of a study: its folder, its runs, their order. Reading needs no torch."""

from .facts import RunFacts
from .member import Member
from .run import Run
from .standings import Standing, leaderboard
from .study_folder import StudyFolder

__all__ = ["Member", "Run", "RunFacts", "Standing", "StudyFolder", "leaderboard"]
