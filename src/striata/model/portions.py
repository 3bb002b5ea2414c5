"""Logits of a file's rows in portions, each with its place and digests: none is lost, out of place, damaged or of other texts
unseen."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..disk.documents import Document
from ..disk.system import writing
from ..errors import DataError

_JOB: Document[dict[str, Any]] = Document(
    kind="prediction job", parse=dict, error=DataError, advice="delete its folder, and the prediction starts anew"
)
_NOTE = "job.json"
_ENDING = ".logits"
_HEADER = 24  # bytes: first row, rows, labels
_DIGEST = hashlib.sha256().digest_size  # of the texts, behind the header, and of everything before it, at the end
_Floats = npt.NDArray[np.float32]


def portions_in(folder: Path) -> int:
    """How many portions lie in a folder, good or not; 0 where there is none."""
    return sum(1 for _ in folder.glob(f"*{_ENDING}"))


@dataclass(slots=True)
class Portions:
    """The portions of one job in its folder, which is held while they are used; see :mod:`striata.disk.locks`.

    Args:
        folder: exists.
        rows: how many are done, from row 0 on without a gap.
    """

    folder: Path
    rows: int = 0

    @classmethod
    def open(cls, folder: Path, job: Mapping[str, Any]) -> Portions:
        """What an earlier call of the same job has done; from the first portion on that is missing or damaged, nothing is.

        Args:
            folder: of the portions; those of another job, and those behind a bad one, are deleted.
            job: what has to be the same.

        Raises:
            StriataError: the folder cannot be written.
        """
        with writing(folder):
            portions = cls(folder)
            if not portions._is_of(job):
                portions._drop()
                _JOB.write(folder / _NOTE, job)
            while portions._file.exists():
                try:
                    portions.rows += len(portions._read(portions.rows)[0])
                except DataError:
                    break
            portions._drop()
            return portions

    def add(self, logits: _Floats, texts: bytes) -> None:
        """Writes the next rows' logits, (rows, labels), and the SHA-256 of their texts.

        Raises:
            StriataError: the disk is full, or the folder is gone or cannot be written.
        """
        header = np.array([self.rows, *logits.shape], np.int64).tobytes()
        content = header + texts + np.ascontiguousarray(logits, np.float32).tobytes()
        with writing(self._file), open(self._file, "wb") as file:  # what is cut off has no digest, and is no portion
            file.write(content + hashlib.sha256(content).digest())
            file.flush()
            os.fsync(file.fileno())
        self.rows += len(logits)

    def read(self) -> Iterator[tuple[_Floats, bytes]]:
        """The logits of each portion and the SHA-256 of its texts, all rows in their order.

        Raises:
            DataError: a portion has been damaged or deleted since it was written.
        """
        row = 0
        while row < self.rows:
            logits, texts = self._read(row)
            yield logits, texts
            row += len(logits)

    def forget(self, row: int) -> None:
        """Deletes the portions from a row on, which is the first one of a portion."""
        self.rows = row
        self._drop()

    @property
    def _file(self) -> Path:
        """Of the portion that comes next."""
        return self._name(self.rows)

    def _name(self, row: int) -> Path:
        return self.folder / f"{row:012}{_ENDING}"

    def _read(self, row: int) -> tuple[_Floats, bytes]:
        try:
            data = self._name(row).read_bytes()
        except OSError:
            data = b""
        content, digest = data[:-_DIGEST], data[-_DIGEST:]
        if len(content) > _HEADER + _DIGEST and hashlib.sha256(content).digest() == digest:
            first, rows, labels = np.frombuffer(content, np.int64, 3)
            if first == row and rows > 0:
                logits = np.frombuffer(content, np.float32, offset=_HEADER + _DIGEST).reshape(rows, labels)
                return logits, content[_HEADER : _HEADER + _DIGEST]
        raise DataError(
            f"what was predicted of the rows from {row:,} on is damaged or gone in {self.folder}; run the same command again, "
            "which predicts them anew"
        )

    def _is_of(self, job: Mapping[str, Any]) -> bool:
        try:
            return bool(_JOB.read(self.folder / _NOTE) == json.loads(json.dumps(job)))
        except DataError:
            return False

    def _drop(self) -> None:
        """Deletes the portions from the next one on."""
        for file in self.folder.glob(f"*{_ENDING}"):
            if file.name >= self._file.name:
                file.unlink()
