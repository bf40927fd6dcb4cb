"""The tables of a database, copied into a database of another engine.

Columns of SQLite get the type that holds all their values; those of other engines keep what is alike: numbers, texts,
booleans, dates and timestamps. Names of tables and columns are written in lower case.

Not covered: keys and indexes; times of day, lists and other types, which become texts; texts with NUL characters,
which PostgreSQL can't hold; tables outside of PostgreSQL's search path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlwright.databases import Executor, Limits, at_server, describe, engine_of, quoted_name, shown
from sqlwright.errors import DatabaseError
from sqlwright.sql.translate import Dialect, Kind

ROWS_AT_ONCE = 200
_WHOLE = Limits(seconds=120, rows=10_000_000, cells=100_000_000, bytes=1 << 30, memory_mb=4096)
_TYPES: dict[Dialect, dict[Kind, str]] = {
    "sqlite": {
        "integer": "INTEGER",
        "real": "REAL",
        "text": "TEXT",
        "boolean": "INTEGER",
        "date": "TEXT",
        "timestamp": "TEXT",
    },
    "duckdb": {
        "integer": "BIGINT",
        "real": "DOUBLE",
        "text": "VARCHAR",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
    },
    "postgres": {
        "integer": "bigint",
        "real": "double precision",
        "text": "text",
        "boolean": "boolean",
        "date": "date",
        "timestamp": "timestamp",
    },
    "mysql": {
        "integer": "bigint",
        "real": "double",
        "text": "longtext",
        "boolean": "boolean",
        "date": "date",
        "timestamp": "datetime(6)",
    },
}
_DECLARED: tuple[tuple[str, Kind], ...] = (
    ("BOOL", "boolean"),
    ("TIMESTAMP|DATETIME", "timestamp"),
    ("DATE", "date"),
    ("INTERVAL|POINT", "text"),
    ("INT|SERIAL", "integer"),
    ("REAL|FLOA|DOUB|DEC|NUM", "real"),
)
_ZONE = re.compile(r"[+-]\d\d(:\d\d)?$")


class Table(NamedTuple):
    """A table to copy: its name and columns in lower case, the columns' kinds, and the rows."""

    name: str
    columns: list[str]
    kinds: list[Kind]
    rows: list[tuple[Any, ...]]


def read_tables(database: Path | str, executor: Executor) -> Iterator[Table]:
    """Yield the tables of a database with all their rows.

    Raises:
        DatabaseError: it can't be read, or a table is too large.
    """
    engine = engine_of(database).name
    for table in describe(database, 0, executor=executor).tables:
        source = f"`{table.name.replace('`', '``')}`" if engine == "mysql" else quoted_name(table.name)
        outcome = executor.run(database, f"SELECT * FROM {source}", limits=_WHOLE).require()
        if outcome.truncated:
            raise DatabaseError(
                f"{shown(database)}: table {table.name} is too large to copy: over {len(outcome.rows):,} rows."
            )
        kinds: list[Kind] = []
        for place, column in enumerate(table.columns):
            values = [row[place] for row in outcome.rows] if engine == "sqlite" else []
            kinds.append(_kind(values) or _declared_kind(column.type, engine))
        yield Table(table.name.lower(), [column.name.lower() for column in table.columns], kinds, outcome.rows)


def _kind(values: list[Any]) -> Kind | None:
    """Return the kind that holds all values of a column, None where there are none."""
    types = {type(value) for value in values if value is not None}
    if types == {int}:
        return "integer"
    return ("real" if types <= {int, float} else "text") if types else None


def _declared_kind(declared: str, engine: str) -> Kind:
    for words, kind in _DECLARED:
        if re.search(words, declared.upper()):
            # SQLite's dates are texts, or numbers.
            return "text" if engine == "sqlite" and kind in ("date", "timestamp") else kind
    return "text"


