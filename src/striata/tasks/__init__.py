"""What a label is: targets, loss, decision, probabilities, scores. No torch."""

from .ordinal import ORDINAL
from .single_label import SINGLE_LABEL, are_integers, label_numbers, likeliest, plain_label
from .task import TASKS, Task, check_one_label, task_named

__all__ = [
    "ORDINAL", "SINGLE_LABEL", "TASKS", "Task", "are_integers", "check_one_label", "label_numbers", "likeliest", "plain_label",
    "task_named",
]  # fmt: skip
