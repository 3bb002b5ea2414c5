"""The page at `/`: three files that load nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from ..report.palette import DARK, LIGHT, variables

_TEMPLATES = Path(__file__).parent / "templates"
_POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'",
        "form-action 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Frame-Options": "DENY", "Cache-Control": "no-cache"}


def routes() -> APIRouter:
    """The page and what it loads; left out of OpenAPI."""
    router = APIRouter(include_in_schema=False)
    html, css, script = (_read(name) for name in ("page.html", "page.css", "page.js"))
    themes = f":root{{{variables(LIGHT)}}}@media screen and (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"

    @router.get("/")
    async def page() -> Response:
        """The page."""
        return Response(html, media_type="text/html", headers=_HEADERS)

    @router.get("/page.css")
    async def style() -> Response:
        """Its colours, those of the report, and its style sheet."""
        return Response(themes + css, media_type="text/css", headers=_HEADERS)

    @router.get("/page.js")
    async def behaviour() -> Response:
        """Its script."""
        return Response(script, media_type="text/javascript", headers=_HEADERS)

    return router


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
