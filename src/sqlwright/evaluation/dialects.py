"""Golds translated to other engines, kept where both engines give the same result on the same rows.

The tables of a SQLite database are copied into a database of the other engine; the gold runs here, its translation
there, and the robust comparison decides. What is kept is right on these rows at least; what isn't has a reason:

* `untranslatable`: the SQL can't be parsed or put into the other dialect;
* `gold_failed`: the gold itself can't be run;
* the executor's error classes, for translations that the other engine refuses;
* the reasons of the robust metric, for other results.

Not covered: keys, indexes and declared types of the copies (columns are integers, floats or texts, by their values);
texts with NUL characters, which PostgreSQL can't hold.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Limits, describe, is_url, quoted_name, shown
from sqlwright.errors import DatabaseError, DataError
from sqlwright.evaluation.robust import Progress, Rows, has_top_level_order, results_equal
from sqlwright.evaluation.statistics import score
from sqlwright.sql.translate import Kind, Kinds, Target, translate

ROWS_AT_ONCE = 200
_WHOLE = Limits(seconds=120, rows=10_000_000, cells=100_000_000, bytes=1 << 30, memory_mb=4096)
_TYPES: dict[Target, dict[Kind, str]] = {
    "duckdb": {"integer": "BIGINT", "real": "DOUBLE", "text": "VARCHAR"},
    "postgres": {"integer": "bigint", "real": "double precision", "text": "text"},
    "mysql": {"integer": "bigint", "real": "double", "text": "longtext"},
}
_SCHEMES: dict[str, Target] = {
    "duckdb": "duckdb",
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}


@dataclass(frozen=True, slots=True)
class Gold:
    """A gold to translate: its place in the file, its database's name and file, and the SQL."""

    index: int
    database: str
    path: Path
    sql: str


@dataclass(frozen=True, slots=True)
class Translation:
    """A gold in another engine's words; `reason` and `detail` say why it isn't kept, and are empty if it is."""

    index: int
    database: str
    engine: Target
    gold: str
    sql: str
    reason: str = ""
    detail: str = ""

    @property
    def kept(self) -> bool:
        """Whether both engines give the same result."""
        return not self.reason


def target_of(place: str) -> Target:
    """Return the dialect of a place for copies: the word `duckdb`, or a server's URL.

    Raises:
        DataError: it is neither.
    """
    scheme = place.partition("://")[0].lower()
    if scheme not in _SCHEMES or (scheme != "duckdb" and not is_url(place)):
        raise DataError(f"{shown(place)}: expected duckdb, or a URL such as postgresql://maker@localhost or mysql://…")
    return _SCHEMES[scheme]


def translate_golds(
    golds: Sequence[Gold], place: str, scratch: Path, executor: Executor, progress: Progress | None = None
) -> Iterator[Translation]:
    """Yield the translation of every gold, database by database.

    Args:
        golds: what to translate.
        place: `duckdb`, whose files are made in `scratch`, or the URL of a server whose role may make and drop
            databases; each copy is called `sqlwright_NAME` and dropped afterwards.
        scratch: a folder for files.
        executor: runs the queries.
        progress: called after each gold.

    Raises:
        DataError: the place is none.
        DatabaseError: a database can't be read or copied.
    """
    target = target_of(place)
    done = 0
    for path in dict.fromkeys(gold.path for gold in golds):
        own = [gold for gold in golds if gold.path == path]
        tables = list(_tables(path, executor))
        kinds = {name: dict(zip(columns, own_kinds, strict=True)) for name, columns, own_kinds, _ in tables}
        with _copied(tables, target, place, own[0].database, scratch) as copy:
            for gold in own:
                yield _judged(gold, target, copy, kinds, executor)
                done += 1
                if progress:
                    progress(done, len(golds))


def share_table(found: Iterable[Translation]) -> dict[str, dict[str, Any]]:
    """Return by engine: how many golds there are and are kept, the reasons of the others, and the share kept.

    The share, with its 95 % interval, is of the golds that run on their own database.
    """
    by_engine: dict[str, list[Translation]] = {}
    for one in found:
        by_engine.setdefault(one.engine, []).append(one)
    shares: dict[str, dict[str, Any]] = {}
    for engine, every in by_engine.items():
        runnable = [one for one in every if one.reason != "gold_failed"]
        reasons = Counter(one.reason for one in every if one.reason)
        share = score([one.kept for one in runnable])
        shares[engine] = {"golds": len(every), "kept": share.correct, "share": share.value}
        shares[engine] |= {"low": share.low, "high": share.high, "reasons": dict(reasons.most_common())}
    return shares


def _judged(gold: Gold, target: Target, copy: str, kinds: Kinds, executor: Executor) -> Translation:
    def said(sql: str, reason: str = "", detail: str = "") -> Translation:
        return Translation(gold.index, gold.database, target, gold.sql, sql, reason, detail)

    wanted = executor.run(gold.path, gold.sql)
    if not wanted.ok:
        return said("", "gold_failed", wanted.message)
    try:
        sql = translate(gold.sql, target, kinds)
    except DataError as error:
        return said("", "untranslatable", str(error))
    found = executor.run(copy, sql)
    if not found.ok:
        return said(sql, found.error_class, found.message)
    if wanted.truncated or found.truncated:
        return said(sql, "truncated", "a result was cut at the executor's limits")
    result = results_equal(Rows.of(wanted), Rows.of(found), ordered=has_top_level_order(gold.sql))
    return said(sql, result.reason, result.detail)


_Copied = tuple[str, list[str], list[Kind], list[tuple[Any, ...]]]
"""A table to copy: its name and columns in lower case, the columns' kinds, and the rows."""


def _tables(path: Path, executor: Executor) -> Iterator[_Copied]:
    for table in describe(path, 0, executor=executor).tables:
        outcome = executor.run(path, f"SELECT * FROM {quoted_name(table.name)}", limits=_WHOLE).require()
        if outcome.truncated:
            raise DatabaseError(f"{path}: table {table.name} is too large to copy: over {len(outcome.rows):,} rows.")
        columns = [column.name.lower() for column in table.columns]
        kinds = [_kind([row[place] for row in outcome.rows], column.type) for place, column in enumerate(table.columns)]
        yield table.name.lower(), columns, kinds, outcome.rows


def _kind(values: list[Any], declared: str) -> Kind:
    """Return the kind that holds all values of a column; of an empty one, what its declared type sounds like."""
    types = {type(value) for value in values if value is not None}
    if not types:
        declared = declared.upper()
        if "INT" in declared:
            return "integer"
        return "real" if re.search("REAL|FLOA|DOUB|DEC|NUM", declared) else "text"
    if types == {int}:
        return "integer"
    return "real" if types <= {int, float} else "text"


@contextmanager
def _copied(tables: list[_Copied], target: Target, place: str, name: str, scratch: Path) -> Iterator[str]:
    """Make a database with copies of the tables, yield its address, and drop it."""
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
    if kind == "text":
        text = str(value).replace("'", "''")
        return f"'{text}'"
    return repr(float(value)) if kind == "real" else str(value)


_Execute = Callable[[str], object]


@contextmanager
def _database(target: Target, place: str, name: str, scratch: Path) -> Iterator[tuple[str, _Execute]]:
    """Make an empty database, yield its address and what runs commands there (none: done), and drop it."""
    if target == "duckdb":
        import duckdb

        path = scratch / f"{name}.duckdb"
        path.unlink(missing_ok=True)
        connection = duckdb.connect(str(path))
        yield str(path), lambda sql: connection.execute(sql) if sql else connection.close()
        path.unlink(missing_ok=True)
        return
    from sqlwright.databases import at_server

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
