"""Foreign keys that nobody declared, inferred where names and data agree.

A column is called like another table's key (`customer_id`, `CustomerId`, `shipping_customer_id`, `customer` for
`customers.cid`), and at least 95 % of its values are there. Everything is asked through the executor, of the first
20,000 rows, so that large tables cost no more than small ones and the answer is the same every time.

Not covered: keys of several columns, keys whose names have nothing in common, servers (dozens of questions to a
database that others work with).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlwright.databases.engines import DUCKDB, SQLITE
from sqlwright.databases.executor import Executor
from sqlwright.databases.outcome import Limits
from sqlwright.databases.schema import Column, ForeignKey, Schema, Table, own_executor, quoted_name

CONTAINED = 0.95
LOOKED_AT = 20_000
_SEARCHED = 200_000
"""Rows of a table without an index that values are looked up in, at most."""
_LIMITS = Limits(seconds=10)
_FILES = (SQLITE.title, DUCKDB.title)
_GENERIC = frozenset({"id", "name", "key", "code", "number", "no", "type", "year", "date", "status"})
_ENDINGS = ("id", "code", "no", "key")
_ENDS_ALIKE = 4
"""From this rank on a column may refer to its own table."""
_Meant = tuple[int, int, str]
"""How likely a key is meant, 0 the likeliest; its number; why."""


@dataclass(frozen=True, slots=True)
class InferredKey:
    """`table.column` refers to `to_table.to_column`, though it isn't declared: `evidence` says why."""

    table: str
    column: str
    to_table: str
    to_column: str
    evidence: str


def with_inferred_keys(schema: Schema, executor: Executor | None = None) -> Schema:
    """Return the schema with inferred keys beside the declared ones; a server's as it is."""
    if schema.engine not in _FILES:
        return schema
    found: dict[str, list[ForeignKey]] = {}
    for key in inferred_keys(schema, executor):
        found.setdefault(key.table, []).append(ForeignKey((key.column,), key.to_table, (key.to_column,)))
    tables = (replace(table, foreign_keys=(*table.foreign_keys, *found.get(table.name, ()))) for table in schema.tables)
    return replace(schema, tables=tuple(tables)) if found else schema


def inferred_keys(schema: Schema, executor: Executor | None = None) -> Iterator[InferredKey]:
    """Yield the keys of a SQLite or DuckDB file that names and data agree on, at most one for a column without any."""
    data = _Data(schema, executor or own_executor())
    names = _Names(schema)
    for table in schema.tables:
        declared = {key.columns[0] for key in table.foreign_keys if len(key.columns) == 1}
        for column in table.columns:
            if column.name in declared:
                continue
            for other, key, why in names.candidates(table, column):
                if not data.is_key(other, key) or data.points_back(table, column, other, key):
                    continue
                inside, every = data.contained(table, column, other, key)
                if every and inside >= CONTAINED * every:
                    there = f"{table.name}.{column.name} are in {other.name}.{key.name}"
                    yield InferredKey(
                        table.name, column.name, other.name, key.name, f"{_share(inside, every)} of {there}; {why}"
                    )
                    break


class _Names:
    """Keys by what the columns that mean them are called: how likely, which one, why.

    A prefix that all tables and columns have is left out.
    """

    def __init__(self, schema: Schema) -> None:
        every = [name_words(name) for table in schema.tables for name in (table.name, *(c.name for c in table.columns))]
        first = {words[0] for words in every if words}
        self._prefix = first.pop() if len(first) == 1 and len(schema.tables) > 1 else None
        self._keys: list[tuple[Table, Column]] = []
        self._whole: dict[str, list[_Meant]] = {}
        self._ends: dict[tuple[str, ...], list[_Meant]] = {}
        self._ends_in_table: dict[tuple[str, ...], list[_Meant]] = {}
        for table in schema.tables:
            for column in table.columns:
                if table.primary_key in ((), (column.name,)):
                    for title in _titles(self._of(table.name)):
                        self._add(len(self._keys), title, self._of(column.name), declared=bool(table.primary_key))
                    self._keys.append((table, column))

    def _add(self, number: int, title: tuple[str, ...], key: tuple[str, ...], *, declared: bool) -> None:
        name, called = "".join(key), "".join(title)
        if not name or not called:
            return
        self._whole.setdefault(called + name, []).append((0, number, "it is called by that table and its key"))
        if len(called) > 2 and name.startswith(called):
            self._whole.setdefault(name, []).append((1, number, "both are called the same"))
        elif name not in _GENERIC:
            self._whole.setdefault(name, []).append((3, number, "both are called the same"))
        if declared:
            for text in (called, *(called + ending for ending in _ENDINGS)):
                self._whole.setdefault(text, []).append((2, number, "it is called like that table"))
            for words in (title + key, *([key] if len(key) > 1 else [])):
                self._ends.setdefault(words, []).append((_ENDS_ALIKE, number, "its name ends like that key's"))
            if called not in _GENERIC:
                self._ends_in_table.setdefault(title, []).append((5, number, "its name ends like that table's"))

    def candidates(self, table: Table, column: Column) -> Iterator[tuple[Table, Column, str]]:
        """Yield (table, its key, why) for the keys that the column is called like, the likeliest first."""
        own = self._of(column.name)
        while len(own) > 1 and own[-1].isdigit():
            own = own[:-1]
        bare = own[:-1] if own and own[-1] in _ENDINGS else own
        meant = list(self._whole.get("".join(own), ()))
        for start in range(1, len(own)):
            meant += self._ends.get(own[start:], ())
            meant += self._ends_in_table.get(bare[start:], ())
        seen = set()
        for rank, number, why in sorted(meant):
            other, key = self._keys[number]
            if number not in seen and (other.name != table.name or (rank >= _ENDS_ALIKE and key != column)):
                seen.add(number)
                yield other, key, why

    def _of(self, name: str) -> tuple[str, ...]:
        words = name_words(name)
        return words[1:] if len(words) > 1 and words[0] == self._prefix else words


