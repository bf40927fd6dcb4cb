"""What the data itself says of a schema: distinct values, empty cells, ranges, and keys that nobody declared.

A foreign key is inferred only where names and data agree: the column is called like another table's key, and at least
95 % of its values are there. Everything is asked through the executor. Of tables above 200,000 rows the first ones are
looked at, and the profile says so.

Not covered: keys of several columns, and keys whose names have nothing in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.databases.executor import Executor
from sqlwright.databases.outcome import Limits
from sqlwright.databases.schema import Column, Schema, Table, describe, quoted_name
from sqlwright.errors import DatabaseError

LOOKED_AT = 200_000
SAMPLES = 3
CONTAINED = 0.95
_COMPARED = 20_000
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
class InferredKey:
    """`table.column` refers to `to_table.to_column`, though it isn't declared: `evidence` says why."""

    table: str
    column: str
    to_table: str
    to_column: str
    evidence: str


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
        keys = tuple(profiler.keys(schema, columns))
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

    def keys(self, schema: Schema, columns: dict[tuple[str, str], ColumnProfile]) -> Iterator[InferredKey]:
        """Yield the foreign keys that names and data agree on, at most one per column."""
        for table in schema.tables:
            declared = {key.columns[0] for key in table.foreign_keys if len(key.columns) == 1}
            for column in table.columns:
                if column.name in declared or not columns[table.name, column.name].distinct:
                    continue
                for other, key, why in _candidates(schema, table, column):
                    if not _is_unique(other, key, columns) or _points_back(table, column, other, key, columns):
                        continue
                    found = self._contained(table, column, other, key)
                    if found[1] and found[0] >= CONTAINED * found[1]:
                        there = f"{table.name}.{column.name} are in {other.name}.{key.name}"
                        evidence = f"{_share(*found)} of {there}; {why}"
                        yield InferredKey(table.name, column.name, other.name, key.name, evidence)
                        break

    def _contained(self, table: Table, column: Column, other: Table, key: Column) -> tuple[int, int]:
        """Return how many of the column's distinct values are in the other table's key, and how many there are."""
        own = quoted_name(column.name)
        values = f"SELECT DISTINCT {own} AS v FROM {quoted_name(table.name)} WHERE {own} IS NOT NULL LIMIT {_COMPARED}"
        there = f"v IN (SELECT {quoted_name(key.name)} FROM {quoted_name(other.name)})"
        ((inside, every),) = self._ask(f"SELECT coalesce(sum({there}), 0), count(*) FROM ({values})")
        return int(inside), int(every)

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        outcome = self.executor.run(self.database, sql)
        if not outcome.ok:
            raise DatabaseError(f"{self.database}: {outcome.message}")
        return outcome.rows


def _candidates(schema: Schema, table: Table, column: Column) -> Iterator[tuple[Table, Column, str]]:
    """Yield (table, its key, why) for the keys that the column is called like, the likeliest first."""
    found: list[tuple[int, Table, Column, str]] = []
    own = _plain(column.name)
    for other in schema.tables:
        if len(other.primary_key) > 1 or other.name == table.name:
            continue
        for key in other.columns:
            if other.primary_key and key.name not in other.primary_key:
                continue
            title, name = _plain(other.name), _plain(key.name)
            titles = {title, title.removesuffix("s"), title.removesuffix("es"), re.sub("ies$", "y", title)}
            if own in {one + name for one in titles} and name:
                found.append((0, other, key, "it is called by that table and its key"))
            elif own == name and any(one and one in own for one in titles):
                found.append((1, other, key, "both are called the same"))
            elif own == name and own not in ("id", "name", "key", "code", "number", "no", "type", "year", "date"):
                found.append((2, other, key, "both are called the same"))
            elif key.name in other.primary_key and name.endswith("id") and own in titles:
                found.append((3, other, key, "it is called like that table"))
    for _, other, key, why in sorted(found, key=lambda one: one[0]):
        yield other, key, why


def _is_unique(table: Table, column: Column, columns: dict[tuple[str, str], ColumnProfile]) -> bool:
    """Return whether the column can be referred to: it is the table's key, or as good as one."""
    if table.primary_key == (column.name,):
        return True
    found = columns[table.name, column.name]
    whole = table.rows is not None and table.rows <= LOOKED_AT
    return whole and not found.nulls and found.distinct == table.rows and found.distinct > 1


def _points_back(
    table: Table, column: Column, other: Table, key: Column, columns: dict[tuple[str, str], ColumnProfile]
) -> bool:
    """Return whether the key would rather refer to the column: both are keys, and this one has more values."""
    if not _is_unique(table, column, columns):
        return False
    own, there = columns[table.name, column.name].distinct, columns[other.name, key.name].distinct
    return own > there or (own == there and table.name < other.name)


def _share(inside: int, every: int) -> str:
    count = "the first " if every == _COMPARED else ""
    return f"all {count}{every:,} values" if inside == every else f"{inside:,} of {count}{every:,} values"


def _shown(expression: str) -> str:
    """Return SQL for a value that fits on a line; blobs are none."""
    text = f"WHEN 'text' THEN substr({expression}, 1, {_LONGEST})"
    return f"CASE typeof({expression}) WHEN 'blob' THEN NULL {text} ELSE {expression} END"


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
