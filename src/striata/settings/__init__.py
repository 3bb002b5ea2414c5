"""What a study file may say. No torch."""

from .adaptation_settings import AdaptationSettings
from .file import LayoutSettings, Study, load_study
from .recipe import Recipe

__all__ = ["AdaptationSettings", "LayoutSettings", "Recipe", "Study", "load_study"]
