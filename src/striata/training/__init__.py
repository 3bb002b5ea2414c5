"""Training of a stack: recipe, optimizers, the one loop, validation, checkpoints, trackers."""

from .recipe import Recipe

__all__ = ["Recipe"]
