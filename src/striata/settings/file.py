"""The study file: YAML, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Discriminator, Field, PrivateAttr, Tag, model_validator

from ..choices import BASELINES, COMBINATIONS, CONTROLS, HEADS, METHODS, RANKINGS, READERS, TASKS, UNADAPTED
from ..data import Columns
from ..disk.paths import is_folder, is_there
from ..disk.yaml_text import parse_yaml, read_yaml
from ..errors import StudyError, did_you_mean
from .adaptation_settings import AdaptationSettings
from .checking import check_settings
from .data_settings import DataSettings
from .fields import (
    Count,
    Different,
    Expected,
    Folder,
    Fraction,
    Name,
    OneOf,
    Parameters,
    Place,
    Positive,
    RunName,
    Seed,
    Short,
    as_list,
)  # fmt: skip
from .places import Places, find_places
from .recipe import CONFIG, Recipe, choice_by_name, recipe_by_name
from .search_settings import SearchSettings
from .task_rules import check_for_task, own_figures

NO_ENCODER = "none"


def _data(value: Any) -> Any:
    return {"train": value} if isinstance(value, str) else value


def _switch(value: Any) -> Any:
    """`true` for a group with its defaults."""
    return {} if value is True else value


def _adapt(value: Any) -> Any:
    """A path as a group of keys, `true` for the training rows' own texts, and `false` for none."""
    return None if value is False else {"unlabelled": value} if isinstance(value, str) else _switch(value)


def _ensemble(value: Any) -> Any:
    return {"size": 1} if value is False else _switch(value)


def _search(value: Any) -> Any:
    return None if value is False else _switch(value)


def _seeds(value: Any) -> Any:
    """`3` for the seeds 0, 1 and 2."""
    return list(range(value)) if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1000 else value


class LayoutSettings(BaseModel):
    """A layout with settings of its own.

    Args:
        layout: built-in name, text form or YAML file.
        name: what its runs are called; None takes the layout's name.
        recipe: settings that differ from the study's.
    """

    model_config = CONFIG
    layout: Name
    name: RunName | None = None
    recipe: Annotated[dict[str, Any], Expected("a group of keys")] = {}


def _combines(method: str) -> str:
    if METHODS[method].merges:
        raise ValueError(f"a method that combines runs; `striata ensemble FOLDER --method {method}` merges weights")
    return method


class EnsembleSettings(BaseModel):
    """Which runs are combined.

    Args:
        size: how many of the best, for method "greedy" the most; 1 for no ensemble.
        by: validation figure that decides, of :data:`striata.choices.RANKINGS`; rmse where a study of numbers
            says nothing.
        method: of :data:`striata.choices.METHODS`, but none that merges weights.
        combine: what is averaged, of :data:`striata.choices.COMBINATIONS`.
        budget: most trainable parameters of all members together; None for no limit.
        loss: for method "cascade": share of rows; it loses fewer against its late stage alone.
        cheap: for method "cascade": the run that answers first; None for the best of those that need no encoder.
    """

    model_config = CONFIG
    size: Count = 4
    by: Annotated[str, OneOf(RANKINGS)] = "accuracy"
    method: Annotated[str, OneOf(METHODS), AfterValidator(_combines)] = "top"
    combine: Annotated[str, OneOf(COMBINATIONS)] = "logits"
    budget: Parameters | None = None
    loss: Fraction = 0.001
    cheap: Name | None = None


def _kind_of_layout(value: Any) -> str:
    return "group" if isinstance(value, dict | LayoutSettings) else "text"


_Layout = Annotated[
    Annotated[Annotated[str, Field(min_length=1), Expected("a layout's name, text form or file")], Tag("text")]
    | Annotated[LayoutSettings, Tag("group")],
    Discriminator(_kind_of_layout),
]


def _baselines(value: Any) -> Any:
    if value in ("auto", True):
        return {}
    return {"kinds": []} if value in ("none", False) else {"kinds": value} if isinstance(value, list | tuple) else value


class BaselineSettings(BaseModel):
    """Contenders that cost seconds, trained before the first layout; each is a run.

    Args:
        kinds: of :data:`striata.choices.BASELINES`.
        embedded_rows: most training rows that are passed through the frozen encoder for them; None for all.
        refit: whether each is fitted once more, on training and validation rows, when it has been measured on the latter: better
            with few rows, and no worse than what was measured.
    """

    model_config = CONFIG
    kinds: Annotated[tuple[Annotated[str, OneOf(BASELINES)], ...], Different] = tuple(BASELINES)
    embedded_rows: Count | None = None
    refit: bool = False


