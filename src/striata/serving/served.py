"""Models that are served: opened by name, exchanged for new ones, and what they answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..disk.files import sha256_file
from ..disk.sealed import NAME as MANIFEST
from ..errors import DataError, RunError, StriataError
from ..model import Model
from ..model.opening import Bases, open_folder
from ..model.scorers import share_encoders
from ..runs.standings import find_model

Floats = npt.NDArray[np.float32]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OF_A_STUDY = ("ensemble", "cascade", "distilled", "selftrained", "soup")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Served:
    """A model under a name, in one version.

    Args:
        name: that clients know it by.
        model: that answers.
        version: stands for everything that decides its answers.
    """

    name: str
    model: Model
    version: str

    @classmethod
    def ready(cls, name: str, model: Model) -> Served:
        """A model that has answered once, so that whatever it reads late is read and sound.

        Raises:
            StriataError: it cannot answer.
        """
        none = np.zeros((0, len(model.labels)), np.float32)
        logits, _ = model.with_members(["warm"])
        if not model.task.numeric:
            model.probabilities(logits)
        with suppress(DataError):  # too few validation rows for this coverage; they are in memory now
            (model.intervals if model.task.numeric else model.label_sets)(none, 0.9)
        if not np.isfinite(logits).all():
            raise RunError(f"{model.folder} answers with what is no number; train it again")
        return cls(name=name, model=model, version=hashlib.sha256(model.identity.encode()).hexdigest()[:12])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model says of some texts.

    Args:
        served: the model.
        logits: combined, (texts, labels).
        members: each member's logits by its name, (texts, labels); NaN where it was not asked.
        cut: of which texts a member read the beginning only, (texts,).
        sets: labels that each text may have, likeliest first; None where they were not asked for.
        intervals: low and high ends, (texts, 2), of a model of numbers; None likewise.
    """

    served: Served
    logits: Floats
    members: Mapping[str, Floats]
    cut: npt.NDArray[np.bool_]
    sets: Sequence[Sequence[str]] | None
    intervals: npt.NDArray[np.float64] | None = None

    def part(self, rows: slice) -> Answers:
        """Those to some of the texts."""
        return Answers(
            served=self.served,
            logits=self.logits[rows],
            members={name: logits[rows] for name, logits in self.members.items()},
            cut=self.cut[rows],
            sets=None if self.sets is None else self.sets[rows],
            intervals=None if self.intervals is None else self.intervals[rows],
        )

    @classmethod
    def join(cls, parts: Sequence[Answers]) -> Answers:
        """Those to the texts of several, one behind the other; of one model, all with sets or all without."""
        sets = [part.sets for part in parts if part.sets is not None]
        intervals = [part.intervals for part in parts if part.intervals is not None]
        return cls(
            served=parts[0].served,
            logits=np.concatenate([part.logits for part in parts]),
            members={name: np.concatenate([part.members[name] for part in parts]) for name in parts[0].members},
            cut=np.concatenate([part.cut for part in parts]),
            sets=[one for some in sets for one in some] if sets else None,
            intervals=np.concatenate(intervals) if intervals else None,
        )


def answers_of(served: Served, texts: Sequence[str], pairs: Sequence[str] | None) -> Answers:
    """Passes texts through a model; sets are left to who knows which coverage."""
    logits, members = served.model.with_members(texts, pairs)
    return Answers(served=served, logits=logits, members=members, cut=served.model.truncated(texts, pairs), sets=None)


