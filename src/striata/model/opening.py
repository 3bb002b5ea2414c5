"""What a folder that predicts holds, and where the encoders of its runs lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..disk.paths import is_folder
from ..downloads import fetch_model
from ..ensemble import Combiner, Ensemble, load_ensemble
from ..errors import EncoderError, RunError
from ..layout import check_base
from ..runs import Run
from ..runs.standings import find_model
from ..runs.study_folder import find_run
from .packs import is_pack, open_pack, refuse_archive

Bases = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A run or an ensemble, opened.

    Args:
        path: its folder.
        runs: the members by name, each with the place of its encoder.
        combiner: what is done with their logits.
        source: whose validation rows calibrate it.
    """

    path: Path
    runs: Mapping[str, Run]
    combiner: Combiner
    source: Run | Ensemble


def open_folder(path: Path, base: Bases | None = None) -> Opened:
    """Opens the folder of a run, an ensemble, a study or a pack; loads no weights.

    Args:
        path: of the folder, or a model of the Hub as :func:`striata.downloads.fetch_model` takes it.
        base: where encoders lie now, folders or Hub names; None for where they were, or in the pack.

    Raises:
        StudyError: a study has no finished run.
        RunError: a run is missing, unfinished or damaged, or its encoder has other weights than the one that was given.
        EnsembleError: the ensemble is damaged or its runs do not belong together.
        EncoderError: an encoder is not there.
        StriataError: a pack is damaged, or still an archive.
    """
    path = fetch_model(path)
    refuse_archive(path)
    path = find_model(path)
    pack = open_pack(path) if is_pack(path) else None
    opened = _open(path if pack is None else pack.model)
    runs = opened.runs if pack is None else {name: pack.place(run) for name, run in opened.runs.items()}
    bases = [base] if isinstance(base, str | Path) else list(base or ())
    return replace(opened, path=path, runs=place_encoders(runs, [str(place) for place in bases]))


def _open(path: Path) -> Opened:
    if (path / "ensemble.json").is_file():
        ensemble = load_ensemble(path)
        return Opened(path=path, runs=ensemble.runs, combiner=ensemble.combiner, source=ensemble)
    run = find_run(path)
    return Opened(path=path, runs={run.name: run}, combiner=Combiner(kind="logits", weights={run.name: 1.0}), source=run)


def place_encoders(runs: Mapping[str, Run], bases: Sequence[str]) -> dict[str, Run]:
    """The runs, each with the place of its encoder: one that is given and has its weights, or else where it was.

    Args:
        runs: by name.
        bases: places of encoders, folders or Hub names.

    Raises:
        RunError: none of the runs was trained on the weights of one of the encoders.
        EncoderError: an encoder is not there.
    """
    for base in bases:
        check_base(base)
    needed = {str(run.facts.base_sha256): run for run in runs.values() if run.base is not None}
    places = {_weights_of(base, needed): base for base in bases}
    for sha256, run in needed.items():
        if sha256 not in places:
            places[sha256] = _place_of(other for other in runs.values() if other.facts.base_sha256 == run.facts.base_sha256)
    return {
        name: run if run.base is None else replace(run, encoder_at=places[str(run.facts.base_sha256)])
        for name, run in runs.items()
    }


def _weights_of(base: str, needed: Mapping[str, Run]) -> str:
    """SHA-256 of the weights of an encoder, which some run was trained on."""
    if not needed:
        raise RunError(f"{base} is of no use: no member has an encoder; leave it out", argument="base")
    from ..engine.loading import fingerprint, weight_files

    sha256 = fingerprint(weight_files(base))
    if sha256 not in needed:
        names = ", ".join(f"{key[:12]}... of run {run.name}" for key, run in needed.items())
        raise RunError(
            f"{base} has other weights than those that were trained on (SHA-256 {sha256[:12]}..., expected {names}); give the "
            "same encoder",
            argument="base",
        )
    return sha256


def _place_of(runs: Iterable[Run]) -> str:
    """Where the one encoder of some runs lies, by what they say themselves.

    Raises:
        EncoderError: at none of these places.
    """
    names = {str(run.base): run.name for run in runs}
    for base in names:
        if is_folder(Path(base).expanduser()):
            return base
    base, name = next(iter(names.items()))
    try:
        check_base(base)
        from ..engine.loading import weight_files  # loads torch, for which a path where nothing is need not wait

        weight_files(base)
    except EncoderError as error:
        raise EncoderError(
            f"is missing: run {name} was trained on an encoder that is not where it was ({error}); say where it lies now",
            argument="base",
            path=base,
        ) from error
    return base
