"""A packed model that an estimator carries with it."""

from __future__ import annotations

import io
import shutil
import tempfile
import weakref
import zipfile
from pathlib import Path

from .api import load
from .errors import EncoderError
from .model import Model
from .settings.file import NO_ENCODER


class Opened:
    """A model's archive, unpacked once into a folder that goes with this object, and opened."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._place: tuple[str | None, str] | None = None
        self._model: Model | None = None

    def open(self, archive: bytes, base: str | None, device: str) -> Model:
        """The model in an archive, on a device, with its encoder where it was or, where it is not, at `base`."""
        if self._folder is None:
            place = tempfile.mkdtemp(prefix="striata-")
            weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
            with zipfile.ZipFile(io.BytesIO(archive)) as packed:
                packed.extractall(place)  # names that lead out of the folder are made to lie in it, and then refused
            self._folder = Path(place) / "model"
        if self._model is None or self._place != (base, device):
            self._model, self._place = _load(self._folder, base, device), (base, device)
        return self._model


def _load(folder: Path, base: str | None, device: str) -> Model:
    try:
        return load(folder, device=device)
    except EncoderError:
        if base in (None, NO_ENCODER):
            raise
        return load(folder, base=base, device=device)