def check_name(name: str) -> None:
    """Refuses a name that is no part of an address.

    Raises:
        StriataError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise StriataError(f"'{name}' is no part of an address; give NAME=FOLDER, the name in letters, digits, '.', '_' and '-'")


def name_places(places: Iterable[str | Path]) -> dict[str, Path]:
    """Folders by the names that clients use: of `NAME=FOLDER`, or else the folder's own, or its study's.

    Raises:
        StriataError: a name is no part of an address, or two folders have one name.
    """
    named: dict[str, Path] = {}
    for place in places:
        name, equals, rest = str(place).partition("=")
        is_named = bool(equals) and _NAME.fullmatch(name) is not None and not Path(place).exists()
        folder = Path(rest) if is_named else Path(place)
        if not is_named:
            whole = folder.absolute()
            name = whole.parent.name if whole.name in _OF_A_STUDY else whole.name
        check_name(name)
        if name in named:
            raise StriataError(f"{named[name]} and {folder} would both be called '{name}'; give NAME=FOLDER for one of them")
        named[name] = folder
    if not named:
        raise StriataError("there is no model to serve; give a folder of a run, an ensemble or a study")
    return named


def state_of(folder: Path) -> str:
    """Stands for what lies in a model's folder now; changes when the model is replaced, or is gone.

    Raises:
        StriataError: a study there has no finished run.
    """
    path = find_model(folder)
    try:
        return f"{path} {sha256_file(path / MANIFEST)}"
    except OSError as error:
        return f"{path} {error.strerror}"


class Library:
    """The models of one server, by name.

    Args:
        places: folders by name; see :func:`name_places`.
        base: where encoders lie now; see :func:`striata.load`.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto".
        tell: told in a sentence when a model is exchanged, or could not be.

    Attributes:
        models: those that are in use.
        changed: called with each model that is taken into use, and the one that it replaces.
        failed: called with the name of a model that could not be loaded.
    """

    def __init__(
        self,
        places: Mapping[str, Path],
        *,
        base: Bases | None = None,
        device: str = "auto",
        precision: str = "auto",
        tell: Callable[[str], None],
    ) -> None:
        self.places, self._base, self._device, self._precision = dict(places), base, device, precision
        self.tell = tell
        self.models: dict[str, Served] = {}
        self.changed: Callable[[Served, Served | None], None] = lambda new, old: None
        self.failed: Callable[[str], None] = lambda name: None
        self._states: dict[str, str] = {}
        self._told: dict[str, str] = {}

    @property
    def whole(self) -> bool:
        """Whether every model is in use."""
        return bool(self.models) and set(self.places) <= set(self.models)

    def check(self) -> None:
        """Looks at every folder without loading weights.

        Raises:
            StriataError: one is missing or damaged.
        """
        for folder in self.places.values():
            open_folder(folder, self._base)

    def add(self, served: Served) -> None:
        """Takes a model into use, in the place of the one of its name."""
        old = self.models.get(served.name)
        share_encoders(scorer for model in (*self.models.values(), served) for scorer in model.model.scorers)
        self.models[served.name] = served
        self.changed(served, old)

    def load(self, name: str) -> None:
        """Opens the model of a name and takes it into use; one that is in use stays until the new one has answered once.

        Raises:
            StriataError: it cannot be loaded, or cannot answer.
        """
        state = state_of(self.places[name])
        model = Model.load(self.places[name], base=self._base, device=self._device, precision=self._precision)
        model.warn = self.tell
        self.add(Served.ready(name, model))
        self._states[name] = state

    def load_all(self) -> None:
        """Opens every model; raises as :meth:`load`."""
        for name in self.places:
            self.load(name)

    def renew(self) -> None:
        """Opens what has been replaced in its folder since; what is damaged is told once, and the old model goes on."""
        for name, folder in self.places.items():
            try:
                if state_of(folder) == self._states.get(name):
                    continue
                before = self.models[name]
                self.load(name)
            except Exception as error:  # whatever it may be, the old model answers, and the next one is waited for
                reason = str(error) if isinstance(error, StriataError) else type(error).__name__
                if self._told.get(name) != reason:
                    self._told[name] = reason
                    self.failed(name)
                    self.tell(f"{name}: the new model is not used, the old one goes on: {reason}")
                continue
            self._told.pop(name, None)
            now = self.models[name]
            labels = "" if now.model.labels == before.model.labels else ", with other labels"
            self.tell(f"{name}: version {now.version} in the place of {before.version}{labels}")
