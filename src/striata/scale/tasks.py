"""Tasks of a cluster, begun again when their worker dies, until all are through."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any

from ..errors import ClusterError, StriataError

DEATHS = 3  # of a task's workers, one after the other without progress between them, after which it is given up
_TICK = 0.5  # seconds between two looks for what has been posted
_PATIENCE = 60.0  # seconds that tasks have to save what they did when they are told to stop


def complete(
    names: Iterable[str],
    begin: Callable[[str], Any],
    *,
    at_once: int,
    progress: Callable[[str], object],
    died: Callable[[str, str], None],
    tick: Callable[[], None] = lambda: None,
) -> Generator[tuple[str, Any], None, None]:
    """Yields each task's name and result as it ends; where the block that takes them is left early, the rest are told to stop.

    Args:
        names: of the tasks, in the order in which they begin.
        begin: begins one, and returns Ray's reference of its result. A result that is a StriataError is raised.
        at_once: how many are handed to Ray at one time, at most.
        progress: stands for how far a task has come; a worker that dies counts only while this stays the same.
        died: told of a task's name and of the reason when its worker has died, before it begins again.
        tick: called about twice a second meanwhile.

    Raises:
        ClusterError: a task's workers died three times without progress.
        StriataError: what a task returned.
    """
    import ray

    waiting, running = deque(names), dict[Any, str]()
    deaths: dict[str, tuple[int, object]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                name = waiting.popleft()
                running[begin(name)] = name
            done, _ = ray.wait(list(running), num_returns=1, timeout=_TICK)
            tick()
            for reference in done:
                name = running.pop(reference)
                try:
                    result = ray.get(reference)
                except ray.exceptions.RayTaskError:  # a mistake in the code, which would happen again
                    raise
                except ray.exceptions.RayError as error:
                    reason = " ".join(str(error).split())[:300] or type(error).__name__
                    deaths[name] = _count(deaths.get(name), progress(name), name, reason)
                    died(name, reason)
                    waiting.append(name)
                    continue
                if isinstance(result, StriataError):
                    raise result
                yield name, result
    finally:
        _stop(list(running))


def _count(before: tuple[int, object] | None, progress: object, name: str, reason: str) -> tuple[int, object]:
    """How often the workers of a task have died since it last made progress, this time included."""
    count = 1 if before is None or before[1] != progress else before[0] + 1
    if count >= DEATHS:
        raise ClusterError(
            f"the worker of {name} died {count} times without progress, at last so: {reason}; give it more memory (`cores`, "
            "`stacks`), or look at the machine with `ray status`, and run the same again to go on"
        )
    return count, progress


def _stop(references: list[Any]) -> None:
    """Tells tasks to save what they did, and waits until they have."""
    import ray

    with contextlib.suppress(Exception):  # the cluster may be what has ended
        for reference in references:
            ray.cancel(reference, force=False)
        if references:
            ray.wait(references, num_returns=len(references), timeout=_PATIENCE)
