"""striata: find the best text classifier under a budget of trainable parameters, fast, and prove it.

The names below are loaded when they are first used; `import striata` loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import export, fit, load, pack, plan, suggest, train
    from .data import Columns
    from .distillation import Distilled, SelfTrained
    from .ensemble import Ensemble
    from .errors import StriataError
    from .exports import Exported
    from .layout import Layout, Plan, Section
    from .model import Explanation, Model
    from .runs import Run
    from .settings import Study, load_study
    from .steps import Trained
    from .teaching import distil, selftrain

_HOMES = {
    "Columns": "data",
    "Distilled": "distillation",
    "Ensemble": "ensemble",
    "Explanation": "model",
    "Exported": "exports",
    "Layout": "layout",
    "Model": "model",
    "Plan": "layout",
    "Run": "runs",
    "Section": "layout",
    "SelfTrained": "distillation",
    "StriataError": "errors",
    "Study": "settings",
    "Trained": "steps",
    "Fitted": "automl.verdict",
    "distil": "teaching",
    "export": "api",
    "fit": "api",
    "load": "api",
    "load_study": "settings",
    "pack": "api",
    "plan": "api",
    "selftrain": "teaching",
    "suggest": "api",
    "train": "api",
}

__all__ = [
    "Columns", "Distilled", "Ensemble", "Explanation", "Exported", "Fitted", "Layout", "Model", "Plan", "Run", "Section",
    "SelfTrained", "StriataError", "Study", "Trained",
    "distil", "export", "fit", "load", "load_study", "pack", "plan", "selftrain", "suggest", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'striata' has no attribute '{name}'")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return list(__all__)