class RaceSettings(BaseModel):
    """A race: every layout is begun with each of some learning rates, and the weaker half leaves at each of a few steps.

    Args:
        learning_rates: of the recipe, in place of its one.
        survivors: members that are trained to their end; an adapted one and the same without adaptation count as one.
        until: share of a member's steps after which no more than these are left.
    """

    model_config = CONFIG
    learning_rates: Annotated[tuple[Positive, ...], Field(min_length=1), Different, Short(as_list, "one rate")]
    survivors: Count = 2
    until: Annotated[float, Field(gt=0, lt=1), Expected("a number above 0 and below 1")] = 0.25


class Study(BaseModel):
    """Members to be trained on one frozen encoder. Paths count from the current folder; in a file they count from the file.

    Args:
        base: Hub name or local folder of the encoder; "none" for baselines that read nothing but words.
        head: of :data:`striata.choices.HEADS`.
        task: what a label is, of :data:`striata.choices.TASKS`.
        data: where the texts are.
        budget: most trainable parameters of a member, head included; None for no limit.
        layouts: names, text forms or files, or groups of keys with settings of their own; where a search begins, if there is one.
        controls: of :data:`striata.choices.CONTROLS`; each is added to every layout that is no control itself, with the layout's
            own recipe. A control that is the same plan as its layout is not added.
        baselines: contenders that cost seconds: "auto" for all of them, "none", or a list. Named in a file, they are a study
            without any layouts too.
        seeds: every layout is trained once with each; one number says how many, from 0 on.
        recipe: how members are trained.
        adapt: texts without labels that adapters learn from before they learn labels; None for none.
        race: candidates that are begun and of which the weaker leave early; None trains all members to their end.
        ensemble: how the best runs are combined at the end; false for no ensemble.
        search: how layouts are proposed; None trains those that are listed.
        output: the study's folder.
    """

    model_config = CONFIG
    base: Place
    head: Annotated[str, OneOf(HEADS)] = "native"
    task: Annotated[str, OneOf(TASKS)] = "single-label"
    data: Annotated[DataSettings, Short(_data, "a path or a Hub name")] = DataSettings()
    budget: Parameters | None = None
    layouts: Annotated[tuple[_Layout, ...], Field(max_length=1000), Short(as_list, "one layout")] = ()
    controls: Annotated[tuple[Annotated[str, OneOf(CONTROLS)], ...], Short(as_list, "one of them")] = ()
    baselines: Annotated[BaselineSettings, Short(_baselines, "auto, none or a list")] = BaselineSettings()
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=1000), Different, Short(_seeds, "how many")] = (0,)
    recipe: Annotated[Recipe, Short(recipe_by_name, "auto")] = Recipe()
    adapt: Annotated[AdaptationSettings | None, Short(_adapt, "a path, true or false")] = None
    race: RaceSettings | None = None
    ensemble: Annotated[EnsembleSettings, Short(_ensemble, "true or false")] = EnsembleSettings()
    search: Annotated[SearchSettings | None, Short(_search, "true or false")] = None
    output: Folder
    _places: Places = PrivateAttr(default_factory=Places)

    @model_validator(mode="after")
    def _decided(self) -> Study:
        """With the figures that decide for its task where nothing is said."""
        for group, settings in own_figures(self.task, self.recipe, self.ensemble).items():
            object.__setattr__(self, group, settings)  # it is frozen, and not yet anybody's
        return self

    @property
    def places(self) -> Places:
        """What its paths are in the file that it was read from."""
        return self._places

    @property
    def has_encoder(self) -> bool:
        """Whether there is an encoder; without one, baselines that read its embeddings are left out."""
        return self.base != NO_ENCODER

    @property
    def columns(self) -> Columns:
        """Which columns are read, and as what: names, what is stated of how files are written, and the task."""
        return self.data.columns(self.task)

    def to_dict(self) -> dict[str, Any]:
        """All settings with defaults, as JSON values; paths as they stand in the file."""
        return self._places.as_written(self.model_dump(mode="json"))

    def counted_from(self, folder: Path, *, here: Sequence[str] = ()) -> Study:
        """The same study with its paths counted from a folder; each then counts from the current one.

        Args:
            folder: that its file lies in.
            here: keys whose values count from the current folder.
        """
        places = find_places(self.model_dump(mode="json"), folder, here=here)
        study = self.model_copy()
        for key, (_, path) in places.written.items():
            study = study._with_path(key.split("."), path)
        study._places = places
        return study

    def _with_path(self, key: Sequence[str], path: str) -> Study:
        group, *rest = key
        if group == "data":
            return self.model_copy(update={"data": self.data.model_copy(update={rest[0]: path})})
        if group == "adapt" and self.adapt is not None:
            return self.model_copy(update={"adapt": self.adapt.model_copy(update={rest[0]: path})})
        if group == "layouts":
            entries = list(self.layouts)
            entry = entries[int(rest[0])]
            entries[int(rest[0])] = path if isinstance(entry, str) else entry.model_copy(update={"layout": path})
            return self.model_copy(update={"layouts": tuple(entries)})
        return self.model_copy(update={group: path})

    def recipe_of(self, entry: str | LayoutSettings) -> Recipe:
        """The study's recipe with a layout's own settings.

        Raises:
            StudyError: a setting is unknown or wrong.
        """
        if isinstance(entry, str) or not entry.recipe:
            return self.recipe
        settings = {**self.recipe.model_dump(), **entry.recipe}
        return check_settings(Recipe, settings, f"layouts: '{entry.layout}'", inside="recipe")


