"""The application run by uvicorn, from an open port to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ..errors import StriataError
from .app import application
from .keys import Keys
from .service import Service

_WATCHING = 2.0  # seconds between looks at the models' folders
_MANY = 2048  # connections that wait to be accepted


def open_port(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: name or address of this machine.
        port: 0 for any that is free.

    Raises:
        StriataError: the port is in use, or may not be used, or the host is not this machine.
    """
    if not 0 <= port <= 65_535:
        raise StriataError(f"{port} is no port; expected 1 to 65535, or 0 for one that is free", argument="port")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except (OSError, UnicodeError) as error:
        raise StriataError(f"{host} is no address of this machine ({_reason(error)}); give another", argument="host") from error
    # With the protocol's number, by which asyncio knows that answers are not to wait for acknowledgements (Nagle's algorithm).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_MANY)
    except OSError as error:
        listener.close()
        raise StriataError(
            f"{port} cannot be listened on at {host} ({_reason(error)}); give another, or 0 for one that is free", argument="port"
        ) from error
    return listener


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def address_of(listener: socket.socket) -> str:
    """Where a socket listens, as an address for a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """One that says that it is about to end.

    Args:
        config: of uvicorn.
        service: what is served.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends when everything that was accepted is answered."""
        self._service.draining = True
        super().handle_exit(sig, frame)


def serve(
    service: Service,
    listener: socket.socket,
    *,
    keys: Keys | None = None,
    watch: bool = False,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serves until SIGTERM or Ctrl-C; what was accepted by then is answered first.

    Args:
        service: whose models are loaded meanwhile.
        listener: from :func:`open_port`.
        keys: of which requests have to show one; None for a server that is open to all.
        watch: whether models that are replaced in their folders are taken into use.
        ready: called when all models are loaded.

    Raises:
        StriataError: a model cannot be loaded.
    """
    failures: list[BaseException] = []

    async def load() -> None:
        try:
            await asyncio.to_thread(service.library.load_all)
        except Exception as error:
            failures.append(error)
            server.should_exit = True
            return
        ready()
        while watch:
            await asyncio.sleep(_WATCHING)
            await asyncio.to_thread(service.library.renew)

    @contextlib.asynccontextmanager
    async def loading(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(load())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app = application(service, keys, loading)
    config = uvicorn.Config(app, log_config=None, log_level="critical", access_log=False, server_header=False, backlog=_MANY)
    server = _Server(config, service)
    for end in (signal.SIGTERM, signal.SIGINT):  # what uvicorn hands on once it has ended
        signal.signal(end, lambda *_: None)
    server.run(sockets=[listener])
    if failures:
        raise failures[0]
