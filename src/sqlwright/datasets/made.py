"""Databases that a reader makes, for benchmarks that give tables as text: small SQLite files in the cache folder.

A file is named by its contents, so it is made once, the same every time, and made again if it is gone. The statements
come from a question file and are hostile input: SQLite's authorizer lets them create tables and nothing else.

Not covered: clearing the cache (the folder can be removed at any time); engines other than SQLite.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlwright.databases import quoted_name
from sqlwright.datasets.dataset import BadQuestion
from sqlwright.datasets.locate import cache_folder
from sqlwright.records import stable_id

Cell = str | int | float | None

# SQLITE_READ alone reads nothing: a query would need SQLITE_SELECT. The key's index names its columns by it.
_ALLOWED = frozenset(
    {sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_READ, sqlite3.SQLITE_TRANSACTION}
)
_ALLOWED_ON_CATALOGUE = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE})


def make_database(name: str, schema: str, rows: Mapping[str, Sequence[Sequence[Cell]]] | None = None) -> Path:
    """Return the SQLite file with the tables that `schema` creates and, by table, `rows` in them.

    Args:
        name: how the file's name begins, for people.
        schema: CREATE TABLE statements, separated by semicolons.
        rows: cells in the order of the columns.

    Raises:
        BadQuestion: SQLite refuses the statements, they do something else, or create nothing.
    """
    rows = rows or {}
    key = stable_id(schema, json.dumps({table: list(map(list, cells)) for table, cells in rows.items()}))
    readable = re.sub(r"[^\w-]+", "_", name)[:40]
    path = cache_folder() / "databases" / key[:2] / f"{readable}_{key[:10]}.sqlite"
    if not path.is_file():
        contents = _contents(schema, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        aside.write_bytes(contents)
        aside.replace(path)
    return path


def _contents(schema: str, rows: Mapping[str, Sequence[Sequence[Cell]]]) -> bytes:
    """Return the bytes of the database file."""
    connection = sqlite3.connect(":memory:")
    try:
        # Most have one table and few rows: small pages make them a quarter of the size.
        connection.execute("PRAGMA page_size = 1024")
        connection.set_authorizer(_authorize)
        connection.executescript(schema)
        connection.set_authorizer(None)
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if not tables:
            raise BadQuestion("bad schema: expected CREATE TABLE statements, found none")
        for table, cells in rows.items():
            for row in cells:
                places = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {quoted_name(table)} VALUES ({places})", list(row))
        connection.commit()
        return connection.serialize()
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        raise BadQuestion(f"bad schema: SQLite says {error}") from None
    finally:
        connection.close()


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    """Allow what creating a table needs: the table, its automatic indexes, and the rows of the catalogue."""
    if action in _ALLOWED or (action in _ALLOWED_ON_CATALOGUE and first == "sqlite_master"):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
