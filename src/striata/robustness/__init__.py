"""What a model does outside of its test file: worse texts, other texts, wrong labels."""

from .checks import read_rows, validation_rows
from .evaluation import keep_evaluation
from .labels import LabelAudit, audit_labels, find_audited, write_suspects
from .perturbations import PERTURBATIONS, perturb
from .review import Relabelled, apply_answers, read_answers, write_review
from .shift import Shift, measure_shift, write_shift_rows
from .stress import Stress, run_stress

__all__ = [
    "PERTURBATIONS", "LabelAudit", "Relabelled", "Shift", "Stress", "apply_answers", "audit_labels", "find_audited",
    "keep_evaluation", "measure_shift", "perturb", "read_answers", "read_rows", "run_stress", "validation_rows", "write_review",
    "write_shift_rows", "write_suspects",
]  # fmt: skip
