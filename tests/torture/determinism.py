"""Training, an ensemble and predictions as a process of its own makes them, in the current folder."""

from __future__ import annotations

from .world import COMMANDS


def make() -> None:
    """Runs of every kind, an ensemble of them, and what it says of 30 texts."""
    for name in ("train with baselines", "ensemble", "predict"):
        COMMANDS[name].call()


if __name__ == "__main__":
    make()
