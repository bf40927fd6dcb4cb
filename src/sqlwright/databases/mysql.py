"""The MySQL and MariaDB engine: one query in a read-only transaction that is rolled back.

The server's own parser decides what reads: a text is run only after it could be prepared as a subquery, where
SELECT, VALUES and WITH can stand and nothing else, INTO included; the protocol's way to send several statements is
off. What such a query may still call is bounded by the role: those that may reach files or other sessions are turned
away. Functions whose effects no rollback takes back are refused by name as well, as the last fence.

Runs inside the worker process, which sees this file without the rest of the package.

Not covered: the server's memory, functions that the database's owner has written, TLS options in the URL.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql
from pymysql.constants import ER, FIELD_TYPE
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

from sqlwright.databases.rows import FailedError, answered, number, read, refuse_words

# As words they mean nothing else, so they are looked for in the whole text.
_REFUSED = re.compile(
    r"\b(?:load_file|get_lock|release_lock|release_all_locks|is_used_lock|master_pos_wait|source_pos_wait"
    r"|master_gtid_wait|wait_for_executed_gtid_set|setval|sys_exec|sys_eval)\b",
    re.IGNORECASE,
)
_TOO_MUCH = ("FILE", "SUPER", "SHUTDOWN", "RELOAD", "CREATE USER", "CONNECTION ADMIN", "BINLOG ADMIN")
_ADVICE = (
    "Make one, such as: CREATE USER reader IDENTIFIED BY '...'; GRANT SELECT ON shop.* TO reader; and give its URL."
)
_CODES = {
    ER.PARSE_ERROR: ("error", "unparsable"),
    ER.EMPTY_QUERY: ("error", "unparsable"),
    ER.NO_SUCH_TABLE: ("error", "unknown_table"),
    ER.BAD_DB_ERROR: ("error", "unknown_table"),
    ER.BAD_FIELD_ERROR: ("error", "unknown_column"),
    ER.TABLEACCESS_DENIED_ERROR: ("refused", "refused"),
    ER.DBACCESS_DENIED_ERROR: ("refused", "refused"),
    ER.SPECIFIC_ACCESS_DENIED_ERROR: ("refused", "refused"),
    ER.PROCACCESS_DENIED_ERROR: ("refused", "refused"),
    ER.OUTOFMEMORY: ("memory_limit", "memory_limit"),
    # without names in the client: read-only transaction, and the time limits of MariaDB and of MySQL
    1792: ("refused", "refused"),
    1969: ("time_limit", "time_limit"),
    3024: ("time_limit", "time_limit"),
}
_INTEGERS = (FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.LONG, FIELD_TYPE.INT24, FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR)
# Values arrive as text, and stay it where no function is named: dates are texts.
_CONVERTED: dict[Any, Callable[..., Any]] = {
    **encoders,
    **dict.fromkeys(_INTEGERS, int),
    FIELD_TYPE.FLOAT: float,
    FIELD_TYPE.DOUBLE: float,
    FIELD_TYPE.DECIMAL: number,
    FIELD_TYPE.NEWDECIMAL: number,
    FIELD_TYPE.BIT: lambda raw: int.from_bytes(raw, "big"),
}


def run(url: str, sql: str, limits: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Return how one query ended, and its rows as lines of JSON (see `rows.answered`).

    Numbers are numbers, BIT a number, binary strings bytes; everything else is the text that the server prints.

    Raises:
        MemoryError: the worker's memory limit was reached.
    """
    return answered(lambda: _run(url, sql, limits))


def _run(url: str, sql: str, limits: dict[str, Any]) -> tuple[list[str], list[bytes], bool]:
    refuse_words(_REFUSED, sql)
    connection = None
    try:
        connection = _connect(url, limits["seconds"])
        _gate(connection, sql)
        cursor = connection.cursor(SSCursor)
        cursor.execute(sql)
        columns = [entry[0] for entry in cursor.description or ()]
        return (columns, *read(cursor.fetchmany, len(columns), limits))
    except pymysql.Error as error:
        code, *words = error.args or (0,)
        kind = _CODES.get(code, ("error", "runtime_error"))
        raise FailedError(*kind, str(words[0] if words else error)) from None
    finally:
        if connection is not None:
            # Not `close`, which waits for the rest of a long result.
            with contextlib.suppress(OSError):
                connection._force_close()


def _connect(url: str, seconds: float) -> Any:
    """Return a connection in a read-only transaction, of a role that can do nothing else to the server."""
    parts = urlsplit(url)
    name = f"{parts.scheme}://{parts.username or ''}@{parts.hostname or 'localhost'}{parts.path}"
    try:
        connection = pymysql.connect(
            host=parts.hostname or "localhost",
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")) or None,
            charset="utf8mb4",
            connect_timeout=max(1, min(60, int(seconds))),
            local_infile=False,
            conv=_CONVERTED,
        )
    except (pymysql.Error, ValueError, OSError) as error:
        message = f"{name}: can't be reached as a MySQL database ({error.args[-1] if error.args else error})."
        raise FailedError("error", "runtime_error", message) from None
    maria = "MariaDB" in connection.get_server_info()
    limit = f"max_statement_time={seconds}" if maria else f"max_execution_time={max(1, int(seconds * 1000))}"
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION {limit}")
        cursor.execute("SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES")
        rights = sorted({row[0] for row in cursor.fetchall()} & set(_TOO_MUCH))
        if rights:
            found = f"one that may {', '.join(rights)}"
            raise FailedError(
                "refused", "refused", f"{name}: expected a role that can only read, found {found}. {_ADVICE}"
            )
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("START TRANSACTION READ ONLY")
    return connection


def _gate(connection: Any, sql: str) -> None:
    """Raise `FailedError` unless the server can prepare the text as a subquery; nothing is run."""
    with connection.cursor() as cursor:
        text = sql.rstrip("; \t\r\n\f")
        try:
            cursor.execute("SET @text = %s", (f"SELECT EXISTS ({text}\n)",))
            cursor.execute("PREPARE gate FROM @text")
        except pymysql.err.ProgrammingError as error:
            if error.args[0] not in (ER.PARSE_ERROR, ER.EMPTY_QUERY):
                raise
            _refuse_other_statements(cursor, text)
            raise
        cursor.execute("DEALLOCATE PREPARE gate")


def _refuse_other_statements(cursor: Any, sql: str) -> None:
    """Raise a refusal where the server knows the text as a statement, only not as one that reads."""
    cursor.execute("SET @text = %s", (sql,))
    try:
        cursor.execute("PREPARE gate FROM @text")
    except pymysql.Error as error:
        if error.args[0] in (ER.PARSE_ERROR, ER.EMPTY_QUERY):
            return
    words = re.sub(r"--[^\n]*|/\*(?!!|M!).*?\*/", " ", sql, flags=re.DOTALL).split(None, 1)
    if not words:
        raise FailedError("error", "unparsable", "expected a query, found no statement.")
    raise FailedError("refused", "refused", f"expected a query that only reads, found {words[0][:40].upper()}.")
