"""striata: find the best text classifier under a budget of trainable parameters, fast, and prove it.

The names below are loaded when they are first used; `import striata` loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import fit, load, plan, train
    from .data import Columns
    from .ensemble import Ensemble
    from .errors import StriataError
    from .layout import Layout, Plan, Section
    from .model import Model
    from .runs import Run
    from .settings import Study, load_study
    from .steps import Trained

_HOMES = {
    "Columns": "data",
    "Ensemble": "ensemble",
    "Layout": "layout",
    "Model": "model",
    "Plan": "layout",
    "Run": "runs",
    "Section": "layout",
    "StriataError": "errors",
    "Study": "settings",
    "Trained": "steps",
    "Fitted": "automl.verdict",
    "fit": "api",
    "load": "api",
    "load_study": "settings",
    "plan": "api",
    "train": "api",
}

__all__ = [
    "Columns", "Ensemble", "Fitted", "Layout", "Model", "Plan", "Run", "Section", "StriataError", "Study", "Trained", "fit",
    "load", "load_study", "plan", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'striata' has no attribute '{name}'")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return list(__all__)
