"""Queries for what isn't there that can't find anything, and what they may have meant.

Not covered: NOT EXISTS, which small models write rightly; EXCEPT below the top.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlwright.databases import Schema
from sqlwright.sql.links import Known
from sqlwright.sql.parse import parse_query
from sqlwright.sql.scopes import Scope

_NO_VALUE = frozenset({"", "null", "none", "n/a", "nan"})
"""Texts that a query has in the place of NULL, in lower case."""

_DENIES = re.compile(r"\b(?:not|never|no|without|yet to)\b|n't\b", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def absent(sql: str, schema: Schema) -> list[str]:
    """Return what a query that finds nothing may have meant; nothing where it isn't of these forms.

    `JOIN … WHERE joined.column IS NULL` becomes a LEFT JOIN: rows that were joined have their keys. `a EXCEPT b`, where
    `a` holds references to `b`'s key, is turned round: all of `a` is in `b`. `NOT IN (SELECT column …)` leaves out
    NULLs: next to one, nothing is known not to be in. What is compared with NULL or with a text that stands for it is
    tested for NULL, and what is tested for NULL is compared with the empty text.
    """
    tree = parse_query(sql)
    if tree is None:
        return []
    known = Known(schema, "")
    try:
        turned = _turned(tree, known)
        forms = (
            _left_joined(tree, known),
            turned,
            _without_nulls(tree),
            _tested_for_null(tree),
            _tested_for_empty(tree),
        )
        return [one for one in forms if one is not None]
    except (SqlglotError, RecursionError):
        return []


def undated(sql: str, question: str) -> str | None:
    """Return a query with dates that the question doesn't give tested for NULL, where it asks for what didn't happen.

    Which rentals were not returned: `return_date = '2005-05-26'` is a date out of the schema's sample values. None
    where the question denies nothing or has a number, or the query compares with no date.
    """
    if not _DENIES.search(question) or any(letter.isdigit() for letter in question):
        return None
    tree = parse_query(sql)
    where = tree.args.get("where") if isinstance(tree, exp.Select) else None
    changed = False
    for test in list(where.find_all(exp.EQ)) if where is not None else ():
        value = test.expression
        dated = isinstance(test.this, exp.Column) and value.is_string and _DATE.match(value.name)
        if dated and test.find_ancestor(exp.Not, exp.Subquery, exp.Where) is where:
            test.replace(exp.Is(this=test.this.copy(), expression=exp.Null()))
            changed = True
    return tree.sql(dialect="sqlite") if tree is not None and changed else None


def _left_joined(tree: exp.Query, known: Known) -> str | None:
    copy = tree.copy()
    changed = False
    for select in list(copy.find_all(exp.Select)):
        scope = Scope(select, known, set())
        missing = {name for column in _missing(select) for name in _owners(scope, column)}
        for join in select.args.get("joins") or ():
            plain = not join.side and join.kind in ("", "INNER") and join.args.get("on") is not None
            if plain and join.this.alias_or_name.lower() in missing:
                join.set("kind", None)
                join.set("side", "LEFT")
                changed = True
    return copy.sql(dialect="sqlite") if changed else None


def _without_nulls(tree: exp.Query) -> str | None:
    copy = tree.copy()
    changed = False
    for test in list(copy.find_all(exp.In)):
        inner = test.args.get("query")
        inner = inner.this if isinstance(inner, exp.Subquery) else inner
        if isinstance(test.parent, exp.Not) and isinstance(inner, exp.Select) and not inner.args.get("group"):
            shown = inner.selects[0]
            if isinstance(shown, exp.Column):
                inner.where(exp.Not(this=exp.Is(this=shown.copy(), expression=exp.Null())), copy=False)
                changed = True
    return copy.sql(dialect="sqlite") if changed else None


def _tested_for_null(tree: exp.Query) -> str | None:
    copy = tree.copy()
    changed = False
    for test in list(copy.find_all(exp.EQ, exp.NEQ)):
        value = test.expression
        text = value.is_string and value.name.strip().lower() in _NO_VALUE and isinstance(test, exp.EQ)
        if isinstance(test.this, exp.Column) and (text or isinstance(value, exp.Null)):
            is_null = exp.Is(this=test.this.copy(), expression=exp.Null())
            test.replace(is_null if isinstance(test, exp.EQ) else exp.Not(this=is_null))
            changed = True
    return copy.sql(dialect="sqlite") if changed else None


def _tested_for_empty(tree: exp.Query) -> str | None:
    copy = tree.copy()
    tests = [one for select in copy.find_all(exp.Select) for one in _missing(select)]
    for column in tests:
        test = column.parent
        if isinstance(test, exp.Is):
            test.replace(exp.EQ(this=column.copy(), expression=exp.Literal.string("")))
    return copy.sql(dialect="sqlite") if tests else None


def _missing(select: exp.Select) -> Iterator[exp.Column]:
    """Yield the columns that the WHERE wants to be NULL."""
    where = select.args.get("where")
    for test in where.find_all(exp.Is) if where is not None else ():
        negated = isinstance(test.parent, exp.Not)
        if isinstance(test.expression, exp.Null) and isinstance(test.this, exp.Column) and not negated:
            yield test.this


def _owners(scope: Scope, column: exp.Column) -> list[str]:
    return [column.table.lower()] if column.table else scope.having(column.name.lower())


def _turned(tree: exp.Query, known: Known) -> str | None:
    if not isinstance(tree, exp.Except) or tree.args.get("order") or tree.args.get("limit"):
        return None
    left, right = (_only_column(side, known) for side in (tree.left, tree.right))
    if left is None or right is None:
        return None
    refers = any((link.table, link.column, link.other, link.other_column) == (*left, *right) for link in known.links)
    keys = known.tables[right[0]].primary_key
    if not refers or [key.lower() for key in keys] != [right[1]]:
        return None
    return f"{tree.right.sql(dialect='sqlite')} EXCEPT {tree.left.sql(dialect='sqlite')}"


def _only_column(side: exp.Expr, known: Known) -> tuple[str, str] | None:
    """Return (table, column) of a query of one column from one table without conditions."""
    if not isinstance(side, exp.Select) or len(side.selects) != 1 or not isinstance(side.selects[0], exp.Column):
        return None
    if any(side.args.get(part) for part in ("where", "group", "having", "limit")):
        return None
    scope = Scope(side, known, set())
    owners = _owners(scope, side.selects[0])
    table = scope.tables.get(owners[0], "") if len(scope.tables) == 1 and owners else ""
    return (table, side.selects[0].name.lower()) if table else None
