"""Columns written with their table: `SELECT name FROM singer` becomes `SELECT singer.name FROM singer`.

A small model names columns first and then picks a FROM that doesn't have them: most of its errors are `no such
column`. A target in this form makes it commit to a table with each column, and the FROM follows from what it wrote.
Aliases such as T1 give way to table names where that is unambiguous. Only those words change, in place; the rest of
the text stays. What can't be resolved with certainty (self-joins, correlated queries, unknown names, text that
doesn't parse) stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replace `text[start:end]`."""

    start: int
    end: int
    text: str


def qualify_columns(sql: str, tables: Mapping[str, Sequence[str]], *, joins_only: bool = False) -> str:
    """Return `sql` with its columns qualified by table names.

    `tables` maps each table of the database, as it should be spelt, to its columns. With `joins_only`, queries from
    one table whose columns stand bare stay so.
    """
    columns = {name.lower(): {column.lower() for column in own} for name, own in tables.items()}
    spelt = {name.lower(): name for name in tables}
    try:
        tree = sqlglot.parse_one(sql, dialect="sqlite")
        scopes = traverse_scope(tree) if isinstance(tree, exp.Query) else []
        if not scopes or any(column.table for scope in scopes for column in scope.external_columns):
            return sql
        # Inner scopes come first; an outer one lists their columns again.
        edits: dict[int, _Edit] = {}
        for scope in scopes:
            bare = len(scope.sources) == 1 and not any(column.table for column in scope.columns)
            if not (joins_only and bare):
                edits |= {edit.start: edit for edit in _scope_edits(scope, columns, spelt, edits)}
    except (SqlglotError, KeyError, _UnresolvedError):
        return sql
    for edit in sorted(edits.values(), key=lambda one: one.start, reverse=True):
        sql = sql[: edit.start] + edit.text + sql[edit.end :]
    return sql


class _UnresolvedError(Exception):
    """A name whose table can't be told."""


def _scope_edits(
    scope: Scope, columns: Mapping[str, set[str]], spelt: Mapping[str, str], known: Collection[int]
) -> list[_Edit]:
    """Return the edits of one query without those in it; `known` are the places that are edited already."""
    tables = {alias: source for alias, source in scope.sources.items() if isinstance(source, exp.Table)}
    names = [table.name.lower() for table in tables.values()]
    if len(tables) < len(scope.sources) or len(set(names)) < len(names) or not set(names) <= columns.keys():
        return []
    query = scope.expression
    made = {select.alias.lower() for select in query.selects if select.alias} if isinstance(query, exp.Query) else set()
    edits = []
    by_alias = {alias.lower(): table.name.lower() for alias, table in tables.items()}
    for column in scope.columns:
        name = column.name.lower()
        start, end = _place(column.args["table"] if column.table else column.this)
        if start in known:
            continue
        if column.table:
            owner = by_alias.get(column.table.lower())
            if owner is None:
                raise _UnresolvedError
            edits.append(_Edit(start, end, spelt[owner]))
            continue
        owners = [table for table in names if name in columns[table]]
        if not owners and (name in made or column.this.quoted):
            continue
        if len(owners) != 1 or name in made:
            raise _UnresolvedError
        edits.append(_Edit(start, start, f"{spelt[owners[0]]}."))
    for table in tables.values():
        if table.alias:
            _, end = _place(table.this)
            _, alias_end = _place(table.args["alias"].this)
            edits.append(_Edit(end, alias_end, ""))
    return edits


def _place(identifier: exp.Expression) -> tuple[int, int]:
    """Return where an identifier stands in the text, quotes included."""
    meta = identifier.meta
    return meta["start"], meta["end"] + 1
