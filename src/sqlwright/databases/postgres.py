"""The PostgreSQL engine: one query, as the query of a cursor, in a read-only transaction that is rolled back.

PostgreSQL's own parser decides what reads: only SELECT, VALUES, TABLE and WITH can be a cursor's query, and the
extended protocol takes one statement. What such a query may still call is bounded by the role: superusers and
roles that may reach the server's files are turned away, for no transaction holds them. Functions whose effects no
rollback takes back (on files, other sessions, settings) are refused by name as well, as the last fence.

Runs inside the worker process, which sees this file without the rest of the package.

Not covered: the server's memory (a query's sorts and hashes take what `work_mem` says), functions that the
database's owner has written, and what installed extensions can do beyond the ones named here.
"""

from __future__ import annotations

import re
from typing import Any

from psycopg import OperationalError, pq

from sqlwright.databases.engines import shown
from sqlwright.databases.rows import FailedError, answered, number, read, refuse_words

# Read-only transactions let these through, and rolling back doesn't undo them; or they run text as SQL, which would
# hide such a name. They are looked for in the whole text, strings too: as words they mean nothing else.
_REFUSED = re.compile(
    r"pg_(?:read_(?:binary_)?file|stat_file|ls_\w+|file_\w+|current_logfile|terminate_backend|cancel_backend"
    r"|reload_conf|rotate_logfile|switch_wal|promote|notify|(?:try_)?advisory_\w+|logical_\w+|replication_\w+"
    r"|create_\w+|drop_\w+|stat_reset\w*|export_snapshot|(?:start|stop)_backup|backup_\w+|wal_replay_\w+"
    r"|log_backend_memory_contexts|import_system_collations"
    r"|authid|shadow)"  # the roles' password hashes, which pg_read_all_data may read, too
    r"|set_config|lo_\w+|loread|lowrite|(?:query|cursor|table|schema|database)_to_xml\w*|ts_stat|ts_rewrite|dblink\w*|crosstab\w*"
    # the escapes in which a quoted name can be written without its letters
    r"""|U&(?=")""",
    re.IGNORECASE,
)
_SERVER_ROLES = "('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')"
_SESSION = (
    "SET default_transaction_read_only = on; SET statement_timeout = {milliseconds}; SET datestyle = ISO;"
    "SET standard_conforming_strings = on; SET bytea_output = hex; SET cursor_tuple_fraction = 1.0;"
    "BEGIN TRANSACTION READ ONLY;"
    f"SELECT count(*) FROM pg_roles WHERE rolname IN {_SERVER_ROLES} AND pg_has_role(oid, 'MEMBER')"
)
_ADVICE = (
    "Make one, such as: CREATE ROLE reader LOGIN PASSWORD '...'; GRANT SELECT ON ALL TABLES IN SCHEMA public "
    "TO reader; and give the URL with it."
)
# SQLSTATEs by what they mean for the reader of a score; whole classes by their first two characters.
_STATES = {
    "42601": ("error", "unparsable"),
    "42P01": ("error", "unknown_table"),
    "3F000": ("error", "unknown_table"),
    "42703": ("error", "unknown_column"),
    "57014": ("time_limit", "time_limit"),
    "25006": ("refused", "refused"),
    "42501": ("refused", "refused"),
    "53200": ("memory_limit", "memory_limit"),
    "53100": ("memory_limit", "memory_limit"),
    "54000": ("memory_limit", "memory_limit"),
}
# Types by the numbers that PostgreSQL gives them.
_INTEGERS, _FLOATS, _NUMERIC, _BOOLEAN, _BYTEA = {20, 21, 23, 26}, {700, 701}, 1700, 16, 17


# Where PostgreSQL says that the extended protocol takes one statement.
_SEVERAL = "exec_parse_message"


