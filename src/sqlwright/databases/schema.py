"""Describe a database: its tables, columns, keys and a few sample values.

Everything is asked through the executor, as any other query: a file may be as hostile as SQL.

Other engines than SQLite are asked by `server_schema`.

Not covered here: check constraints and indexes (they stand in `create_sql`).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlwright.databases.engines import SQLITE, engine_of
from sqlwright.databases.executor import Executor
from sqlwright.databases.outcome import Limits
from sqlwright.errors import DatabaseError

# Rows of a table that are looked at for sample values, and counted at most.
SCANNED_ROWS = 500
COUNTED_ROWS = 1_000_000
LIMITS = Limits(seconds=60)
SAMPLE_LENGTH = 30
# Parts of declared types whose values a reader can't guess from the name: text and dates.
_SAMPLED_TYPES = ("CHAR", "TEXT", "CLOB", "STRING", "DATE", "TIME", "ENUM", "JSON", "UUID")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: name, type as declared ("" if none), and sample values as text, in the order of the rows.

    `description` comes from the notes beside the database (see `databases.notes`), as a table's does.
    """

    name: str
    type: str
    not_null: bool = False
    primary_key: bool = False
    samples: tuple[str, ...] = ()
    description: str = ""


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
    description: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """A database: `name` is the file's name without ending; tables and views in the order they were made.

    `path` is the file or the URL without its password; `engine` is the name that people know the engine by.
    `instructions` and `glossary` (term, meaning) come from the notes beside the database (see `databases.notes`).
    """

    name: str
    path: str
    tables: tuple[Table, ...]
    views: tuple[Table, ...] = ()
    engine: str = "SQLite"
    instructions: tuple[str, ...] = ()
    glossary: tuple[tuple[str, str], ...] = ()


def describe(database: Path | str, samples: int = 2, *, executor: Executor | None = None) -> Schema:
    """Return the schema of a file or URL, with up to `samples` sample values per text or date column.

    Names in foreign keys are spelt as the tables and columns they refer to. SQLite's internal tables and the
    storage tables of virtual ones are left out. Without an `executor`, one for this process is kept.

    Raises:
        DatabaseError: the file is missing, is no SQLite database, or is damaged; the server can't be reached.
    """
    if engine_of(database) != SQLITE:
        from sqlwright.databases.server_schema import describe_server

        return describe_server(database, samples, executor or own_executor())
    reader = _Reader(executor or own_executor(), os.path.abspath(database))  # noqa: PTH100 - links stay
    tables = [replace(table, **_size_and_samples(reader, table, samples)) for table in reader.tables("table")]
    by_name = {table.name.lower(): table for table in tables}
    keys = reader.foreign_keys()
    linked = (replace(table, foreign_keys=_foreign_keys(keys, table, by_name)) for table in tables)
    return Schema(Path(database).stem, reader.path, tuple(linked), tuple(reader.tables("view")))


def sample_values(database: Path | str, per_column: int = 2) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return up to `per_column` sample values by table and column, for text and date columns that have some.

    They are the first distinct values within the first 500 rows, so that they are the same every time and
    large tables cost no more than small ones; above 30 characters they are cut and end in "…".

    Raises:
        DatabaseError: as `describe`.
    """
    found = {
        table.name: {column.name: column.samples for column in table.columns if column.samples}
        for table in describe(database, samples=per_column).tables
    }
    return {table: columns for table, columns in found.items() if columns}


_own: list[Executor] = []
_own_lock = threading.Lock()


def own_executor() -> Executor:
    """Return this process's executor for descriptions."""
    with _own_lock:
        if not _own or _own[0].pid != os.getpid():
            _own[:] = [Executor(workers=1)]
            atexit.register(_own[0].close)
        return _own[0]


# The tables in which SQLite's own virtual tables (full text, r-tree) keep their content, by what follows the name.
# PRAGMA table_list tells them only once the virtual table could be connected, which is not always so.
_STORAGE = (
    *("config", "content", "data", "docsize", "idx"),  # fts5
    *("segdir", "segments", "stat"),  # fts3 and fts4, beside content and docsize
    *("node", "parent", "rowid"),  # rtree and geopoly
)


def _storage_tables(listed: list[tuple[str, str]]) -> set[str]:
    """Return the lower-case names of storage tables of the virtual tables among (name, CREATE statement)."""
    virtual = [name for name, sql in listed if sql.lower().split()[:3] == ["create", "virtual", "table"]]
    return {f"{name}_{part}".lower() for name in virtual for part in _STORAGE}


