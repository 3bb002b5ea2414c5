"""Values that a notebook shows with a table and drawings.

What draws them lies in the report's room, above those of most values, so it is named here as text and loaded when a notebook
asks.
"""

from __future__ import annotations

from importlib import import_module

_DRAWN_BY = "striata.report.notebook"


class Shown:
    """A value that a notebook shows as HTML; without the extra `report` it shows its line of text."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """HTML for a notebook's cell; None, for which notebooks show the line of text, where jinja2 is not installed."""
        try:
            import_module("jinja2")
        except ImportError:
            return None
        shown: str | None = import_module(_DRAWN_BY).markup(self)
        return shown
