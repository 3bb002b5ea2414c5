"""The study file: YAML, checked key by key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..choices import COMBINATIONS, CONTROLS, HEADS, METHODS, RANKINGS
from ..data import Columns
from ..errors import StudyError, did_you_mean
from .fields import OneOf
from .recipe import Recipe, as_text

_CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
Rows = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(min_length=1)]
Column = Annotated[str, BeforeValidator(as_text), Field(min_length=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]


class DataSettings(BaseModel):
    """Where the texts are.

    Args:
        train: file, folder or Hub name; None where the rows are given in memory, when it is recorded as `rows sha256:...`.
        validation: file, folder or Hub name, or rows or a fraction of `train` to hold out.
        test: one of all these, or None.
        max_length: most tokens of a text, special tokens included.
        text: name of the text column; None finds it by its usual names.
        text_pair: name of the second text's column.
        label: name of the label column.
        seed: of the rows held out.
    """

    model_config = _CONFIG
    train: Name | None = None
    validation: Rows | Fraction | Name = 0.2
    test: Rows | Fraction | Name | None = None
    max_length: Rows = 256
    text: Column | None = None
    text_pair: Column | None = None
    label: Column | None = None
    seed: int = 0

    def columns(self) -> Columns:
        """The names asked for."""
        return Columns(text=self.text, text_pair=self.text_pair, label=self.label)


class LayoutSettings(BaseModel):
    """A layout with settings of its own.

    Args:
        layout: built-in name, text form or YAML file.
        name: what its runs are called; None takes the layout's name.
        recipe: settings that differ from the study's.
    """

    model_config = _CONFIG
    layout: Name
    name: Annotated[str, BeforeValidator(as_text), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    recipe: dict[str, Any] = {}


def _combines(method: str) -> str:
    if METHODS[method].merges:
        raise ValueError(f"a method that combines runs; `striata ensemble FOLDER --method {method}` merges weights")
    return method


class EnsembleSettings(BaseModel):
    """Which runs are combined.

    Args:
        size: how many of the best, for method "greedy" the most; 1 for no ensemble.
        by: validation figure that decides, of :data:`striata.choices.RANKINGS`.
        method: of :data:`striata.choices.METHODS`, but none that merges weights.
        combine: what is averaged, of :data:`striata.choices.COMBINATIONS`.
        budget: most trainable parameters of all members together; None for no limit.
    """

    model_config = _CONFIG
    size: Rows = 4
    by: Annotated[str, OneOf(RANKINGS)] = "accuracy"
    method: Annotated[str, OneOf(METHODS), AfterValidator(_combines)] = "top"
    combine: Annotated[str, OneOf(COMBINATIONS)] = "logits"
    budget: Rows | None = None


Low = TypeVar("Low", int, float)


def _ascending(ends: tuple[Low, Low]) -> tuple[Low, Low]:
    if ends[0] > ends[1]:
        raise ValueError("two values, the lower one first")
    return ends


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("values that are all different")
    return values


Ends = AfterValidator(_ascending)
Different = AfterValidator(_different)
Targets = Annotated[tuple[Name, ...], Field(min_length=1), Different]


class PruneSettings(BaseModel):
    """When weak trials end before their time: successive halving.

    Args:
        reduction: at each rung the best 1 in so many goes on.
        after: evaluations before the first rung; each later rung comes after `reduction` times as many.
    """

    model_config = _CONFIG
    reduction: Annotated[int, Field(ge=2)] = 3
    after: Rows = 1


class SearchSettings(BaseModel):
    """Which layouts are searched, and how.

    Args:
        trials: how many are trained in all, the pruned ones included; can be raised later.
        generation: how many train at one time.
        seed: of the proposals.
        sections: least and most sections of a layout; the borders between them are searched.
        ranks: a section's rank is one of these.
        targets: a layout's targets are one of these lists, the same in all sections.
        dropout: least and most dropout of a section.
        alpha: of all sections, or "rank" for a section's own rank.
        learning_rate: least and most, on a logarithmic scale; None keeps the recipe's.
        prune: when weak trials end; None lets all run to their end.
    """

    model_config = _CONFIG
    trials: Rows = 40
    generation: Rows = 8
    seed: Annotated[int, Field(ge=0)] = 0
    sections: Annotated[tuple[Rows, Rows], Ends] = (1, 4)
    ranks: Annotated[tuple[Rows, ...], Field(min_length=1), Different] = (2, 4, 8, 16)
    targets: Annotated[tuple[Targets, ...], Field(min_length=1), Different] = (("query",), ("query", "value"))
    dropout: Annotated[tuple[Share, Share], Ends] = (0.0, 0.15)
    alpha: Annotated[float, Field(gt=0)] | Literal["rank"] = 4.0
    learning_rate: Annotated[tuple[Rate, Rate], Ends] | None = (1e-4, 1e-2)
    prune: PruneSettings | None = PruneSettings()


class Study(BaseModel):
    """Members to be trained on one frozen encoder.

    Args:
        base: Hub name or local folder of the encoder.
        head: of :data:`striata.choices.HEADS`.
        data: where the texts are.
        budget: most trainable parameters of a member, head included; None for no limit.
        layouts: names, text forms or files, or mappings of :class:`LayoutSettings`; where a search begins, if there is one.
        controls: of :data:`striata.choices.CONTROLS`; each is added to every layout that is no control itself, with the layout's
            own recipe. A control that is the same plan as its layout is not added.
        seeds: every layout is trained once with each.
        recipe: how.
        ensemble: of the best runs.
        search: finds the layouts; None trains those that are given.
        output: the study's folder.
    """

    model_config = _CONFIG
    base: Name
    head: Annotated[str, OneOf(HEADS)] = "native"
    data: DataSettings = DataSettings()
    budget: Rows | None = None
    layouts: tuple[Name | LayoutSettings, ...] = ()
    controls: tuple[Annotated[str, OneOf(CONTROLS)], ...] = ()
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    recipe: Recipe = Recipe()
    ensemble: EnsembleSettings = EnsembleSettings()
    search: SearchSettings | None = None
    output: Name

    def to_dict(self) -> dict[str, Any]:
        """All settings with defaults, as JSON values."""
        return self.model_dump(mode="json")

    def recipe_of(self, entry: str | LayoutSettings) -> Recipe:
        """The study's recipe with a layout's own settings.

        Raises:
            StudyError: a setting is unknown or wrong.
        """
        if isinstance(entry, str) or not entry.recipe:
            return self.recipe
        where = f"layouts: '{entry.layout}'"
        return _checked(Recipe, {**self.recipe.model_dump(), **entry.recipe}, where, "recipe")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which takes the last of equal keys, made to refuse them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_study(source: str | Path | Mapping[str, Any], settings: Sequence[str] = ()) -> Study:
    """Reads and checks a study.

    Args:
        source: path of a YAML file, or its content.
        settings: `KEY=VALUE` with dots in KEY, e.g. `recipe.max_steps=100`; VALUE is YAML.

    Raises:
        StudyError: the file is missing or no YAML, or a key or value is wrong.
    """
    if isinstance(source, Mapping):
        value, where = dict(source), "study"
    else:
        value, where = _read(Path(source)), str(source)
    for setting in settings:
        value = _set(value, setting)
    study = _checked(Study, value, where, "")
    if not study.layouts and study.search is None:
        raise StudyError(f"{where}: key 'layouts' is missing or empty; list layouts to train, or write a `search`")
    if study.search is not None and len(study.seeds) > 1:
        raise StudyError(
            f"{where}: seeds are {list(study.seeds)}, but a search trains every layout once; give one seed, "
            "and train what it finds with more seeds in a study of its own"
        )
    for entry in study.layouts:
        study.recipe_of(entry)
    return study


def _yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = _yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        near = did_you_mean(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
        raise StudyError(f"cannot read study file {path}: {error.strerror}{near}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"study file {path} is no YAML in UTF-8: {error}") from error
    if not isinstance(value, dict):
        raise StudyError(f"study file {path} holds a {type(value).__name__}; expected keys such as base, data and layouts")
    return value


def _set(value: dict[str, Any], setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise StudyError(f"--set {setting}: expected KEY=VALUE, for instance recipe.max_steps=100")
    try:
        new = _yaml(text)
    except yaml.YAMLError as error:
        raise StudyError(f"--set {setting}: the value is no YAML: {error}") from error
    first, _, rest = key.partition(".")
    if not rest:
        return {**value, first: new}
    inner = value.get(first) or {}
    if not isinstance(inner, dict):
        raise StudyError(f"--set {setting}: '{first}' is no group of settings")
    return {**value, first: _set(inner, f"{rest}={text}")}


Model = TypeVar("Model", bound=BaseModel)


def _checked(kind: type[Model], value: Mapping[str, Any], where: str, inside: str) -> Model:
    """A settings object, or the first thing that is wrong in one line."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        found = [(_path(kind, problem["loc"]), problem) for problem in error.errors(include_url=False)]
        deepest = max(len(path) for path, _ in found)  # of a union's members, the one that got furthest is meant
        found.sort(key=lambda item: (len(item[0]) < deepest, item[1]["type"] != "extra_forbidden"))
        path = found[0][0]
        problems = [problem for other, problem in found if other == path]
        key = ".".join([*([inside] if inside else []), *path])
        if problems[0]["type"] == "extra_forbidden":
            known = _siblings(kind, path[:-1])
            hint = did_you_mean(path[-1], known)
            raise StudyError(f"{where}: unknown key '{key}'{hint}; expected one of {', '.join(known)}") from None
        if problems[0]["type"] == "missing":
            raise StudyError(f"{where}: key '{key}' is missing") from None
        given = "" if isinstance(problems[0]["input"], dict | list) else f" is {problems[0]['input']!r}"
        raise StudyError(f"{where}: {key}{given}; expected {' or '.join(_expected(p['msg']) for p in problems)}") from None


def _path(kind: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Keys down to a problem; pydantic also puts the names of a union's members there."""
    tags = ("constrained-", "literal[", "function-", "LayoutSettings", "dict[")
    scalars = ("int", "float", "str", "none")
    return [
        str(part)
        for at, part in enumerate(location)
        if not (at and isinstance(part, str) and (part.startswith(tags) or part in scalars))
    ]


def _expected(message: str) -> str:
    text = message.removeprefix("Input should be ").removeprefix("Value error, ").split(", unable")[0]
    text = re.sub(r"dictionary or instance of \w+", "group of keys", text)
    text = text.replace("Tuple", "a list").replace("tuple", "list").replace("should have", "with")
    return text[:1].lower() + text[1:]


_GROUPS: dict[str, type[BaseModel]] = {
    "data": DataSettings, "recipe": Recipe, "ensemble": EnsembleSettings, "layouts": LayoutSettings, "search": SearchSettings,
    "prune": PruneSettings,
}  # fmt: skip


def _siblings(kind: type[BaseModel], path: Sequence[str]) -> list[str]:
    group = next((part for part in reversed(path) if part in _GROUPS), "")
    return list((_GROUPS[group] if group else kind).model_fields)
