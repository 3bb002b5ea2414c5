"""Messages from tasks to who waits for them, gathered in one place; none of them is needed for the work to go on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..training.events import Event, Listener

_EVERY = 0.5  # seconds between two messages of one task


class Mailbox:
    """Keeps messages until they are fetched; an actor."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, Event]] = []

    def post(self, sender: str, events: list[Event]) -> None:
        """Takes events of a task."""
        self._messages += [(sender, event) for event in events]

    def fetch(self) -> list[tuple[str, Event]]:
        """All that was posted since the last call, with its senders."""
        messages, self._messages = self._messages, []
        return messages


def open_mailbox() -> Any:
    """A mailbox beside this process."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(Mailbox).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()


class Posting:
    """A listener that posts what it is told; of a member's steps since the last message only the latest.

    Args:
        post: sends events; returns a reference that is ready when they have arrived.
        is_ready: whether a reference is.
        now: the time in seconds; another one in tests.
    """

    def __init__(
        self, post: Callable[[list[Event]], Any], is_ready: Callable[[Any], bool], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._post, self._is_ready, self._now = post, is_ready, now
        self._waiting: dict[object, Event] = {}
        self._under_way: Any = None
        self._sent = float("-inf")

    def __call__(self, event: Event) -> None:
        """Is told of an event."""
        key = (event.kind, event.member) if event.kind in ("step", "adapting") else object()
        self._waiting.pop(key, None)
        self._waiting[key] = event
        if self._now() - self._sent >= _EVERY and (self._under_way is None or self._is_ready(self._under_way)):
            self.flush()

    def flush(self) -> None:
        """Posts what waits."""
        if self._waiting:
            self._under_way = self._post(list(self._waiting.values()))
            self._waiting, self._sent = {}, self._now()


def posting(mailbox: Any, sender: str) -> Posting:
    """A task's listener that posts to a mailbox, and goes on without one that has died."""
    import ray

    def post(events: list[Event]) -> Any:
        with contextlib.suppress(ray.exceptions.RayError):
            return mailbox.post.remote(sender, events)

    def is_ready(reference: Any) -> bool:
        return bool(ray.wait([reference], timeout=0)[0])

    return Posting(post, is_ready)


class Gathering:
    """Passes on what several tasks say as if one said it: the time left is that of the slowest, notes have their senders.

    Args:
        listen: is told.
        several: whether there is more than one sender.
    """

    def __init__(self, listen: Listener, *, several: bool) -> None:
        self._listen, self._several = listen, several
        self._left: dict[str, float] = {}

    def take(self, sender: str, event: Event) -> None:
        """Learns of a task's event."""
        if event.seconds_left is not None:
            self._left[sender] = event.seconds_left
            event = replace(event, seconds_left=max(self._left.values()))
        if self._several and event.kind in ("note", "doing"):
            event = replace(event, message=f"{sender}: {event.message}")
        self._listen(event)

    def ended(self, sender: str) -> None:
        """Forgets a task that is through."""
        self._left.pop(sender, None)

    def fetch(self, mailbox: Any) -> None:
        """Passes on what lies in a mailbox; nothing where it has died, and is made anew."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            for sender, event in ray.get(mailbox.fetch.remote(), timeout=10):
                self.take(sender, event)
