"""Models behind HTTP: JSON for programs, the Open Inference Protocol, metrics, and a page. Needs the extra `serve`."""

from ..extras import require

require("a server", "fastapi", "uvicorn", "prometheus_client")

from .app import create_app  # noqa: E402
from .limits import Limits  # noqa: E402

__all__ = ["Limits", "create_app"]
