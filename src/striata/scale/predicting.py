"""Many files predicted by the machines of a Ray cluster: every file is a task, on a folder that all of them see."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..data.remote import is_remote
from ..disk.documents import Document
from ..errors import ClusterError, DataError, StriataError
from ..model import Model
from ..model.finished import NOTES, File
from ..model.many_files import predict_once, wait_for
from ..model.portions import portions_in
from ..model.whole_file import BeingWrittenError, lock_of
from .cluster import check_shared, connected
from .dealing import device_of, places_of
from .tasks import complete

_JOB: Document[dict[str, Any]] = Document(kind="prediction of files", parse=dict, error=DataError, advice="delete it")
_BUSY = -1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model lies, and how it is opened.

    Args:
        folder: of the model.
        bases: where encoders lie; None for where they were.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto".
        weights: of the model that has to be there; see :func:`weights_of`.
    """

    folder: str
    bases: tuple[str, ...] | None
    device: str
    precision: str
    weights: str


def predict_on_cluster(
    place: Place,
    files: Sequence[File],
    options: Mapping[str, Any],
    address: str,
    *,
    out: Path | str,
    cores: int = 1,
    progress: Callable[[int], None] = lambda _: None,
    remark: Callable[[str], None] = lambda _: None,
) -> int:
    """As :func:`striata.model.many_files.predict_files`, by a cluster. A worker opens the model once, for all its files.

    Args:
        place: of the model, which all machines see.
        files: from :func:`striata.model.many_files.files_of`; all machines see the sources.
        options: of :func:`striata.model.whole_file.predict_file`.
        address: of the cluster; see :func:`striata.scale.connected`.
        out: where is written: a folder, which all machines see, or an address.
        cores: of a task; where there are GPUs, a task has one of them.
        progress: told how many rows are done, of all files.
        remark: told when a worker has died.

    Returns:
        The number of rows.

    Raises:
        ClusterError: no cluster answers, a machine of it lacks something, or workers die without progress.
        StriataError: a file cannot be predicted, or not be written.
    """
    note = None if is_remote(str(out)) else Path(out) / NOTES / ".job.json"
    if note is not None:
        _JOB.write(note, {"model": place.weights, "files": len(files)})
    with connected(address, "a cluster") as machines:
        if note is not None:
            check_shared(machines, note)
        places = places_of(machines, cores=cores, gpu=place.device != "cpu")
        place = replace(place, device=device_of(place.device, places.gpus))
        tasks = _Tasks(place, options, cores, places.gpus, 2 * places.count, remark)
        return tasks.until_finished(files, progress)


class _Tasks:
    """Files handed to a cluster, round after round, until none is left."""

    def __init__(
        self, place: Place, options: Mapping[str, Any], cores: int, gpus: int, at_once: int, remark: Callable[[str], None]
    ) -> None:
        import ray

        self._task = ray.remote(predict_one)
        self._share = {"num_cpus": cores, "num_gpus": gpus, "max_retries": 0}
        self._settings = (ray.put((place, dict(options))), cores, str(Path.cwd()))
        self._at_once, self._remark = at_once, remark

    def until_finished(self, files: Sequence[File], progress: Callable[[int], None]) -> int:
        """Predicts files, and waits for those that others are at."""
        total, rest = 0, list(files)
        while rest:
            by_name = {str(file.out): file for file in rest}
            busy = []
            with contextlib.closing(self._results(by_name)) as results:
                for name, rows in results:
                    if rows == _BUSY:
                        busy.append(by_name[name])
                        continue
                    total += rows
                    progress(total)
            rest = busy
            if rest:
                wait_for(rest)
        return total

    def _results(self, files: Mapping[str, File]) -> Generator[tuple[str, Any], None, None]:
        def begin(name: str) -> Any:
            return self._task.options(name=f"striata {Path(name).name}", **self._share).remote(files[name], *self._settings)

        def died(name: str, reason: str) -> None:
            self._remark(f"the worker of {name} died, and the file goes on from its last portion ({reason})")

        return complete(files, begin, at_once=self._at_once, progress=_portions, died=died)


def _portions(out: str) -> object:
    """Changes with every portion that is predicted into a file."""
    return portions_in(lock_of(Path(out)).parent)


def weights_of(model: Model) -> str:
    """Stands for a model's runs and for what is done with their outputs, on whatever machine."""
    return model.combiner.identity_of({name: run.checksum for name, run in model.runs.items()})


@lru_cache(maxsize=1)
def _opened(place: Place) -> Model:
    model = Model.load(place.folder, base=place.bases, device=place.device, precision=place.precision)
    if weights_of(model) != place.weights:
        raise ClusterError(f"{place.folder} is another model there; choose a folder that all machines share", path=place.folder)
    return model


def predict_one(file: File, job: tuple[Place, dict[str, Any]], cores: int, folder: str) -> int | StriataError:
    """A task: predicts one file, and says how many rows it has.

    Args:
        file: the source and the target.
        job: the model and the options.
        cores: threads to compute with.
        folder: the driver's current folder, from which relative paths count.
    """
    import torch

    torch.set_num_threads(cores)
    place, options = job
    try:
        with contextlib.chdir(folder) if Path(folder).is_dir() else contextlib.nullcontext():
            return predict_once(_opened(place), file, options)
    except BeingWrittenError:
        return _BUSY
    except StriataError as error:
        return error.within(
            f"{file.source} on {socket.gethostname()}" if is_remote(file.source) else f"on {socket.gethostname()}"
        )
