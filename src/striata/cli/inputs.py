"""What a command reads: looked for before torch is loaded, so that a wrong path is said at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model import Model
    from ..settings import Study
    from ..tasks import Task


def open_model(folder: Path, *sources: str | None, base: Sequence[str] | None = None, device: str, precision: str) -> Model:
    """Opens a run or an ensemble, after a look for the texts that it will read.

    Args:
        folder: of the model.
        sources: files, folders or Hub names; None for one that was not asked for.
        base: where the encoders lie now; None for where they were.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto".

    Raises:
        StriataError: there is no such source or model, or the model cannot be loaded.
    """
    from .. import load
    from ..data import check_source
    from .output import note

    for source in sources:
        if source is not None:
            check_source(source)
    model = load(folder, base=base, device=device, precision=precision)
    model.warn = note
    return model


def coverage_of(task: Task, sets: float | None, intervals: float | None) -> float | None:
    """The coverage of a model's label sets, or of numbers of its intervals; None where neither was asked for.

    Args:
        task: of the model.
        sets: of `--sets`.
        intervals: of `--intervals`.

    Raises:
        DataError: the option is of the other.
    """
    from ..errors import DataError

    if task.numeric and sets is not None:
        raise DataError(f"--sets are sets of labels, and the task is {task.name}; --intervals are what it has")
    if not task.numeric and intervals is not None:
        raise DataError(f"--intervals are of numbers, and the task is {task.name}; --sets are what it has")
    return intervals if task.numeric else sets


def open_study(file: Path, settings: Sequence[str], track: Sequence[str] = ()) -> Study:
    """Reads a study file, and looks for the encoder, the data and the trackers that it names.

    Args:
        file: of the study.
        settings: overrides, KEY=VALUE.
        track: names of trackers.

    Raises:
        StriataError: the study is wrong, or one of them is not there.
    """
    from ..choices import TRACKERS
    from ..data import check_source
    from ..errors import StudyError
    from ..layout import check_base
    from ..settings import load_study

    study = load_study(file, settings)
    for name in track:
        TRACKERS.check(name, StudyError)
    if study.has_encoder:
        check_base(study.base)
    adapted = None if study.adapt is None else study.adapt.unlabelled
    for source in (study.data.train, study.data.validation, study.data.test, study.data.weight_like, adapted):
        if isinstance(source, str):
            check_source(source)
    return study
