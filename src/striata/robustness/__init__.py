"""What a model does outside of its test file: worse texts, other texts, wrong labels."""

from .checks import read_rows
from .labels import LabelAudit, audit_labels, write_suspects
from .perturb import PERTURBATIONS, perturb
from .shift import Shift, shift, write_shift_rows
from .stress import Stress, stress

__all__ = [
    "PERTURBATIONS", "LabelAudit", "Shift", "Stress", "audit_labels", "perturb", "read_rows", "shift", "stress",
    "write_shift_rows", "write_suspects",
]  # fmt: skip
