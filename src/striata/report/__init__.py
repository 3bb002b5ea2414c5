"""A study as a page to look at, figures for a paper, and a model card. Reading needs no torch."""

from .contents import Report, collect
from .model_card import card, write_card
from .page import render
from .write import write_report

__all__ = ["Report", "card", "collect", "render", "write_card", "write_report"]
