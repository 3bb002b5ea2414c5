"""Which layout is better, by how much, and how sure one can be. Needs no torch."""

from .compare import compare_pair, compare_study
from .foresight import Foresight, foresee, measured_noise
from .power import Design, Noise, compute_power, resolvable
from .results import Comparison, Difference, LayoutResult, Together

__all__ = [
    "Comparison", "Design", "Difference", "Foresight", "LayoutResult", "Noise", "Together", "compare_pair", "compare_study",
    "compute_power", "foresee", "measured_noise",  "resolvable",
]  # fmt: skip
