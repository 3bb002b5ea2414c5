"""What a label is: targets, loss, decision, probabilities, scores. No torch."""

from .multi_label import JOINT, MULTI_LABEL, in_order, metrics_of, split_labels
from .ordinal import ORDINAL
from .regression import NUMBER, REGRESSION, plain_number
from .single_label import SINGLE_LABEL, are_integers, label_numbers, likeliest, plain_label
from .task import TASKS, Task, check_labels, check_one_label, outputs_in_words, task_named, task_of

__all__ = [
    "JOINT", "MULTI_LABEL", "NUMBER", "ORDINAL", "REGRESSION", "SINGLE_LABEL", "TASKS", "Task", "are_integers", "check_labels",
    "check_one_label", "in_order", "label_numbers", "likeliest", "metrics_of", "outputs_in_words", "plain_label", "plain_number",
    "split_labels", "task_named", "task_of",
]  # fmt: skip
