"""Which layout is better, by how much, and how sure one can be. Needs no torch."""

from .compare import compare_pair, compare_study
from .foresight import Foresight, foresee, measured_noise
from .power import Design, Noise, compute_power, resolvable
from .results import Comparison, Difference, LayoutResult, Together
from .worth import Contender, Gain, Worth, measure_worth

__all__ = [
    "Comparison", "Contender", "Design", "Difference", "Foresight", "Gain", "LayoutResult", "Noise", "Together", "Worth",
    "compare_pair", "compare_study", "compute_power", "foresee", "measure_worth", "measured_noise", "resolvable",
]  # fmt: skip