class _Reader:
    """Asks one database about itself."""

    def __init__(self, executor: Executor, path: str) -> None:
        self.executor, self.path = executor, path

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        outcome = self.executor.run(self.path, sql, limits=LIMITS)
        if not outcome.ok:
            found = outcome.message if self.path in outcome.message else f"{self.path}: {outcome.message}"
            raise DatabaseError(found)
        return outcome.rows

    def tables(self, kind: str) -> Iterator[Table]:
        """Yield the tables or views, with their columns and keys, in the order they were made."""
        names = f"SELECT name, sql FROM sqlite_master WHERE type = '{kind}' ORDER BY rowid"
        listed = [(name, sql or "") for name, sql in self.ask(names)]
        shadows = _storage_tables(listed)
        made = [
            (name, sql)
            for name, sql in listed
            if not name.lower().startswith("sqlite_") and name.lower() not in shadows
        ]
        found = self._columns(kind, [name for name, _ in made])
        for name, sql in made:
            # `hidden` is 1 for a virtual table's own arguments; generated columns (2, 3) are columns.
            shown = [row[1:6] for row in found.get(name, []) if row[6] != 1]
            columns = tuple(Column(column, type_, bool(full), key > 0) for column, type_, full, _, key in shown)
            key = tuple(row[0] for row in sorted(shown, key=lambda row: row[4]) if row[4])
            yield Table(name, columns, key, create_sql=sql)

    def _columns(self, kind: str, names: list[str]) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows of `table_xinfo` by table; none for what SQLite can't make sense of."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        try:
            for name, *row in self.ask(
                "SELECT m.name, x.* FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS x "
                f"WHERE m.type = '{kind}' ORDER BY m.rowid, x.cid"
            ):
                found.setdefault(name, []).append(tuple(row))
        except DatabaseError:  # one bad view, or a virtual table of an unknown extension: the rest is sound
            for name in names:
                with contextlib.suppress(DatabaseError):
                    found[name] = self.ask(f"SELECT * FROM pragma_table_xinfo({_literal(name)})")
        return found

    def foreign_keys(self) -> list[tuple[Any, ...]]:
        """Return (table, number of the key, position, column, table referred to, column referred to)."""
        return self.ask(
            'SELECT m.name, k.id, k.seq, k."from", k."table", k."to" '
            "FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS k WHERE m.type = 'table' "
            "ORDER BY m.rowid, k.id DESC, k.seq"  # SQLite numbers keys from the last declared to the first
        )


def _size_and_samples(reader: _Reader, table: Table, count: int) -> dict[str, Any]:
    """Return the fields `rows` and `columns` of a table, filled by reading it."""
    source = quoted_name(table.name)
    wanted = [column for column in table.columns if count > 0 and is_sampled(column.type)]
    cuts = [_cut(quoted_name(column.name)) for column in wanted]
    counted = f"(SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT {COUNTED_ROWS + 1}))"
    scanned = SCANNED_ROWS if wanted else 1
    try:
        rows = reader.ask(f"SELECT {', '.join([counted, *cuts])} FROM {source} LIMIT {scanned}")
    except DatabaseError as error:
        if "no such module" not in str(error):
            raise
        return {"rows": None}  # a virtual table of an extension: there, but can't be read from here
    found = {column.name: first_texts((row[i] for row in rows), count) for i, column in enumerate(wanted, 1)}
    size = rows[0][0] if rows else 0
    columns = tuple(replace(column, samples=found.get(column.name, ())) for column in table.columns)
    return {"rows": size if size <= COUNTED_ROWS else None, "columns": columns}


def _cut(name: str) -> str:
    return f"CASE typeof({name}) WHEN 'text' THEN substr({name}, 1, {SAMPLE_LENGTH + 1}) END"


def first_texts(values: Iterator[object], count: int) -> tuple[str, ...]:
    """Return the first `count` distinct texts, each on one line and cut visibly."""
    texts: dict[str, None] = {}
    for value in values:
        if isinstance(value, str) and value.strip():
            shown = " ".join(value.split())
            texts[shown if len(value) <= SAMPLE_LENGTH else shown[: SAMPLE_LENGTH - 1] + "…"] = None
            if len(texts) == count:
                break
    return tuple(texts)


def is_sampled(declared: str) -> bool:
    """Return whether values of a declared type say something that a column's name doesn't."""
    return not declared or any(part in declared.upper() for part in _SAMPLED_TYPES)


def _foreign_keys(found: list[tuple[Any, ...]], table: Table, by_name: dict[str, Table]) -> tuple[ForeignKey, ...]:
    """Return the foreign keys of one table, first declared first."""
    parts: dict[int, list[tuple[str, str, str | None]]] = {}
    for owner, number, _, column, target_name, to_column in found:
        if owner == table.name:
            parts.setdefault(number, []).append((column, target_name, to_column))
    keys = []
    for pairs in parts.values():
        target = by_name.get(pairs[0][1].lower())
        columns = tuple(_spelt(column, table) for column, _, _ in pairs)
        named = tuple(_spelt(column, target) for _, _, column in pairs if column is not None)
        implicit = target.primary_key if target is not None and len(target.primary_key) == len(pairs) else ()
        keys.append(ForeignKey(columns, target.name if target else pairs[0][1], named or implicit))
    return tuple(keys)


def _spelt(column: str, table: Table | None) -> str:
    if table is not None:
        for known in table.columns:
            if known.name.lower() == column.lower():
                return known.name
    return column


def quoted_name(name: str) -> str:
    """Return a table's or column's name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
