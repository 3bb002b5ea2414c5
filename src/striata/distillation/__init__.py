"""One run instead of several: trained on an ensemble's probabilities, or on its answers too. No torch until it is trained."""

from .selftraining import SelfTrained, self_train
from .student import Distilled, distil_ensemble

__all__ = ["Distilled", "SelfTrained", "distil_ensemble", "self_train"]
