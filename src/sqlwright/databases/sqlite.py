"""The SQLite engine: open a file for reading only, and run exactly one reading statement on it.

Whether a statement reads is asked of SQLite itself, by its authorizer while it compiles the statement, never
of the text. Runs inside the worker process, which sees this file without the rest of the package.

Not covered here: time and memory limits (the worker and its parent enforce them from outside), databases in
several files, URLs, Windows.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from typing import Any

from sqlwright.databases.rows import FailedError, answered, read

HEADER = b"SQLite format 3\x00"
_END = "; \t\r\n\f"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Pragmas that take the name of a table or an index, and read.
_PRAGMAS_WITH_NAME = _words("table_info table_xinfo table_list foreign_key_list index_list index_info index_xinfo")
# Pragmas that only read when they get no value. Not `database_list`: it tells where the file lies.
_PRAGMAS_BARE = _words(
    "application_id collation_list compile_options data_version encoding freelist_count function_list "
    "module_list page_count page_size pragma_list schema_version user_version"
)
# Functions that reach out of the database. Most exist only in SQLite's shell or in extensions, which can't be
# loaded here; naming them costs nothing. All others compute: a list of those would refuse what newer versions
# of SQLite add.
_FUNCTIONS_REFUSED = _words("load_extension readfile writefile edit eval fsdir zipfile fts3_tokenizer fts5 sqlite_log")
_ACTIONS = {
    getattr(sqlite3, "SQLITE_" + name): name.replace("_", " ")
    for name in _words(
        "ALTER_TABLE ANALYZE ATTACH DELETE DETACH FUNCTION INSERT PRAGMA READ REINDEX SAVEPOINT TRANSACTION "
        "UPDATE CREATE_INDEX CREATE_TABLE CREATE_TEMP_INDEX CREATE_TEMP_TABLE CREATE_TEMP_TRIGGER "
        "CREATE_TEMP_VIEW CREATE_TRIGGER CREATE_VIEW CREATE_VTABLE DROP_INDEX DROP_TABLE DROP_TEMP_INDEX "
        "DROP_TEMP_TABLE DROP_TEMP_TRIGGER DROP_TEMP_VIEW DROP_TRIGGER DROP_VIEW DROP_VTABLE"
    )
}
_UNPARSABLE = (
    "syntax error",
    "unrecognized token",
    "incomplete input",
    "parser stack overflow",
    "clause should come ",
)


def connect(path: str, patience: float) -> sqlite3.Connection:
    """Return a connection to the file `path` that can't write, attach or load anything.

    `patience` is how many seconds to wait for another process's lock.

    Raises:
        FailedError: the path holds no SQLite database that can be read.
    """
    immutable = "&immutable=1" if _is_quiet_wal(path) else ""
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        connection = sqlite3.connect(
            f"file:{name}?mode=ro{immutable}", uri=True, timeout=patience, isolation_level=None
        )
    except sqlite3.Error as error:
        raise _unreadable(f"{path}: can't be opened as a SQLite database ({error}).") from None
    # Temporary structures stay in memory so that a sort never makes a file; a view in the file may not call
    # functions with side effects.
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def run(path: str, sql: str, limits: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Return how one query ended, and its rows as lines of JSON (see `rows.answered`).

    Raises:
        MemoryError: the worker's memory limit was reached.
    """
    return answered(lambda: _run(path, sql, limits))


def _run(path: str, sql: str, limits: dict[str, Any]) -> tuple[list[str], list[bytes], bool]:
    connection = None
    try:
        connection = connect(path, patience=limits["seconds"] / 2)
        return _query(connection, sql, limits)
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        raise _classified(error, path) from None
    finally:
        if connection is not None:
            connection.close()


def _refused(message: str) -> FailedError:
    """Return the failure of a statement that would do something else than read."""
    return FailedError("refused", "refused", message)


def _unreadable(message: str) -> FailedError:
    """Return the failure where a file can't be opened as a SQLite database."""
    return FailedError("error", "runtime_error", message)


def _query(connection: sqlite3.Connection, sql: str, limits: dict[str, Any]) -> tuple[list[str], list[bytes], bool]:
    _set_engine_limits(connection, limits["memory_mb"])
    denied: list[str] = []
    for attempt in ("first", "with r-trees connected"):
        denied.clear()
        connection.set_authorizer(_authorizer(denied))
        try:
            # A statement may end in several semicolons; Python's sqlite3 takes the second for a statement.
            cursor = connection.execute(sql.rstrip(_END))
            break
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "") or ""
            if attempt == "first" and denied and _connect_rtrees(connection, denied[0]):
                continue
            if denied:
                raise _refused(f"expected a query that only reads, found {denied[0]}.") from None
            if code == "SQLITE_READONLY":
                raise _refused(f"expected a query that only reads ({error}).") from None
            if "one statement at a time" in str(error):
                raise _refused("expected one statement, found several.") from None
            raise
        except sqlite3.Warning:
            raise _refused("expected one statement, found several.") from None
    if cursor.description is None:
        raise sqlite3.OperationalError("incomplete input: expected a query, found no statement that returns rows")
    columns = [_column_name(entry[0]) for entry in cursor.description]
    try:
        return (columns, *read(cursor.fetchmany, len(columns), limits))
    except sqlite3.OperationalError as error:
        if not str(error).startswith("Could not decode to UTF-8"):
            raise
        # Decoding every text here takes longer than most queries, so it is done only where it must be.
        connection.text_factory = _decode
        return (columns, *read(connection.execute(sql.rstrip(_END)).fetchmany, len(columns), limits))


