"""One run instead of several: trained on an ensemble's probabilities. No torch until it is trained."""

from .student import Distilled, distil_ensemble

__all__ = ["Distilled", "distil_ensemble"]
