"""Families of encoders: one entry for each, with all that striata knows of it. No torch, no weights."""

from .family import Config, Family, NativeHead, Size
from .head_steps import HeadStep
from .table import FAMILIES

__all__ = ["FAMILIES", "Config", "Family", "HeadStep", "NativeHead", "Size"]
