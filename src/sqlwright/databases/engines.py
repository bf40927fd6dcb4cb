"""The engines by the address of a database: which module of this folder runs a query on it, and what that needs.

Not covered: reaching a database; the workers do that (see `sqlwright.databases.executor`).
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

from sqlwright.errors import DatabaseError

_PASSWORD = re.compile(r"(//[^/@]*?):[^/@]*@")


class Engine(NamedTuple):
    """`name` is the module that a worker runs; it needs `package`, which the extra `extra` brings."""

    name: str
    title: str
    package: str = ""
    extra: str = ""


SQLITE = Engine("sqlite", "SQLite")
POSTGRES = Engine("postgres", "PostgreSQL", "psycopg", "servers")
MYSQL = Engine("mysql", "MySQL", "pymysql", "servers")
DUCKDB = Engine("duckdb", "DuckDB", "duckdb", "duckdb")

ENGINES: dict[str, Engine] = {
    "postgresql": POSTGRES,
    "postgres": POSTGRES,
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "duckdb": DUCKDB,
}
"""Engines by the scheme of a URL; what has no scheme is a file: DuckDB's if it ends so, else SQLite's."""

_DUCKDB_ENDING = ".duckdb"


def is_url(database: Path | str) -> bool:
    """Return whether the address is a URL, and not the path of a file."""
    return isinstance(database, str) and "://" in database


def address(database: Path | str) -> dict[str, Any]:
    """Return where a worker finds a database: `database`, and `engine` and `packages` where it isn't SQLite's.

    Raises:
        DatabaseError: the URL's scheme is unknown, or its engine's client library isn't installed.
    """
    text = str(database)
    if "://" not in text and not text.endswith(_DUCKDB_ENDING):
        return {"database": os.path.abspath(text)}  # noqa: PTH100 - Path.resolve asks the disk for every part
    engine = engine_of(database)
    if engine == DUCKDB:
        text = os.path.abspath(text.removeprefix("duckdb://"))  # noqa: PTH100
    return {"database": text, **_needs(engine)}


def engine_of(database: Path | str) -> Engine:
    """Return the engine of a database; raise `DatabaseError` where there is none for the URL's scheme."""
    if not is_url(database):
        return DUCKDB if str(database).endswith(_DUCKDB_ENDING) else SQLITE
    scheme = str(database).partition("://")[0].lower()
    if scheme not in ENGINES:
        known = ", ".join(f"{name}://" for name in ENGINES)
        raise DatabaseError(
            f"{shown(database)}: expected a file, or a URL that begins with {known}; found {scheme}://."
        )
    return ENGINES[scheme]


@lru_cache
def _needs(engine: Engine) -> dict[str, Any]:
    if util.find_spec(engine.package) is None:
        raise DatabaseError(
            f"{engine.title} databases need the package {engine.package}, which is not installed. "
            f"Run: pip install '.[{engine.extra}]'"
        )
    folders = [folder for folder in sys.path if folder.endswith(("site-packages", "dist-packages"))]
    return {"engine": engine.name, "packages": folders}


def shown(database: Path | str) -> str:
    """Return the address as it may be shown: without its password."""
    return _PASSWORD.sub(r"\1@", str(database))


def database_name(database: Path | str) -> str:
    """Return the name of a database: the file's without its ending, or the last part of the URL's path."""
    if not is_url(database) or engine_of(database) == DUCKDB:
        return Path(database).stem
    return str(database).partition("?")[0].rstrip("/").rpartition("/")[2]


def at_server(url: str, name: str) -> str:
    """Return the URL of the database `name` at the server of `url`, which names none itself."""
    scheme, _, rest = url.partition("://")
    place, mark, options = rest.partition("?")
    return f"{scheme}://{place.rstrip('/')}/{name}{mark}{options}"
