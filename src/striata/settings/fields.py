"""The kinds of values that settings are made of, each with the words that say what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..choices import Choices
from ..errors import LayoutError, did_you_mean
from ..layout.sections import check_name


@dataclass(frozen=True)
class Expected:
    """Marks a kind of value with what it is in words, for messages and the reference page.

    Args:
        text: as it goes on after "expected".
    """

    text: str


@dataclass(frozen=True)
class OneOf:
    """Marks a string as a name of a table's; the table is read when a value is checked.

    Args:
        table: of :mod:`striata.choices`.
    """

    table: Choices[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self.table)}

    def _check(self, name: str) -> str:
        if name.lower() in self.table:
            return name.lower()
        if name not in self.table:
            raise ValueError(f"{self.table.names}{did_you_mean(name, self.table)}")
        return name


@dataclass(frozen=True)
class Short:
    """Marks a group of settings, or a list, that may be written in a shorter form.

    Args:
        whole: the whole form of a short one; anything else comes back as it is.
        text: the short form in words.
    """

    whole: Callable[[Any], Any]
    text: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.whole, handler(source))


def as_text(value: Any) -> Any:
    """A label's or a column's name as text: YAML reads `1` as a number and `no` as False.

    Args:
        value: what stands in the study file.

    Returns:
        An integer's digits; anything else that is no boolean, as it is.

    Raises:
        ValueError: a boolean, of which nobody knows whether it was written `no`, `off` or `false`.
    """
    if isinstance(value, bool):
        words = "yes, on and true" if value else "no, off and false"
        raise ValueError(f"text, not {value}: YAML reads {words} as {value} without quotes; write the word in quotes")
    return str(value) if isinstance(value, int) else value


def as_list(value: Any) -> Any:
    """A text or a group of keys as a list of one; anything else as it is."""
    return [value] if isinstance(value, str | dict) else value


def as_count(value: Any) -> Any:
    """`900k`, `1M` or `1.5M` as a number; anything else as it is."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKmM])\s*", value) if isinstance(value, str) else None
    return value if match is None else round(float(match[1]) * {"k": 1_000, "m": 1_000_000}[match[2].lower()])


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "no boolean")
    return value


def _expanded(path: str) -> str:
    return str(Path(path).expanduser()) if path.startswith("~") else path


def _named(name: str) -> str:
    try:
        check_name(name, "name")
    except LayoutError as error:
        raise ValueError(str(error).partition("expected ")[2]) from None
    return name


Low = TypeVar("Low", int, float)


def _ascending(ends: tuple[Low, Low]) -> tuple[Low, Low]:
    if ends[0] > ends[1]:
        raise ValueError("two values, the lower one first")
    return ends


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("values that are all different")
    return values


_Int = Annotated[int, BeforeValidator(_no_boolean)]
_Float = Annotated[float, BeforeValidator(_no_boolean)]

Whole = Annotated[_Int, Expected("a whole number")]
Count = Annotated[_Int, Field(ge=1), Expected("a whole number above 0")]
Seed = Annotated[_Int, Field(ge=0), Expected("a whole number from 0 on")]
Parameters = Annotated[_Int, BeforeValidator(as_count), Field(ge=1), Expected("a number of parameters such as 900k or 1M")]
Fraction = Annotated[_Float, Field(gt=0, lt=1), Expected("a fraction between 0 and 1")]
Share = Annotated[_Float, Field(ge=0, lt=1), Expected("a number from 0 to below 1")]
Positive = Annotated[_Float, Field(gt=0), Expected("a number above 0")]
Amount = Annotated[_Float, Field(ge=0), Expected("a number from 0 on")]
Name = Annotated[str, Field(min_length=1), Expected("text")]
Place = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_expanded), Expected("a path or a Hub name")]
Folder = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_expanded), Expected("a path")]
Column = Annotated[str, BeforeValidator(as_text), Field(min_length=1), Expected("the name of a column")]
LabelName = Annotated[str, BeforeValidator(as_text), Field(min_length=1), Expected("a label")]
RunName = Annotated[str, BeforeValidator(as_text), AfterValidator(_named), Expected("letters, digits, '.', '_' or '-'")]
Ends = AfterValidator(_ascending)
Different = AfterValidator(_different)
