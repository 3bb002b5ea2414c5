"""A study as a page to look at, figures for a paper, and a model card. Reading needs no torch."""

from .contents import Report, collect
from .model_card import write_card
from .write import write_report

__all__ = ["Report", "collect", "write_card", "write_report"]