# Groups that may stand in a short form, which a setting of the command line then widens.
_SHORT = {
    "data": _data, "baselines": _baselines, "recipe": recipe_by_name, "optimizer": choice_by_name, "loss": choice_by_name,
    "ensemble": _ensemble, "search": _search, "adapt": _adapt,
}  # fmt: skip


def load_study(source: str | Path | Mapping[str, Any], settings: Sequence[str] = ()) -> Study:
    """Reads and checks a study.

    Args:
        source: path of a YAML file, from whose folder its paths count; or its content, of which they count from the current one.
        settings: `KEY=VALUE` with dots in KEY, e.g. `recipe.max_steps=100`; VALUE is YAML. Paths in it count from the current
            folder.

    Raises:
        StudyError: the file is missing or no YAML, or a key or value is wrong.
    """
    if isinstance(source, Mapping):
        value, where = dict(source), "study"
    else:
        value, where = _read(Path(source)), str(source)
    for setting in settings:
        value = _with_setting(value, setting)
    unplanned = not (value.get("layouts") or value.get("baselines")) and value.get("search") in (None, False)
    study = check_settings(Study, value, where, missing=("layouts",) if unplanned else ())
    if study.search is not None and len(study.seeds) > 1:
        raise StudyError(
            f"{where}: seeds are {list(study.seeds)}, but a search trains every layout once; give one seed, "
            "and train what it finds with more seeds in a study of its own",
            key="seeds",
        )
    if study.search is not None and study.race is not None:
        raise StudyError(f"{where}: a search ends weak trials itself; leave out `race`, or `search`", key="race")
    if not study.has_encoder and (study.layouts or study.search):
        raise StudyError(f"{where}: layouts and a search need an encoder, and base is 'none'; name one", key="base")
    _check_adaptation(study, where)
    recipes = map(study.recipe_of, ("", *study.layouts))
    check_for_task(
        study.task, recipes, by=study.ensemble.by, order=study.data.order, separator=study.data.label_separator, where=where
    )
    if isinstance(source, Mapping):
        return study
    return study.counted_from(Path(source).parent, here=[setting.partition("=")[0] for setting in settings])


def _check_adaptation(study: Study, where: str) -> None:
    """Refuses an adaptation of nothing, and a control without one."""
    if study.adapt is None:
        if UNADAPTED in study.controls:
            raise StudyError(f"{where}: control {UNADAPTED} is to compare with `adapt`, which is not there", key="controls")
    elif study.search is not None:
        raise StudyError(
            f"{where}: a search takes members in while others train, and cannot adapt them together; leave out `adapt`, and "
            "adapt the layouts that it finds in a study of their own",
            key="adapt",
        )
    elif not study.layouts:
        raise StudyError(f"{where}: what is adapted are adapters, and there are no layouts; leave out `adapt`", key="adapt")


def _read(path: Path) -> dict[str, Any]:
    if path.suffix.lower() in READERS:
        raise StudyError(f"{path} is a data file; expected a study file, in which it stands as `data: {path}`", path=str(path))
    if not is_there(path):
        near = did_you_mean(path.name, [other.name for other in path.parent.iterdir()]) if is_folder(path.parent) else ""
        raise StudyError(f"cannot read study file {path}: there is no such file{near}; check the path", path=str(path))
    value = read_yaml(path, f"study file {path}", StudyError)
    if not isinstance(value, dict):
        raise StudyError(
            f"study file {path} holds {'nothing' if value is None else f'a {type(value).__name__}'}; expected keys such as "
            "base, data and layouts",
            path=str(path),
        )
    return value


def _with_setting(value: dict[str, Any], setting: str) -> dict[str, Any]:
    """Settings with one `KEY=VALUE` in place of what stood there."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise StudyError(f"{setting}: expected KEY=VALUE, for instance recipe.max_steps=100", argument="settings")
    new = parse_yaml(text, f"setting {setting}: the value", StudyError)
    *groups, last = key.split(".")
    whole = dict(value)
    place = whole
    for group in groups:
        inner = _SHORT[group](place.get(group)) if group in _SHORT else place.get(group)
        inner = {} if inner is None else inner
        if not isinstance(inner, dict):
            raise StudyError(f"{setting}: '{group}' is no group of settings", argument="settings")
        place[group] = dict(inner)
        place = place[group]
    place[last] = new
    return whole
