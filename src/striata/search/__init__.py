"""Search: layouts proposed, trained in one rolling stack, and pruned. Reading a space needs neither torch nor optuna."""

from .space import Space

__all__ = ["Space"]
