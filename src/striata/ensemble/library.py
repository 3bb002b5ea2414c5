"""The runs that an ensemble is chosen from: those of one study, or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import EnsembleError
from ..runs import Run, StudyFolder
from ..runs.joined import Pool, join
from ..runs.refusal import accepted

LEAST = 30  # validation rows that several studies share; with fewer nothing can be chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Runs and the validation rows that all of them have.

    Args:
        runs: by name; runs of several studies by `STUDY/RUN`, with as much of each study's path as tells them apart.
        pool: the runs on their common rows.
        studies: number of validation rows of each study, by its name.
    """

    runs: Mapping[str, Run]
    pool: Pool
    studies: Mapping[str, int]


def open_library(paths: Sequence[str | Path]) -> Library:
    """Gathers all finished runs of studies, but for those that the validation check refuses.

    Runs of one study, or of several over the same data, are joined by row number; others by their texts, on the rows that every
    study was validated on.

    Args:
        paths: folders of one or more studies.

    Raises:
        StudyError: a folder is no study's.
        RunError: a run is damaged, or runs cannot be joined.
        EnsembleError: a folder is given twice, or the studies share too few validation rows.
    """
    folders = [StudyFolder.open(path) for path in paths]
    names = study_names([folder.path for folder in folders])
    by_study = {name: accepted(folder.runs()) for name, folder in zip(names, folders, strict=True)}
    if len(folders) == 1:
        runs = {run.name: run for own in by_study.values() for run in own}
    else:
        runs = {f"{name}/{run.name}": run for name, own in by_study.items() for run in own}
    pool = join(runs, across=len(folders) > 1)
    studies = {name: len(own[0].validation().ids) for name, own in by_study.items() if own}
    if len(studies) > 1 and len(pool.ids) < LEAST:
        sizes = ", ".join(f"{rows:,} of {name}" for name, rows in studies.items())
        raise EnsembleError(
            f"only {len(pool.ids):,} validation rows are in every study ({sizes}); expected at least {LEAST}; train them with "
            "the same validation file, or with the same data and data.seed"
        )
    return Library(runs=runs, pool=pool, studies=studies)


def study_names(paths: Sequence[Path]) -> list[str]:
    """What studies are called: the last parts of their paths, as many as tell them apart.

    Raises:
        EnsembleError: a folder is given twice.
    """
    parts = [path.resolve().parts for path in paths]
    for at, own in enumerate(parts):
        if own in parts[:at]:
            raise EnsembleError(f"study {paths[at]} is given twice; give each study once")
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            break
    return names
