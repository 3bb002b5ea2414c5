"""What every request passes first: its key, the length of its body, its time, and the end of every error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .batching import where_of
from .keys import Keys
from .limits import Limits
from .metrics import Metrics
from .refusals import Refusal, response_to

# The page's own files, and what machines ask to know whether the server is there.
_OPEN = frozenset(("/", "/page.css", "/page.js", "/openapi.json", "/v2/health/live", "/v2/health/ready"))
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Gate:
    """Lets requests in, and nothing out that is an error of another form.

    Args:
        app: behind it.
        keys: of which a request has to show one; None for a server that is open to all.
        limits: of bodies and time.
        metrics: that count.
        tell: told in a sentence of an error that nobody foresaw.
    """

    def __init__(self, app: ASGIApp, *, keys: Keys | None, limits: Limits, metrics: Metrics, tell: Callable[[str], None]) -> None:
        self._app, self._keys, self._limits, self._metrics, self._tell = app, keys, limits, metrics, tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        passage = _Passage(receive, send, self._limits.max_bytes)
        try:
            try:
                self._check(scope)
                async with asyncio.timeout(self._limits.timeout):
                    await self._app(scope, passage.receive, passage.send)
            except Refusal as refusal:
                await passage.end(response_to(refusal), scope)
            except TimeoutError:
                await passage.end(response_to(self._late(passage)), scope)
            except Exception as error:  # whatever it is, the server goes on
                self._tell(f"a request failed: {where_of(error)}")
                failure = Refusal(500, "failed", "the server failed at this request; its log says where")
                await passage.end(response_to(failure), scope)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(passage.status or "none")).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begin)

    def _check(self, scope: Scope) -> None:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        if self._keys is not None and scope["path"] not in _OPEN:
            kind, _, shown = headers.get(b"authorization", b"").partition(b" ")
            key = shown.strip() if kind.lower() == b"bearer" else headers.get(b"x-api-key", b"")
            if not self._keys.accept(key):
                message = "expected a key that is known, as `Authorization: Bearer KEY`"
                raise Refusal(401, "no_key", message, headers={"WWW-Authenticate": "Bearer"})
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._limits.max_bytes:
            raise too_long(self._limits.max_bytes)

    def _late(self, passage: _Passage) -> Refusal:
        seconds = f"{self._limits.timeout:g} s"
        if passage.whole:
            return Refusal(504, "late", f"the answer was not ready within {seconds}; come again, or send fewer texts")
        return Refusal(408, "late_body", f"the body did not come within {seconds}", headers={"Connection": "close"})


class _Passage:
    """One request's bytes on their way in, and its response on its way out.

    Args:
        receive: from the client.
        send: to the client.
        most: bytes of a body.
    """

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive, self._send, self._most = receive, send, most
        self._bytes = 0
        self.whole = False
        self.status: int | None = None

    async def receive(self) -> Message:
        """The next part of the body; raises a :class:`Refusal` once there are too many bytes."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            if self._bytes > self._most:
                raise too_long(self._most)
            self.whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Sends a part of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name for name, _ in message.get("headers", ())}
            added = [(name, value) for name, value in _HEADERS if name not in own]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await self._send(message)

    async def end(self, response: Response, scope: Scope) -> None:
        """Sends an error, unless an answer has begun."""
        if self.status is None:
            await response(scope, self.receive, self.send)


def too_long(most: int) -> Refusal:
    """The refusal of a body that is too long."""
    return Refusal(
        413, "too_long", f"the body is longer than {most:,} bytes; send fewer texts at a time", headers={"Connection": "close"}
    )
