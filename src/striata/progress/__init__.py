"""What a user sees while something trains: the best so far, a line per contender, the time left."""

from .board import Best, Board, Countdown, clock
from .notebook import NotebookBoard, usual_listener

__all__ = ["Best", "Board", "Countdown", "NotebookBoard", "clock", "usual_listener"]
