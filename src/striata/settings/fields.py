"""The kinds of values that settings are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ..choices import Choices
from ..errors import did_you_mean


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
        if name not in self.table:
            raise ValueError(f"{self.table.names}{did_you_mean(name, self.table)}")
        return name