@contextmanager
def copied(tables: Sequence[Table], target: Dialect, place: str, name: str, scratch: Path) -> Iterator[Path | str]:
    """Make a database with copies of the tables, yield its address, and drop it.

    Raises:
        DatabaseError: the client library for the place is missing.
    """
    safe = "sqlwright_" + re.sub(r"\W", "_", name.lower())
    quote = "`" if target == "mysql" else '"'
    try:
        with _database(target, place, safe, scratch) as (address, execute):
            for table, columns, kinds, rows in tables:
                types = [_TYPES[target][kind] for kind in kinds]
                names = [f"{quote}{column.replace(quote, 2 * quote)}{quote}" for column in columns]
                source = f"{quote}{table.replace(quote, 2 * quote)}{quote}"
                parts = ", ".join(f"{one} {kind}" for one, kind in zip(names, types, strict=True))
                execute(f"CREATE TABLE {source} ({parts})")
                for start in range(0, len(rows), ROWS_AT_ONCE):
                    values = (_row(row, kinds) for row in rows[start : start + ROWS_AT_ONCE])
                    execute(f"INSERT INTO {source} VALUES {', '.join(values)}")
            execute("")
            yield address
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"{shown(place)}: needs the package {error.name}. Run: pip install '.[servers,duckdb]'"
        ) from None


def _row(row: Sequence[Any], kinds: Sequence[Kind]) -> str:
    return f"({', '.join(_literal(value, kind) for value, kind in zip(row, kinds, strict=True))})"


def _literal(value: Any, kind: Kind) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "NULL"
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if kind == "boolean":
        return "TRUE" if value else "FALSE"
    if kind in ("text", "date", "timestamp"):
        text = str(value).replace("'", "''")
        return f"'{_ZONE.sub('', text) if kind == 'timestamp' else text}'"
    return repr(float(value)) if kind == "real" else str(value)


_Execute = Callable[[str], object]


@contextmanager
def _database(target: Dialect, place: str, name: str, scratch: Path) -> Iterator[tuple[Path | str, _Execute]]:
    """Make an empty database, yield its address and what runs commands there (none: done), and drop it."""
    if target in ("sqlite", "duckdb"):
        path = scratch / f"{name}.{target}"
        path.unlink(missing_ok=True)
        with closing(_open_file(target, path)) as connection:

            def execute(sql: str) -> None:
                if sql:
                    connection.execute(sql)
                    return
                connection.commit()
                connection.close()

            yield path, execute
        path.unlink(missing_ok=True)
        return
    url = at_server(place, name)
    if target == "postgres":
        import psycopg

        with psycopg.connect(at_server(place, "postgres"), autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {name}".encode())
            server.execute(f"CREATE DATABASE {name}".encode())
            with psycopg.connect(url, autocommit=True) as inside:
                yield url, lambda sql: inside.execute(sql.encode()) if sql else inside.close()
            server.execute(f"DROP DATABASE {name}".encode())
        return
    from urllib.parse import unquote, urlsplit

    import pymysql

    parts = urlsplit(place)
    host, port, user = parts.hostname or "localhost", parts.port or 3306, unquote(parts.username or "")
    with (
        pymysql.connect(
            host=host, port=port, user=user, password=unquote(parts.password or ""), charset="utf8mb4", autocommit=True
        ) as connected,
        connected.cursor() as cursor,
    ):
        cursor.execute("SET SESSION sql_mode = concat(@@sql_mode, ',NO_BACKSLASH_ESCAPES')")
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        # SQLite's texts are equal where their bytes are.
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE {_binary_collation(cursor)}")
        cursor.execute(f"USE {name}")
        yield url, lambda sql: cursor.execute(sql) if sql else None
        cursor.execute(f"DROP DATABASE {name}")


def _binary_collation(cursor: Any) -> str:
    cursor.execute("SHOW COLLATION WHERE Collation IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')")
    found = cursor.fetchone()
    return str(found[0]) if found else "utf8mb4_bin"


def _open_file(target: Dialect, path: Path) -> Any:
    if target == "duckdb":
        import duckdb

        connection = duckdb.connect(str(path))
        connection.begin()
        return connection
    import sqlite3

    return sqlite3.connect(path)
