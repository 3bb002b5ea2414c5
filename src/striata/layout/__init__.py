"""Layouts and plans: how LoRA lies over an encoder's depth, checked against its shape. No torch, no weights."""

from ..families import HeadStep
from .heads import Head
from .named import Resolved, builtin_layouts, find_layout, resolve
from .plan import Plan, Site, make_plan
from .ranks import fit
from .sections import Layout, Section
from .shapes import Shape, check_base, known_shapes, shape_of

__all__ = [
    "Head", "HeadStep", "Layout", "Plan", "Resolved", "Section", "Shape", "Site",
    "builtin_layouts", "check_base", "find_layout", "fit", "known_shapes", "make_plan", "resolve", "shape_of",
]  # fmt: skip
