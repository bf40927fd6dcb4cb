"""What the data itself says of a schema: distinct values, empty cells, ranges, and keys that nobody declared.

Everything is asked through the executor. Of tables above 200,000 rows the first ones are looked at, and the profile
says so. How keys are inferred stands in `databases.keys`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.databases.executor import Executor
from sqlwright.databases.keys import InferredKey, inferred_keys
from sqlwright.databases.outcome import Limits
from sqlwright.databases.schema import Schema, Table, describe, quoted_name
from sqlwright.errors import DatabaseError

LOOKED_AT = 200_000
SAMPLES = 3
_LIMITS = Limits(seconds=60)
# Columns that are asked for in one query.
_AT_ONCE = 40
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """A column's data: distinct values, rows without one, and its smallest and largest value (None without any)."""

    distinct: int
    nulls: int
    smallest: str | float | None
    largest: str | float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A schema with what its data says. `columns` is by (table, column); `partial` names tables not read whole."""

    schema: Schema
    columns: dict[tuple[str, str], ColumnProfile]
    keys: tuple[InferredKey, ...]
    partial: tuple[str, ...]


def profile(database: Path | str) -> Profile:
    """Return the profile of a database.

    Raises:
        DatabaseError: the database is missing or unreadable, or a table takes longer than a minute.
    """
    with Executor(workers=1, limits=_LIMITS) as executor:
        schema = describe(database, SAMPLES, executor=executor)
        if schema.engine != "SQLite":
            raise DatabaseError(f"{database}: expected a SQLite file; notes of {schema.engine} are written by hand.")
        profiler = _Profiler(executor, database)
        columns: dict[tuple[str, str], ColumnProfile] = {}
        for table in schema.tables:
            columns |= profiler.columns(table)
        keys = tuple(inferred_keys(schema, executor))
        partial = tuple(table.name for table in schema.tables if table.rows is None or table.rows > LOOKED_AT)
    return Profile(schema, columns, keys, partial)


class _Profiler:
    """Asks one database about its data."""

    def __init__(self, executor: Executor, database: Path | str) -> None:
        self.executor, self.database = executor, database

    def columns(self, table: Table) -> dict[tuple[str, str], ColumnProfile]:
        """Return the profiles of a table's columns."""
        found: dict[tuple[str, str], ColumnProfile] = {}
        for start in range(0, len(table.columns), _AT_ONCE):
            chosen = table.columns[start : start + _AT_ONCE]
            asked = [
                f"count(*) - count({name}), count(DISTINCT {name}), {_shown(f'min({name})')}, {_shown(f'max({name})')}"
                for name in (quoted_name(column.name) for column in chosen)
            ]
            names = ", ".join(quoted_name(column.name) for column in chosen)
            source = f"(SELECT {names} FROM {quoted_name(table.name)} LIMIT {LOOKED_AT})"
            (row,) = self._ask(f"SELECT {', '.join(asked)} FROM {source}")
            for number, column in enumerate(chosen):
                nulls, distinct, smallest, largest = row[4 * number : 4 * number + 4]
                found[table.name, column.name] = ColumnProfile(distinct, nulls, smallest, largest)
        return found

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        outcome = self.executor.run(self.database, sql)
        if not outcome.ok:
            raise DatabaseError(f"{self.database}: {outcome.message}")
        return outcome.rows


def _shown(expression: str) -> str:
    """Return SQL for a value that fits on a line; blobs are none."""
    text = f"WHEN 'text' THEN substr({expression}, 1, {_LONGEST})"
    return f"CASE typeof({expression}) WHEN 'blob' THEN NULL {text} ELSE {expression} END"
