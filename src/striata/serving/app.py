"""The application: models behind HTTP, for any ASGI server."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..model import Model
from . import bodies, classify, explanations, inference, page
from .gate import Gate
from .keys import Keys
from .limits import Limits
from .metrics import TYPE
from .refusals import invalid, response_to
from .served import Library, Served, check_name, name_places
from .service import Service

_FIELDS = frozenset(
    name
    for body in (bodies.Question, bodies.WhyQuestion, inference.Inference, inference.Tensor, inference.OutputName)
    for name in body.model_fields
)
_KEY = {"type": "http", "scheme": "bearer"}
Around = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    models: Mapping[str, Model | str | Path] | Sequence[str | Path],
    *,
    base: str | Path | Sequence[str | Path] | None = None,
    device: str = "auto",
    precision: str = "auto",
    keys: Iterable[str] | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """An application that classifies texts over HTTP: `/v1`, the Open Inference Protocol at `/v2`, `/metrics`, and a page at `/`.

    Run it with any ASGI server, in one process; texts that wait are answered together, by one thread.

    Args:
        models: opened models, or folders as :func:`striata.load` takes them, by the names that clients use; or folders alone,
            which are named after themselves or their study, or `NAME=FOLDER`. Models on one encoder hold its weights once.
        base: where encoders lie now; see :func:`striata.load`.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto".
        keys: of which requests have to show one as `Authorization: Bearer KEY`; None for a server that is open to all.
        limits: how much it takes at once; None for the defaults.

    Raises:
        StriataError: a model cannot be loaded, or two have one name.
    """
    named: Mapping[str, Model | str | Path] = models if isinstance(models, Mapping) else name_places(models)
    for name in named:
        check_name(name)
    places = {name: Path(place) for name, place in named.items() if not isinstance(place, Model)}
    library = Library(places, base=base, device=device, precision=precision, tell=logging.getLogger(__name__).warning)
    service = Service(library=library, limits=limits or Limits())
    library.load_all()
    for name, model in named.items():
        if isinstance(model, Model):
            library.add(Served.ready(name, model))
    return application(service, None if keys is None else Keys(keys))


def application(service: Service, keys: Keys | None, around: Around | None = None) -> FastAPI:
    """The application of a service.

    Args:
        service: what answers.
        keys: of which requests have to show one; None for a server that is open to all.
        around: what else goes on while it runs.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.batcher.start()
        try:
            if around is None:
                yield
            else:
                async with around(app):
                    yield
        finally:
            await service.batcher.stop()

    app = FastAPI(
        title="striata",
        version=version("striata"),
        description="Classifies texts.",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refused, RequestValidationError: _invalid},
    )
    app.add_middleware(Gate, keys=keys, limits=service.limits, metrics=service.metrics, tell=service.library.tell)
    app.include_router(classify.routes(service))
    app.include_router(explanations.routes(service))
    app.include_router(inference.routes(service))
    app.include_router(page.routes())

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, 401: classify.PROBLEMS[401]})
    async def metrics() -> Response:
        """Requests, queue, batches, labels and confidences, for Prometheus."""
        return Response(service.metrics.page(), media_type=TYPE)

    app.openapi_schema = _schema(app, keyed=keys is not None)
    return app


async def _refused(request: Request, error: Exception) -> JSONResponse:
    return response_to(error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return response_to(invalid(error.errors(), _FIELDS))


def _schema(app: FastAPI, *, keyed: bool) -> dict[str, Any]:
    """OpenAPI's document, with the keys that the gate asks for."""
    schema = app.openapi()
    if keyed:
        schema["components"]["securitySchemes"] = {"key": _KEY}
        for path, methods in schema["paths"].items():
            if not path.startswith("/v2/health"):
                for operation in methods.values():
                    operation["security"] = [{"key": []}]
    return schema