def run(url: str, sql: str, limits: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Return how one query ended, and its rows as lines of JSON (see `rows.answered`).

    Integers, floats and exact decimals are numbers, booleans 1 and 0, `bytea` bytes; everything else is the text
    that PostgreSQL prints, dates as `2026-11-21` and times as `2026-11-21 10:30:00`.

    Raises:
        MemoryError: the worker's memory limit was reached.
    """
    return answered(lambda: _run(url, sql, limits))


def _run(url: str, sql: str, limits: dict[str, Any]) -> tuple[list[str], list[bytes], bool]:
    refuse_words(_REFUSED, sql)
    connection = _connect(url, limits["seconds"])
    try:
        return _query(connection, sql, limits)
    finally:
        connection.finish()


def _connect(url: str, seconds: float) -> Any:
    """Return a connection in a read-only transaction, of a role that can do nothing else to the server."""
    name = shown(url)
    try:
        given = {option.keyword: option.val for option in pq.Conninfo.parse(url.encode()) if option.val is not None}
        # libpq waits whole seconds, two at least; the parent's clock stops it earlier.
        given |= {b"connect_timeout": b"%d" % max(2, int(seconds)), b"client_encoding": b"UTF8"}
        words = (b"%s='%s'" % (key, _escaped(value)) for key, value in given.items())
        connection = pq.PGconn.connect(b" ".join(words))
    except OperationalError as error:
        found = shown(str(error).strip())
        raise FailedError("error", "runtime_error", f"{name}: expected a PostgreSQL URL ({found}).") from None
    if connection.status != pq.ConnStatus.OK:
        message = " ".join(connection.get_error_message().split())
        raise FailedError("error", "runtime_error", f"{name}: can't be reached as a PostgreSQL database ({message}).")
    result = connection.exec_(_SESSION.format(milliseconds=max(1, int(seconds * 1000))).encode())
    _require(result, connection)
    if connection.parameter_status(b"is_superuser") == b"on" or result.get_value(0, 0) != b"0":
        connection.finish()
        message = f"{name}: expected a role that can only read, found one that may change the server. {_ADVICE}"
        raise FailedError("refused", "refused", message)
    return connection


def _escaped(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b"'", b"\\'")


def _query(connection: Any, sql: str, limits: dict[str, Any]) -> tuple[list[str], list[bytes], bool]:
    declared = connection.exec_params(b"DECLARE query NO SCROLL CURSOR FOR " + sql.encode(), None)
    if declared.status != pq.ExecStatus.COMMAND_OK:
        _refuse_other_statements(connection, declared, sql)
        _require(declared, connection)
    first = _fetched(connection, 0)
    width = first.nfields
    columns = [(first.fname(place) or b"").decode("utf-8", "replace") for place in range(width)]
    kinds = [first.ftype(place) for place in range(width)]

    def fetch(count: int) -> list[list[Any]]:
        result = _fetched(connection, count)
        return [
            [_value(result.get_value(row, place), kind) for place, kind in enumerate(kinds)]
            for row in range(result.ntuples)
        ]

    return (columns, *read(fetch, width, limits))


def _fetched(connection: Any, count: int) -> Any:
    result = connection.exec_params(b"FETCH FORWARD %d FROM query" % count, None)
    _require(result, connection)
    return result


def _refuse_other_statements(connection: Any, failed: Any, sql: str) -> None:
    """Raise a refusal where PostgreSQL knows the text as a statement, only not as one that reads.

    Asked of its parser, which runs nothing; the transaction is over, for it has failed.
    """
    state, place = _cause(failed)
    if state == "42601" and place != _SEVERAL:
        connection.exec_(b"ROLLBACK")
        parsed = connection.prepare(b"", sql.encode())
        state, place = _cause(parsed)
        if state == "42601" and place != _SEVERAL:
            return
    elif place not in (_SEVERAL, "transformDeclareCursorStmt"):
        return
    if place == _SEVERAL:
        raise FailedError("refused", "refused", "expected one statement, found several.")
    words = re.sub(r"--[^\n]*|/\*.*?\*/|;", " ", sql, flags=re.DOTALL).split()
    if not words:
        raise FailedError("error", "unparsable", "expected a query, found no statement.")
    raise FailedError("refused", "refused", f"expected a query that only reads, found {words[0][:40].upper()}.")


def _cause(result: Any) -> tuple[str, str]:
    """Return the SQLSTATE of a failure, and the function of PostgreSQL that found it: both are never translated."""
    fields = (pq.DiagnosticField.SQLSTATE, pq.DiagnosticField.SOURCE_FUNCTION)
    state, place = ((result.error_field(field) or b"").decode() for field in fields)
    return state, place


def _require(result: Any, connection: Any) -> None:
    """Raise `FailedError` unless the command went well."""
    if result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        return
    state, _ = _cause(result)
    message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode("utf-8", "replace")
    message = message or " ".join(connection.get_error_message().split())
    if not state and "memory" in message:  # said by libpq itself
        raise MemoryError
    raise FailedError(*_STATES.get(state, ("error", "runtime_error")), message)


def _value(raw: bytes | None, kind: int) -> Any:
    if raw is None:
        return None
    if kind in _INTEGERS:
        return int(raw)
    if kind == _NUMERIC:
        return number(raw.decode())
    if kind in _FLOATS:
        return "NaN" if raw == b"NaN" else float(raw)
    if kind == _BOOLEAN:
        return int(raw == b"t")
    if kind == _BYTEA:
        return bytes.fromhex(raw[2:].decode())
    return raw.decode("utf-8", "replace")