class _Data:
    """Asks one database about its values; what can't be told in time is no evidence."""

    def __init__(self, schema: Schema, executor: Executor) -> None:
        self._path, self._executor = schema.path, executor
        self._unique: dict[tuple[str, str], bool] = {}

    def is_key(self, table: Table, column: Column) -> bool:
        """Return whether the column can be referred to: it is the table's key, or as good as one."""
        if table.primary_key == (column.name,):
            return True
        name = (table.name, column.name)
        if name not in self._unique:
            small = table.rows is not None and 1 < table.rows <= _SEARCHED
            own = quoted_name(column.name)
            source = f"(SELECT {own} FROM {quoted_name(table.name)} LIMIT {LOOKED_AT}) AS looked_at"
            row = self._ask(f"SELECT count(*), count(DISTINCT {own}) FROM {source}") if small else None
            self._unique[name] = row is not None and row[0] == row[1] > 1
        return self._unique[name]

    def points_back(self, table: Table, column: Column, other: Table, key: Column) -> bool:
        """Return whether the key would rather refer to the column: it does, or both are keys and it has fewer rows."""
        back = ForeignKey((key.name,), table.name, (column.name,))
        if back in other.foreign_keys:
            return True
        if column.name.lower() != key.name.lower() or not self.is_key(table, column):
            return False
        primary, there = (one.primary_key == (name.name,) for one, name in ((table, column), (other, key)))
        if primary != there:
            return primary
        own, others = (one.rows if one.rows is not None else float("inf") for one in (table, other))
        return own > others or (own == others and table.name < other.name)

    def contained(self, table: Table, column: Column, other: Table, key: Column) -> tuple[int, int]:
        """Return how many of the column's distinct values are in the other table's key, and how many there are."""
        own = quoted_name(column.name)
        rows = f"SELECT {own} FROM {quoted_name(table.name)} LIMIT {LOOKED_AT}"
        values = f"SELECT DISTINCT {own} AS v FROM ({rows}) AS looked_at WHERE {own} IS NOT NULL"
        there = f"v IN (SELECT {quoted_name(key.name)} FROM {quoted_name(other.name)})"
        row = self._ask(f"SELECT count(CASE WHEN {there} THEN 1 END), count(*) FROM ({values}) AS different")
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _ask(self, sql: str) -> tuple[Any, ...] | None:
        outcome = self._executor.run(self._path, sql, limits=_LIMITS)
        return outcome.rows[0] if outcome.ok else None


def name_words(text: str) -> tuple[str, ...]:
    """Return the words of a name or a text in lower case; capitals begin one (`CustomerId`), where all is ASCII."""
    return tuple(
        word.lower()
        for token in re.findall(r"[^\W_]+", text)
        for word in (re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", token) if token.isascii() else [token])
    )


def _titles(words: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    """Return a table's words with the last one as it is and as it may be in the singular."""
    *first, last = words or ("",)
    endings = (last, last.removesuffix("s"), last.removesuffix("es"), re.sub("ies$", "y", last))
    return dict.fromkeys((*first, one) for one in endings)


def _share(inside: int, every: int) -> str:
    return f"all {every:,} values" if inside == every else f"{inside:,} of {every:,} values"
