"""Rows of a query: SQLite and DuckDB, opened for reading only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import DataError
from ..extras import require
from .rows import RowReader

SCHEMES = ("sqlite", "duckdb")
_PORTION = 4096


def is_database(source: str) -> bool:
    """Whether a source is the address of a query."""
    return source.partition("://")[0] in SCHEMES


def open_database(source: str) -> QueryReader:
    """The reader of a query.

    Args:
        source: `sqlite:///FILE?query=SELECT ...` or `duckdb:///FILE?...`; `table=NAME` for all rows of a table. Three slashes
            lead to a path that counts from the working folder, four to one that counts from the root.

    Raises:
        DataError: there is no such file, or the query cannot be carried out.
        ExtraError: duckdb is not installed.
    """
    path, query = database_path(source)
    if urlsplit(source).scheme == "duckdb":
        require(f"{path}: DuckDB", "duckdb")
    return QueryReader(source, path, query)


def database_path(source: str) -> tuple[Path, str]:
    """A database's file and the query.

    Raises:
        DataError: the file is not there, or there is no query.
    """
    address = urlsplit(source)
    path = Path(unquote(address.path.removeprefix("/"))).expanduser()
    terms = parse_qs(address.query, keep_blank_values=True)
    if address.netloc or not address.path or not path.is_file():
        raise DataError(
            f"{source}: there is no file {path}; expected for instance sqlite:///reviews.db?query=SELECT text, label FROM r"
        )
    if "query" in terms:
        return path, terms["query"][0]
    if "table" in terms:
        name = terms["table"][0].replace('"', '""')
        return path, f'SELECT * FROM "{name}"'
    raise DataError(f"{source} names no rows; expected ?query=SELECT ... or ?table=NAME behind the file")


class QueryReader(RowReader):
    """Rows of a query, in the order in which the database gives them.

    Args:
        source: the address, for messages.
        path: of the database.
        query: in SQL.

    Raises:
        DataError: the query cannot be carried out.
    """

    lines = False

    def __init__(self, source: str, path: Path, query: str) -> None:
        self._path, self._query, self._kind = path, query, urlsplit(source).scheme
        super().__init__(source, (), "in the order of the query" if "order by" in query.lower() else "")
        connection, cursor = self._carried_out()
        self.columns = tuple(str(column[0]) for column in cursor.description or ())
        connection.close()
        if not self.columns:
            raise DataError(f"{source} gives no columns; expected a SELECT")

    def _carried_out(self) -> tuple[Any, Any]:
        try:
            if self._kind == "duckdb":
                import duckdb

                connection: Any = duckdb.connect(str(self._path), read_only=True)
            else:
                connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
            return connection, connection.cursor().execute(self._query)
        except Exception as error:  # each database raises its own kinds
            raise self._wrong(error) from None

    def rows(self) -> Iterator[tuple[int, Sequence[object]]]:
        """Every row.

        Raises:
            DataError: the database cannot be read any further.
        """
        connection, cursor = self._carried_out()
        try:
            while portion := cursor.fetchmany(_PORTION):
                yield from ((0, row) for row in portion)
        except (sqlite3.Error, RuntimeError) as error:
            raise self._wrong(error) from None
        finally:
            connection.close()

    def _wrong(self, error: Exception) -> DataError:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        return DataError(f"{self.source}: the query cannot be carried out ({reason}); it is opened for reading only")
