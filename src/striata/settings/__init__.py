"""What a study file may say. No torch."""

from .file import LayoutSettings, Study, load_study
from .recipe import Recipe

__all__ = ["LayoutSettings", "Recipe", "Study", "load_study"]
