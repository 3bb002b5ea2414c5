"""Packs: a model in one folder, with the runs, tokenizers and encoders that it needs.

::

    pack.json            which folder is the model, and where its encoders lie
    ensemble/            the ensemble, where it is one
    runs/NAME/           its runs, byte for byte
    encoders/NAME/       configuration, tokenizer and, unless they were left out, weights
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from ..disk.documents import Document, Exact, strictly
from ..disk.sealed import open_seal
from ..errors import StriataError
from ..runs import Run

KIND = "pack"
FILE = "pack.json"
ARCHIVES = (".zip", ".tar.gz", ".tgz")


def _inside(name: str) -> str:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
        raise ValueError(f"{name} is outside of the pack")
    return name


Inside = Annotated[str, AfterValidator(_inside)]


class PackedEncoder(Exact):
    """An encoder in a pack.

    Args:
        name: what the runs call it, a folder or a Hub name.
        folder: where it lies in the pack.
        sha256: over its weights.
        tokenizer_sha256: over the files of its tokenizer.
        weights: whether these are in the pack too.
    """

    name: str
    folder: Inside
    sha256: str
    tokenizer_sha256: str
    weights: bool


class PackContent(Exact):
    """What `pack.json` says.

    Args:
        model: the folder of the run or the ensemble, in the pack.
        encoders: of its runs.
    """

    model: Inside
    encoders: tuple[PackedEncoder, ...]


PACK = Document(
    kind=KIND, parse=strictly(PackContent), error=StriataError, advice="pack the model again with `striata pack`", sealed=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack, opened.

    Args:
        path: its folder.
        content: what it says of itself.
    """

    path: Path
    content: PackContent

    @property
    def model(self) -> Path:
        """Folder of the run or the ensemble."""
        return self.path / self.content.model

    def place(self, run: Run) -> Run:
        """A run of the pack, with the places of its encoder and its tokenizer in the pack."""
        for encoder in self.content.encoders:
            if (encoder.sha256, encoder.tokenizer_sha256) == (run.facts.base_sha256, run.facts.tokenizer_sha256):
                place = str(self.path / encoder.folder)
                return replace(run, encoder_at=place if encoder.weights else None, tokenizer_at=place)
        return run


def is_pack(path: Path) -> bool:
    """Whether a folder is a pack, sound or not."""
    return (path / FILE).is_file()


def open_pack(path: Path) -> Pack:
    """Opens a pack; its runs and encoders are checked where they are opened.

    Raises:
        StriataError: it is unfinished or damaged.
    """
    seal = open_seal(path, KIND, StriataError)
    return Pack(path=path, content=seal.read(FILE, PACK.read))


def archive_ending(path: Path) -> str | None:
    """The ending by which a name is that of an archive; None for a folder's."""
    return next((ending for ending in ARCHIVES if path.name.lower().endswith(ending)), None)


def refuse_archive(path: Path) -> None:
    """Refuses a pack that is still an archive.

    Raises:
        StriataError: says how to unpack it.
    """
    ending = archive_ending(path)
    if ending is None or not path.is_file():
        return
    command = "python -m zipfile -e" if ending == ".zip" else "tar -xzf"
    tail = " ." if ending == ".zip" else ""
    folder = path.name[: -len(ending)]
    raise StriataError(
        f"{path} is an archive; unpack it with `{command} {path}{tail}` and give the folder {folder} that comes out",
        path=str(path),
    )
