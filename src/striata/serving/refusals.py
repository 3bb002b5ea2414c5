"""The one form of every answer that is an error. It names what was wrong and where, and repeats nothing that a client sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

_CODES = {
    400: ("bad_request", "the body is no JSON; expected one JSON object"),
    404: ("not_found", "there is no such address; /openapi.json lists them"),
    405: ("wrong_method", "this address does not take this method; /openapi.json lists those that it takes"),
}


class Problem(BaseModel):
    """What every error looks like."""

    error: str = Field(description="One sentence: what was wrong, and what was expected.")
    code: str = Field(description="For programs, such as `queue_full`.")
    field: str | None = Field(None, description="Where in the body, such as `texts[3]`.")


class Refusal(HTTPException):
    """A request that gets no answer.

    Args:
        status: of HTTP.
        code: for programs.
        message: one sentence, without anything that the client sent.
        field: where in the body.
        headers: of the response.
    """

    def __init__(
        self, status: int, code: str, message: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.code, self.field = code, field


def response_to(error: Exception) -> JSONResponse:
    """The response of a refusal, or of what the framework raises in the place of one."""
    if isinstance(error, Refusal):
        return _response(error.status_code, error.code, str(error.detail), error.field, error.headers)
    status = int(getattr(error, "status_code", 500))
    code, message = _CODES.get(status, ("error", "the request was refused"))
    return _response(status, code, message, None, getattr(error, "headers", None))


def _response(status: int, code: str, message: str, field: str | None, headers: Mapping[str, str] | None) -> JSONResponse:
    return JSONResponse(Problem(error=message, code=code, field=field).model_dump(), status, dict(headers or {}))


def invalid(errors: Sequence[Mapping[str, Any]], known: frozenset[str]) -> Refusal:
    """The refusal of a body that is not what was expected.

    Args:
        errors: from pydantic; the first is told.
        known: names of fields; what else stands in the place of one comes from the client, and is not repeated.
    """
    first = errors[0]
    if first["type"] == "json_invalid":
        return Refusal(422, "invalid_json", f"the body is no JSON from its character {first['loc'][-1]} on; expected an object")
    parts = [part for part in first["loc"][1:] if isinstance(part, int) or part in known]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".") or None
    if first["type"] == "extra_forbidden":
        message = f"{field or 'the body'} has a key that is not known; expected those of /openapi.json"
    else:
        message = f"{field or 'the body'}: {first['msg'].removeprefix('Value error, ').removeprefix('Input ')}"
    return Refusal(422, "invalid", message, field=field)
