"""Which layout is better, by how much, and how sure one can be. Needs no torch."""

from .compare import compare_pair, compare_study
from .foresee import Foresight, foresee, measured_noise
from .power import Design, Noise, power, resolvable
from .results import Comparison, Difference, LayoutResult, Together

__all__ = [
    "Comparison", "Design", "Difference", "Foresight", "LayoutResult", "Noise", "Together", "compare_pair", "compare_study",
    "foresee", "measured_noise", "power", "resolvable",
]  # fmt: skip
