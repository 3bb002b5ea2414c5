"""Models as others open them: transformers, ONNX Runtime, sentence-transformers."""

from .exported import Exported, export_model

__all__ = ["Exported", "export_model"]
