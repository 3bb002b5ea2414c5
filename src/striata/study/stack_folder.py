"""A stack's folder in a study's: who is in the stack, the file it goes on from, and the lock of who trains it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..disk.documents import Document, Exact, strictly
from ..disk.locks import HeldError, holding, remove_held
from ..errors import StudyError
from ..runs import Member, StudyFolder

if TYPE_CHECKING:
    from ..training.state import TraineeState

SEARCH = "search"  # the first rolling stack of a search
_MEMBERS = "stack.json"


class BusyError(StudyError):
    """Another process trains a stack, or has trained it or planned it anew meanwhile."""


class _Stack(Exact):
    members: tuple[str, ...]


_STACK = Document(
    kind="stack",
    parse=strictly(_Stack),
    error=StudyError,
    advice="delete its folder to plan anew the members that are not finished",
)


@dataclass(frozen=True, slots=True)
class StackFolder:
    """A stack that is planned or under training; the folder goes when its last member has ended.

    Args:
        path: of the folder.
    """

    path: Path

    @classmethod
    def new(cls, study: StudyFolder, members: Sequence[Member]) -> StackFolder:
        """Writes down that these members are to train together; equal members make an equal name."""
        names = [member.name for member in members]
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        folder = cls(study.stacks / f"stack-{digest[:8]}")
        _STACK.write(folder.path / _MEMBERS, {"members": names})
        return folder

    @property
    def name(self) -> str:
        """Of the stack."""
        return self.path.name

    @property
    def checkpoint(self) -> Path:
        """The file from which the stack goes on, replaced in one step at every evaluation."""
        return self.path / "checkpoint.safetensors"

    @property
    def is_planned(self) -> bool:
        """Whether it has members; a stack that has ended, or was planned otherwise, has none."""
        return (self.path / _MEMBERS).is_file()

    def members(self) -> tuple[str, ...]:
        """Names of those it was planned with.

        Raises:
            StudyError: they cannot be read.
        """
        return _STACK.read(self.path / _MEMBERS).members

    def states(self) -> list[TraineeState]:
        """What the checkpoint says of each member in it, in its order; empty without a checkpoint.

        Raises:
            RunError: it is damaged.
        """
        if not self.checkpoint.exists():
            return []
        from ..training.state import read_checkpoint

        return read_checkpoint(self.checkpoint)[0]

    def resumed(self, members: Mapping[str, Member]) -> list[Member]:
        """The members that the checkpoint holds, in its order; empty without a checkpoint.

        Args:
            members: those of the study, by name.

        Raises:
            StudyError: it holds others.
            RunError: it is damaged.
        """
        states = self.states()
        if any(state.name not in members or members[state.name].plan.hash != state.plan for state in states):
            raise StudyError(f"checkpoint {self.checkpoint} belongs to other members; delete it to start them anew")
        return [members[state.name] for state in states]

    @property
    def lock(self) -> Path:
        """The file that whoever trains it, or plans it anew, holds; see :mod:`striata.disk.locks`."""
        return self.path / ".lock"

    def busy(self) -> BusyError:
        """What to say when another process trains it."""
        place = f"{self.path.parent.parent} (stack {self.name})"
        return BusyError(f"another process is training in {place}; wait for it, or choose another output")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the stack while the block runs.

        Raises:
            BusyError: another process trains it.
        """
        with contextlib.ExitStack() as locks:
            try:
                locks.enter_context(holding(self.lock))
            except HeldError:
                raise self.busy() from None
            yield

    def remove(self) -> None:
        """Removes the folder, checkpoint and all; it is held."""
        (self.path / _MEMBERS).unlink(missing_ok=True)
        remove_held(self.lock)
        remove_empty(self.path.parent)  # the last one takes the folder of all stacks along


def remove_empty(stacks: Path) -> None:
    """Removes the folder of all stacks if none is in it."""
    with contextlib.suppress(OSError):
        stacks.rmdir()


def stack_folders(study: StudyFolder) -> list[StackFolder]:
    """The stacks of a study that have not ended, by name."""
    folders = sorted(path for path in study.stacks.iterdir() if path.is_dir()) if study.stacks.is_dir() else []
    return [StackFolder(path) for path in folders]
