"""Describe a database: its tables, columns, keys and a few sample values.

Reads through the same read-only connection as queries, in this process: only SQLite's own catalogue and plain
scans of a few rows are read, never SQL from a model.

Not covered here: check constraints and indexes (they stand in `create_sql`), engines other than SQLite.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

from sqlwright.databases.sqlite import UnreadableError, connect
from sqlwright.errors import DatabaseError

# Rows of a table that are looked at for sample values, and counted at most.
SCANNED_ROWS = 500
COUNTED_ROWS = 1_000_000
SAMPLE_LENGTH = 30
# Parts of declared types whose values a reader can't guess from the name: text and dates.
_SAMPLED_TYPES = ("CHAR", "TEXT", "CLOB", "STRING", "DATE", "TIME", "ENUM", "JSON", "UUID")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: name, type as declared ("" if none), and sample values as text, in the order of the rows."""

    name: str
    type: str
    not_null: bool = False
    primary_key: bool = False
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of the table that has it refer to `to_columns` of `table` (() if that has no key)."""

    columns: tuple[str, ...]
    table: str
    to_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a view. `rows` is None for views and above a million rows; `create_sql` is as stored."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    create_sql: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """A database: `name` is the file's name without ending; tables and views in the order they were made."""

    name: str
    path: str
    tables: tuple[Table, ...]
    views: tuple[Table, ...] = ()


def describe(database: Path | str, samples: int = 2) -> Schema:
    """Return the schema of a SQLite file, with up to `samples` sample values per text or date column.

    Names in foreign keys are spelt as the tables and columns they refer to. SQLite's internal tables and the
    storage tables of virtual ones are left out.

    Raises:
        DatabaseError: the file is missing, is no SQLite database, or is damaged.
    """
    path = os.path.abspath(database)  # noqa: PTH100 - as in the executor: links stay as given
    try:
        connection = connect(path)
    except UnreadableError as error:
        raise DatabaseError(str(error)) from None
    try:
        tables, views = _read_tables(connection, samples)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise DatabaseError(f"{path}: expected a sound SQLite database, found: {error}.") from None
    finally:
        connection.close()
    return Schema(Path(path).stem, path, tables, views)


def sample_values(database: Path | str, per_column: int = 2) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return up to `per_column` sample values by table and column, for text and date columns that have some.

    They are the first distinct values within the first 500 rows, so that they are the same every time and
    large tables cost no more than small ones; above 30 characters they are cut and end in "…".

    Raises:
        DatabaseError: as `describe`.
    """
    schema = describe(database, samples=per_column)
    return {
        table.name: {column.name: column.samples for column in table.columns if column.samples}
        for table in schema.tables
    }


def _read_tables(connection: sqlite3.Connection, samples: int) -> tuple[tuple[Table, ...], tuple[Table, ...]]:
    shadows = _shadow_tables(connection)
    tables, views = [], []
    listing = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY rowid"
    for kind, name, sql in connection.execute(listing).fetchall():
        if name.lower().startswith("sqlite_") or name in shadows:
            continue
        if kind == "table":
            tables.append(_table(connection, name, sql or "", samples))
        else:
            views.append(_view(connection, name, sql or ""))
    by_name = {table.name.lower(): table for table in tables}
    return tuple(_with_foreign_keys(connection, table, by_name) for table in tables), tuple(views)


def _shadow_tables(connection: sqlite3.Connection) -> set[str]:
    if sqlite3.sqlite_version_info < (3, 37):  # older versions don't tell
        return set()
    return {row[0] for row in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'shadow'")}


def _columns(connection: sqlite3.Connection, name: str) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Return a table's columns and its primary key in the key's order."""
    columns, key = [], []
    for _, column, kind, not_null, _, position, hidden in connection.execute(
        "SELECT * FROM pragma_table_xinfo(?)", (name,)
    ):
        if hidden == 1:  # a virtual table's own arguments; generated columns (2, 3) are columns
            continue
        columns.append(Column(column, kind, bool(not_null), position > 0))
        if position:
            key.append((position, column))
    return tuple(columns), tuple(column for _, column in sorted(key))


def _table(connection: sqlite3.Connection, name: str, sql: str, samples: int) -> Table:
    columns, key = _columns(connection, name)
    try:
        counting = f"SELECT count(*) FROM (SELECT 1 FROM {_quoted(name)} LIMIT {COUNTED_ROWS + 1})"
        rows = connection.execute(counting).fetchone()[0]
        columns = _with_samples(connection, name, columns, samples)
    except sqlite3.OperationalError as error:
        if "no such module" not in str(error):
            raise
        rows = COUNTED_ROWS + 1  # a virtual table of an extension: there, but not readable from here
    return Table(name, columns, key, (), sql, rows if rows <= COUNTED_ROWS else None)


def _view(connection: sqlite3.Connection, name: str, sql: str) -> Table:
    try:
        columns, _ = _columns(connection, name)
    except sqlite3.Error:  # a view on a table that is gone; the rest of the database is sound
        columns = ()
    return Table(name, columns, (), (), sql, None)


def _with_samples(
    connection: sqlite3.Connection, table: str, columns: tuple[Column, ...], count: int
) -> tuple[Column, ...]:
    wanted = [index for index, column in enumerate(columns) if _is_sampled(column.type)]
    if not wanted or count < 1:
        return columns
    cut = ", ".join(f"substr({_quoted(columns[index].name)}, 1, {SAMPLE_LENGTH + 1})" for index in wanted)
    found: list[dict[str, None]] = [{} for _ in wanted]
    for row in connection.execute(f"SELECT {cut} FROM {_quoted(table)} LIMIT {SCANNED_ROWS}"):
        for values, value in zip(found, row, strict=True):
            if isinstance(value, str) and len(values) < count:
                shown = " ".join(value.split())
                if shown:
                    values[shown if len(value) <= SAMPLE_LENGTH else shown[: SAMPLE_LENGTH - 1] + "…"] = None
        if all(len(values) == count for values in found):
            break
    filled = list(columns)
    for index, values in zip(wanted, found, strict=True):
        filled[index] = replace(columns[index], samples=tuple(values))
    return tuple(filled)


def _is_sampled(declared: str) -> bool:
    return not declared or any(part in declared.upper() for part in _SAMPLED_TYPES)


def _with_foreign_keys(connection: sqlite3.Connection, table: Table, by_name: dict[str, Table]) -> Table:
    """Return the table with its foreign keys, first declared first."""
    parts: dict[int, list[tuple[int, str, str, str | None]]] = {}
    for number, position, target, column, to_column, *_ in connection.execute(
        "SELECT * FROM pragma_foreign_key_list(?)", (table.name,)
    ):
        parts.setdefault(number, []).append((position, target, column, to_column))
    keys = []
    for number in sorted(parts, reverse=True):  # SQLite numbers them from the last to the first
        pairs = sorted(parts[number])
        target = by_name.get(pairs[0][1].lower())
        columns = tuple(_spelt(column, table) for _, _, column, _ in pairs)
        named = tuple(_spelt(column, target) for _, _, _, column in pairs if column is not None)
        implicit = target.primary_key if target is not None and len(target.primary_key) == len(pairs) else ()
        keys.append(ForeignKey(columns, target.name if target else pairs[0][1], named or implicit))
    return replace(table, foreign_keys=tuple(keys))


def _spelt(column: str, table: Table | None) -> str:
    if table is not None:
        for known in table.columns:
            if known.name.lower() == column.lower():
                return known.name
    return column


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
