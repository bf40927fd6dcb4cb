"""The DuckDB engine: a file opened for reading only, without access to anything else, its settings locked.

DuckDB's own parser splits the text and says what kind of statement it is; one SELECT is let through (VALUES, FROM,
SHOW and DESCRIBE are SELECTs to it). Runs inside the worker process, which sees this file without the rest of the
package.

Not covered: databases in memory or in the cloud, extensions, spilling to disk (a query that needs more than the
memory limit fails).
"""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import duckdb

from sqlwright.databases.rows import FailedError, answered, read

_CONFIG = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
    "threads": "1",
    "lock_configuration": "true",
}

SPARE = 4
"""How much more address space than memory DuckDB reserves; its own limit, within, is the one that holds."""

# What DuckDB allocates once belongs to the idle worker, not to the first query.
duckdb.connect(":memory:", config={"threads": "1"}).close()


def run(path: str, sql: str, limits: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Return how one query ended, and its rows as lines of JSON (see `rows.answered`).

    Numbers are numbers, booleans 1 and 0, blobs bytes; everything else is text, dates as `2026-11-21`.

    Raises:
        MemoryError: the worker's memory limit was reached.
    """
    return answered(lambda: _run(path, sql, limits))


def _run(path: str, sql: str, limits: dict[str, Any]) -> tuple[list[str], list[bytes], bool]:
    config = {**_CONFIG, "memory_limit": f"{max(16, limits['memory_mb'])}MB"}
    connection = None
    try:
        connection = duckdb.connect(path, read_only=True, config=config)
        cursor = connection.execute(_statement(connection, sql))
        columns = [entry[0] for entry in cursor.description]

        def fetch(count: int) -> list[list[Any]]:
            return [[_value(value) for value in row] for row in cursor.fetchmany(count)]

        return (columns, *read(fetch, len(columns), limits))
    except duckdb.Error as error:
        raise _failed(error, path) from None
    finally:
        if connection is not None:
            connection.close()


def _statement(connection: Any, sql: str) -> Any:
    statements = connection.extract_statements(sql)
    if not statements:
        raise FailedError("error", "unparsable", "expected a query, found no statement.")
    if len(statements) > 1:
        raise FailedError("refused", "refused", "expected one statement, found several.")
    if statements[0].type != duckdb.StatementType.SELECT:
        found = str(statements[0].type).rpartition(".")[2]
        raise FailedError("refused", "refused", f"expected a query that only reads, found {found}.")
    return statements[0]


def _failed(error: duckdb.Error, path: str) -> FailedError:
    message = str(error).partition("\n")[0]
    if isinstance(error, duckdb.OutOfMemoryException):
        raise MemoryError from None
    if isinstance(error, duckdb.ParserException):
        return FailedError("error", "unparsable", message)
    if isinstance(error, duckdb.IOException):
        return FailedError("error", "runtime_error", f"{path}: can't be read as a DuckDB database ({message}).")
    if isinstance(error, duckdb.PermissionException) or "read-only" in message:
        return FailedError("refused", "refused", message)
    if isinstance(error, duckdb.CatalogException) and "Table with name" in message:
        return FailedError("error", "unknown_table", message)
    if isinstance(error, duckdb.BinderException) and ("column" in message or "table" in message):
        return FailedError("error", "unknown_column", message)
    return FailedError("error", "runtime_error", message)


def _value(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, int | str | bytes):
        return value
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return str(value)
