"""A model written as a pack: one folder or archive that opens on another machine."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..data import Tokenizer
from ..disk.sealed import CARD, NAME, sealing
from ..disk.system import confirm, writing
from ..disk.workplace import workplace
from ..ensemble import Ensemble, copy_ensemble
from ..errors import RunError, StriataError
from ..runs import Run
from .opening import Bases, open_folder
from .packs import FILE, KIND, PACK, PackContent, PackedEncoder, archive_ending

_LEGAL = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt")


def write_pack(folder: str | Path, out: str | Path, *, encoder: bool = True, base: Bases | None = None) -> Path:
    """Writes a model with all that it needs; see :func:`striata.pack`."""
    source, target = Path(folder), Path(out)
    if os.path.lexists(target):
        raise StriataError(f"{target} is there already; give another name, or delete it", argument="out", path=str(target))
    opened = open_folder(source, base)
    source = opened.path
    for place in (source, *(run.path for run in opened.runs.values())):
        if target.resolve().is_relative_to(place.resolve()):
            raise StriataError(
                f"{target} is inside of {place}, which holds what it was written with; give another", argument="out"
            )
    ending = archive_ending(target)
    if ending is None:
        _write_folder(target, source, opened.source, opened.runs, encoder)
        return target
    with writing(target), workplace(target) as place:
        name = target.name[: -len(ending)]
        _write_folder(place / name, source, opened.source, opened.runs, encoder)
        archive = place / "archive"
        _archive(place / name, archive, zipped=ending == ".zip")
        shutil.rmtree(place / name)
        with open(archive, "rb+") as file:
            os.fsync(file.fileno())
        archive.chmod(0o644)
        archive.rename(target)
        confirm(target)
    return target


def _write_folder(path: Path, source: Path, model: Run | Ensemble, runs: Mapping[str, Run], weights: bool) -> None:
    with sealing(path, KIND) as folder:
        places = {name: f"runs/{name}" for name in runs}
        for name, run in runs.items():
            copy = folder / places[name]
            copy.mkdir(parents=True)
            run.seal.copy(copy)
            shutil.copyfile(run.path / NAME, copy / NAME)
            if Run.load(copy).checksum != run.checksum:
                raise RunError(f"run {run.path} was replaced while it was read; run the command again", path=str(run.path))
        if isinstance(model, Run):
            (inside,) = places.values()
        else:
            inside = "ensemble"
            copy_ensemble(model, folder / inside, {name: f"../{place}" for name, place in places.items()})
        content = PackContent(model=inside, encoders=_copy_encoders(folder, runs.values(), weights))
        PACK.write(folder / FILE, content.model_dump(mode="json"))
        if (source / CARD).is_file():
            shutil.copyfile(source / CARD, folder / CARD)


def _copy_encoders(folder: Path, runs: Iterable[Run], weights: bool) -> tuple[PackedEncoder, ...]:
    """Copies each encoder of some runs into a pack."""
    packed: dict[tuple[str, str], PackedEncoder] = {}
    for run in runs:
        facts = run.facts
        if facts.base is None or facts.base_sha256 is None or facts.tokenizer_sha256 is None:
            continue
        key = facts.base_sha256, facts.tokenizer_sha256
        if key in packed:
            continue
        taken = {encoder.folder for encoder in packed.values()}
        name = Path(facts.base).name or "encoder"
        place = next(
            way for at in range(1, len(taken) + 2) if (way := f"encoders/{name}" + (f"-{at}" if at > 1 else "")) not in taken
        )
        (folder / place).mkdir(parents=True)
        _copy_encoder(folder / place, run, weights)
        packed[key] = PackedEncoder(name=facts.base, folder=place, sha256=key[0], tokenizer_sha256=key[1], weights=weights)
    return tuple(packed.values())


def _copy_encoder(folder: Path, run: Run, weights: bool) -> None:
    """Copies the configuration and the tokenizer of a run's encoder, and its weights, and compares them with the run's.

    Raises:
        RunError: they are not those that the run was trained with.
        EncoderError: one is missing.
    """
    from ..engine.loading import companion_files, fingerprint, weight_files

    base, words, facts = run.base, run.tokenizer_base, run.facts
    assert base is not None
    assert words is not None
    assert facts.max_length is not None
    tokenizer = Tokenizer.load(words, facts.max_length)
    files = companion_files(words, ("config.json",), needed=True) | dict(tokenizer.files)
    files |= companion_files(base, _LEGAL, needed=False)
    for name, file in files.items():
        shutil.copyfile(file, folder / name)
    if Tokenizer.load(str(folder), facts.max_length).sha256 != facts.tokenizer_sha256:
        raise RunError(
            f"run {run.path} was trained with another tokenizer than that of {words}; give it the same tokenizer files"
        )
    if not weights:
        return
    sources = weight_files(base)
    for file in sources:
        shutil.copyfile(file, folder / file.name)
    index = companion_files(base, ("model.safetensors.index.json",), needed=False) if len(sources) > 1 else {}
    for name, file in index.items():
        shutil.copyfile(file, folder / name)
    if fingerprint(weight_files(str(folder))) != facts.base_sha256:
        raise RunError(f"run {run.path} was trained on other weights than those of {base}; give it the same encoder")


def _archive(folder: Path, path: Path, *, zipped: bool) -> None:
    """A folder as an archive that unpacks into a folder of its name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    names = [f"{folder.name}/{file.relative_to(folder).as_posix()}" for file in files]
    if zipped:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for file, name in zip(files, names, strict=True):
                archive.write(file, name)
        return
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file, name in zip(files, names, strict=True):
            archive.add(file, name, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file of an archive without who packed it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