def _column_name(name: object) -> str:
    return name if isinstance(name, str) else ""


def _decode(raw: bytes) -> str:
    """Return TEXT that is no UTF-8 without the bad bytes, as Spider's official evaluator does."""
    return raw.decode("utf-8", "ignore")


def _set_engine_limits(connection: sqlite3.Connection, memory_mb: int) -> None:
    # No value may take more than a quarter of the memory: SQLite copies values while it computes.
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(1_000_000_000, memory_mb * 262_144))
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 1000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 500)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, 2000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 127)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 10_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_VDBE_OP, 5_000_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)


def _authorizer(denied: list[str]) -> Callable[..., int]:
    """Return an authorizer that lets reading through and writes what it denied to `denied`."""
    select, read, recursive = sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE
    function, pragma, update = sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_UPDATE
    okay, reads = sqlite3.SQLITE_OK, False

    def authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
        nonlocal reads
        if action in (select, recursive):
            reads = True
            return okay
        # SQLite compiles this, without running it, when a query first names a virtual table or a table-valued
        # function. The same in the query itself is an error before the authorizer is asked.
        if action == update and first == "sqlite_master" and reads:
            return okay
        # sqlite_dbpage shows and takes raw pages of the file.
        if action == read and first != "sqlite_dbpage":
            return okay
        if action == function and (second or "").lower() not in _FUNCTIONS_REFUSED:
            return okay
        if action == pragma:
            name = (first or "").lower()
            if name in _PRAGMAS_WITH_NAME or (name in _PRAGMAS_BARE and second is None):
                return okay
        what = _ACTIONS.get(action, f"action {action}")
        denied.append(" ".join(part for part in (what, second if action == function else first) if part))
        return sqlite3.SQLITE_DENY

    return authorize


def _connect_rtrees(connection: sqlite3.Connection, denied: str) -> bool:
    """Connect the file's r-tree tables without the authorizer; return whether that can make a difference.

    SQLite's r-tree module compiles the statements that maintain its index when a table is first read.
    Compiled before the authorizer is set, they are there, and can't run: the connection stays read-only.
    """
    if not denied.startswith(("INSERT", "UPDATE", "DELETE")):
        return False
    connection.set_authorizer(None)
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND "
        "(sql LIKE 'create virtual table%using%rtree%' OR sql LIKE 'create virtual table%using%geopoly%')"
    ).fetchall()
    tables = [name for (name,) in found if denied.split(" ", 1)[1].startswith(name)]
    for name in tables:
        connection.execute('SELECT 1 FROM "{}" LIMIT 0'.format(name.replace('"', '""')))
    return bool(tables)


def _classified(error: Exception, path: str) -> FailedError:
    message = str(error)
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_IOERR_NOMEM":
        raise MemoryError from None
    if name == "SQLITE_TOOBIG" or message == "string or blob too big":
        return FailedError("memory_limit", "memory_limit", f"a value is too large ({message}).")
    if message.startswith("no such table"):
        return FailedError("error", "unknown_table", message)
    if message.startswith("no such column"):
        return FailedError("error", "unknown_column", message)
    if any(part in message for part in _UNPARSABLE) and not message.startswith("fts5:"):
        return FailedError("error", "unparsable", message)
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR")):
        message = f"{path}: {message}.{_advice(path)}"
    elif name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        message = f"{path}: expected a sound SQLite database, found a damaged one ({message})."
    return FailedError("error", "runtime_error", message)


def _advice(path: str) -> str:
    for ending in ("-wal", "-journal"):
        if os.path.exists(path + ending):  # noqa: PTH110 - Path would slow the start of every worker
            return (
                f" Beside it lies {path + ending} with changes not merged yet, which can't be read so: "
                "open the database once with a program that may write there."
            )
    return ""


def _is_quiet_wal(path: str) -> bool:
    """Check that `path` is a readable SQLite file; return whether it is in WAL mode with an empty log.

    Such a file can be read as immutable: otherwise SQLite puts two files beside it, or fails where it can't.
    Opening the file here is safe because the worker has no connection to it now: closing a file drops the
    locks that a process has on it.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path costs more than the call, and this runs before every query
        if stat.S_ISREG(found.st_mode):
            with open(path, "rb") as file:  # noqa: PTH123
                head = file.read(20)
    except OSError as error:
        raise _unreadable(f"{path}: expected a SQLite database file ({error.strerror}).") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "something that is no plain file"
        raise _unreadable(f"{path}: expected a SQLite database file, found {kind}.")
    if not head:
        raise _unreadable(f"{path}: expected a SQLite database, found an empty file.")
    if not head.startswith(HEADER):
        raise _unreadable(f"{path}: expected a SQLite database, found another kind of file or an encrypted one.")
    if len(head) < 20 or 2 not in head[18:20]:
        return False
    try:
        if not os.stat(path + "-wal").st_size:  # noqa: PTH116
            return True
    except OSError:
        return True
    if not os.path.exists(path + "-shm"):  # noqa: PTH110
        raise _unreadable(f"{path}: can't be read as it is.{_advice(path)}")
    return False
