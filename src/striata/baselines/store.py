"""A baseline's two files: what was fitted as JSON, numbers as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from ..disk.documents import Document, Exact, strictly
from ..disk.files import write_bytes
from ..errors import RunError

SETTINGS = "baseline.json"
NUMBERS = "baseline.safetensors"

Tensors = Mapping[str, npt.NDArray[Any]]
Tried = tuple[dict[str, str | int | float], ...]
_ADVICE = "restore the folder from a copy, or delete it and train again"


class Facts(Exact):
    """What every baseline says of itself in `baseline.json`.

    Args:
        labels: how many.
        rows: training rows that were fitted on.
        trainable: how many numbers were fitted.
        tried: what was judged to choose the settings, each with its log loss and accuracy on rows held out.
        notes: what a user should know of the fit, in sentences.
        seconds: wall time of the fit.
    """

    labels: int
    rows: int
    trainable: int
    tried: Tried = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def receipt(self) -> dict[str, Any]:
        """All that does not depend on the machine."""
        return self.model_dump(mode="json", exclude={"seconds", "notes"})


E = TypeVar("E", bound=Exact)
F = TypeVar("F", bound=Facts)


def document(facts: type[E]) -> Document[E]:
    """A document of a baseline, which lies in a sealed folder.

    Args:
        facts: its fields.
    """
    return Document(kind="baseline", parse=strictly(facts), error=RunError, advice=_ADVICE, sealed=True)


def write_baseline(folder: Path, facts: Facts, tensors: Tensors) -> None:
    """Writes both files; see :func:`read_baseline`."""
    from safetensors.numpy import save

    document(type(facts)).write(folder / SETTINGS, facts.model_dump(mode="json"))
    write_bytes(folder / NUMBERS, save({name: np.ascontiguousarray(values) for name, values in tensors.items()}))


def read_baseline(folder: Path, facts: type[F]) -> tuple[F, dict[str, npt.NDArray[Any]]]:
    """What was fitted, and its numbers.

    Raises:
        RunError: a file is missing, damaged, or of another kind of baseline.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = document(facts).read(folder / SETTINGS)
    try:
        return content, load((folder / NUMBERS).read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        refuse(folder, error)


def refuse(folder: Path, error: Exception) -> NoReturn:
    """Raises the error of a folder whose numbers are not what they should be."""
    document(Facts).refuse(folder / NUMBERS, error)
