"""What a fit was asked for and how long it has taken, kept beside what it writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..disk.documents import Document, Exact, strictly
from ..disk.locks import HeldError, holding
from ..errors import StudyError
from ..training.events import Event, Listener
from .clock import Clock

_FILE = "fit.json"
LOCK = ".fit.lock"
_EVERY = 2.0  # seconds of time that a kill may lose


class _History(Exact):
    request: dict[str, str | int | float | list[str] | None]
    seconds: float
    finishing: float = 0.0


_HISTORY = Document(
    kind="fit", parse=strictly(_History), error=StudyError, advice="delete it, and the time spent before counts no longer"
)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the folder of a fit while the block runs; where nothing was written, no folder is left.

    Raises:
        StudyError: another process fits in it.
        StriataError: the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise StudyError(f"output {folder} is a file; choose a folder")
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(holding(folder / LOCK))
        except HeldError:
            raise StudyError(f"another process is fitting in {folder}; wait for it, or choose another output") from None
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink()
                for place in missing:  # those that are not empty stay
                    place.rmdir()


class History:
    """A fit's request and the seconds it has taken, in `fit.json`.

    Args:
        folder: of the fit.
        request: what is wanted, as JSON values by name; the time may be another than before, nothing else.

    Attributes:
        seconds: that earlier calls took.
        finishing: seconds that are needed after training.

    Raises:
        StudyError: the file cannot be read, or the folder holds the fit of another request.
    """

    def __init__(self, folder: Path, request: Mapping[str, object]) -> None:
        self._file, self._request = folder / _FILE, dict(request)
        self.seconds, self._written, self.finishing = 0.0, 0.0, 0.0
        self.exists, self._minutes = self._file.exists(), None
        if not self.exists:
            return
        before = _HISTORY.read(self._file)
        self._minutes = before.request.get("minutes")
        self.seconds = self._written = before.seconds
        self.finishing = before.finishing
        for key, value in self._request.items():
            if key != "minutes" and before.request.get(key) != value:
                raise StudyError(
                    f"{folder} holds a fit {_with(key, before.request.get(key))}, and this one is {_with(key, value)}; choose "
                    "another output, or delete the folder to begin anew"
                )

    def keep_minutes(self) -> float | None:
        """Keeps the minutes that the request had before, and gives them where it has others now."""
        minutes = self._minutes
        if not isinstance(minutes, int | float) or minutes == self._request.get("minutes"):
            return None
        self._request["minutes"] = minutes
        return minutes

    def write(self, seconds: float) -> None:
        """Keeps the seconds that all calls together have taken."""
        self.exists, self._written = True, seconds
        _HISTORY.write(self._file, {"request": self._request, "seconds": seconds, "finishing": self.finishing})

    @contextlib.contextmanager
    def counting(self, clock: Clock, listen: Listener) -> Iterator[Listener]:
        """Yields a listener that passes everything on, and keeps the time while it hears of something; and at the end."""

        def heard(event: Event) -> None:
            if self.exists and clock.spent - self._written > _EVERY:
                self.write(clock.spent)
            listen(event)

        try:
            yield heard
        finally:
            if self.exists:
                self.write(clock.spent)


def _with(key: str, value: object) -> str:
    return f"without {key}" if value is None else f"with {key} {value!r}"
