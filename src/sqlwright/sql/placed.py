"""Texts that a query compares columns with, and the same query with such a text in another column or spelling.

TRUE and FALSE count as texts, and 0 and 1 where the column holds texts. Not covered: LIKE, ranges, other numbers, texts
compared with expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlwright.databases import Schema
from sqlwright.sql.links import Known, Link, identifier
from sqlwright.sql.parse import parse_query
from sqlwright.sql.scopes import Scope

_NO_TEXT = re.compile("INT|REAL|FLOA|DOUB|NUM|DEC|DATE|TIME|BOOL|BLOB", re.IGNORECASE)


def holds_texts(declared: str) -> bool:
    """Return whether a column of that declared type may hold texts."""
    return not _NO_TEXT.search(declared)


@dataclass(frozen=True, slots=True)
class Compared:
    """A text that a column must equal: `number` counts those of a query; table and column are in lower case."""

    number: int
    table: str
    column: str
    value: str


def compared_texts(sql: str, schema: Schema) -> list[Compared]:
    """Return the texts that columns of known tables are compared with, in order; none where `sql` can't be read."""
    tree = parse_query(sql)
    if tree is None:
        return []
    try:
        return [
            Compared(number, scope.tables[name], column.name.lower(), _text(value))
            for number, (scope, name, column, value) in enumerate(_comparisons(tree, Known(schema, "")))
        ]
    except (SqlglotError, RecursionError):
        return []


def with_text(
    sql: str, schema: Schema, number: int, table: str, column: str, value: str, *, part: bool = False
) -> str | None:
    """Return `sql` with the comparison `number` made with another column (names in lower case) and text.

    With `part`, the text need only be a part of what the column holds. A table that isn't there is joined. None where
    there is no way to it, or the comparison isn't one that a part can stand in.
    """
    tree = parse_query(sql)
    if tree is None:
        return None
    known = Known(schema, "")
    found = next((one for place, one in enumerate(_comparisons(tree, known)) if place == number), None)
    if found is None:
        return None
    scope, name, compared, literal = found
    test = literal.parent
    if part and not isinstance(test, exp.EQ):
        return None
    literal.replace(exp.Literal.string(f"%{value}%" if part else value))
    own = scope.tables[name]
    if table != own:
        places = [place for place, present in scope.tables.items() if present == table]
        if not places:
            path = _path(known, scope, own, compared.name.lower(), table)
            if not path:
                return None
            scope.join(path)
            places = [place for place, present in scope.tables.items() if present == table]
        scope.qualify(compared, places[-1])
    compared.set("this", identifier(known.columns[table][column]))
    if part and test is not None:
        test.replace(exp.Like(this=test.this, expression=test.expression))
    return tree.sql(dialect="sqlite")


def _path(known: Known, scope: Scope, own: str, column: str, table: str) -> list[Link]:
    """Return the way to a table: by the compared column itself where it refers to the table, else the shortest."""
    for link in known.links:
        if (link.table, link.column, link.other) == (own, column, table):
            return [link]
    present = [one for one in scope.tables.values() if one]
    path = known.path([own], table) or known.path(present, table)
    there = [number for number, link in enumerate(path, 1) if link.other in present]
    return path[max(there, default=0) :]


def _comparisons(tree: exp.Query, known: Known) -> Iterator[tuple[Scope, str, exp.Column, exp.Expr]]:
    """Yield each text compared with a column: its SELECT, the name of the column's table there, column and text."""
    made = {one.alias.lower() for one in tree.find_all(exp.CTE)}
    for select in list(tree.find_all(exp.Select)):
        scope = Scope(select, known, made)
        for node in list(select.find_all(exp.EQ, exp.NEQ, exp.In)):
            if node.find_ancestor(exp.Select) is not select:
                continue
            if isinstance(node, exp.In):
                sides = [(node.this, value) for value in node.expressions]
            else:
                sides = [(node.this, node.expression), (node.expression, node.this)]
            for column, value in sides:
                name = scope.owner(column) if isinstance(column, exp.Column) else ""
                if name and (_is_text(scope, value) or _is_flag(scope, name, column, value)):
                    yield scope, name, column, value
                    break


def _is_text(scope: Scope, value: exp.Expr) -> bool:
    """Return whether it is a text: also one in double quotes that names no column."""
    if isinstance(value, exp.Literal):
        return bool(value.is_string)
    if not isinstance(value, exp.Column) or value.table or not isinstance(value.this, exp.Identifier):
        return False
    return bool(value.this.quoted) and not scope.having(value.name.lower())


def _is_flag(scope: Scope, name: str, column: exp.Expr, value: exp.Expr) -> bool:
    """Return whether it is TRUE or FALSE, or their number where the column holds texts."""
    if isinstance(value, exp.Boolean):
        return True
    table = scope.known.tables[scope.tables[name]]
    holds = next(one.type for one in table.columns if one.name.lower() == column.name.lower())
    return isinstance(value, exp.Literal) and value.name in ("0", "1") and holds_texts(holds)


def _text(value: exp.Expr) -> str:
    return str(bool(value.this)).lower() if isinstance(value, exp.Boolean) else str(value.name)
