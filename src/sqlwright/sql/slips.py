"""Slips: queries that run and say what nobody means, said otherwise.

A column shown twice, rows ordered by whether a test holds, a column compared with the first of a query's many rows, one
that a query within shows although none of its tables has it (it is the outer query's, and says nothing there), and one
that is shown although WHERE gives its value, beside a table with such a column that is joined for nothing. No gold of
Spider's training part has such a thing but by mistake. What is returned is a proposal.

Not covered: what is shown twice by other names for the table; tests among the columns shown.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from sqlwright.databases import Schema
from sqlwright.sql.scopes import Scope, rewritten

_TESTS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between, exp.Like)


def slips(sql: str, schema: Schema, question: str) -> str | None:
    """Return what `sql` likely means; None where it has no such slip.

    A column shown twice is that of another table the question names, or is shown once; `ORDER BY price > 100` without
    a LIMIT is a condition; `= (SELECT …)` of many rows is IN; a column that no table of a query within has is
    that of the nearest table that has it, which is joined; a column whose value is given is the joined table's.
    """
    return rewritten(sql, schema, question, _said_otherwise)


def _said_otherwise(scope: Scope) -> bool:
    changed = _test_as_order(scope.select) | _one_of_many(scope.select)
    return changed if scope.unknown else changed | _shown_twice(scope) | _from_outside(scope) | _given(scope)


def one_column(node: exp.Expr | None) -> tuple[exp.Select, exp.Column] | None:
    """Return the query in parentheses that `node` is and the column that it shows, if it shows one of all its rows."""
    inner = node.this if isinstance(node, exp.Subquery) else node
    if not isinstance(inner, exp.Select) or inner.args.get("limit") or len(inner.selects) != 1:
        return None
    shown = inner.selects[0]
    return (inner, shown) if isinstance(shown, exp.Column) else None


def as_membership(test: exp.EQ) -> exp.In:
    """Put `column IN (query)` in the place of `column = (query)` and return it."""
    query = test.expression
    found = exp.In(this=test.this.copy(), query=query if isinstance(query, exp.Subquery) else exp.Subquery(this=query))
    test.replace(found)
    return found


def _one_of_many(select: exp.Select) -> bool:
    changed = False
    for test in list(select.find_all(exp.EQ)):
        own = test.find_ancestor(exp.Select) is select
        if own and isinstance(test.this, exp.Column) and one_column(test.expression):
            as_membership(test)
            changed = True
    return changed


def _from_outside(scope: Scope) -> bool:
    """Show a column of its own tables in a query within that shows one of the query around it."""
    select = scope.select
    shown = one_column(select)
    if shown is None or select.find_ancestor(exp.Select) is None or isinstance(select.parent, exp.Exists):
        return False
    column, name = shown[1], shown[1].name.lower()
    if column.table or isinstance(column.this, exp.Star) or scope.having(name) or not scope.known.owners(name):
        return False
    present = list(scope.tables.values())
    if any(link.column == name and link.other in present for link in scope.known.links):
        return False  # it refers to a column here, which `sql.relink` shows in its place
    paths = sorted((path for table in scope.known.owners(name) if (path := scope.known.path(present, table))), key=len)
    if not paths or (len(paths) > 1 and len(paths[0]) == len(paths[1])):
        return False
    scope.join(paths[0])
    column.replace(scope.column(scope.having(name)[-1], name))
    return True


def _given(scope: Scope) -> bool:
    """Show the same columns of the table that is joined for nothing, where what is shown is what WHERE gives."""
    select = scope.select
    shown = [one for one in select.selects if isinstance(one, exp.Column) and not isinstance(one.this, exp.Star)]
    owners = {scope.owner(one) for one in shown}
    if len(shown) < len(select.selects) or len(owners) != 1 or len(scope.tables) < 2 or select.args.get("group"):
        return False
    (own,) = owners
    names = [one.name.lower() for one in shown]
    given = {column.name.lower() for column in _compared_with_literals(select) if scope.owner(column) == own}
    if not own or given.isdisjoint(names):
        return False
    joined = {id(one) for join in select.args.get("joins") or () for one in join.find_all(exp.Column)}
    used = {scope.owner(one) for one in scope.columns() if id(one) not in joined}
    others = [
        place
        for place, table in scope.tables.items()
        if place not in used and scope.known.columns[table].keys() >= set(names)
    ]
    if "" in used or len(others) != 1:
        return False
    for one, name in zip(shown, names, strict=True):
        one.replace(scope.column(others[0], name))
    return True


def _compared_with_literals(select: exp.Select) -> Iterator[exp.Column]:
    where = select.args.get("where")
    for test in where.find_all(exp.EQ) if where else ():
        sides = (test.this, test.expression)
        if test.find_ancestor(exp.Select) is select and any(isinstance(one, exp.Literal) for one in sides):
            yield from (one for one in sides if isinstance(one, exp.Column))


def _test_as_order(select: exp.Select) -> bool:
    """Make conditions of tests that rows are ordered by; return whether there are any."""
    order = select.args.get("order")
    tests = [one for one in order.expressions if isinstance(one.this, _TESTS)] if order else []
    if order is None or not tests or select.args.get("limit"):
        return False
    for one in tests:
        grouped = one.this.find(exp.AggFunc) is not None
        if grouped and not select.args.get("group"):
            return False
        (select.having if grouped else select.where)(one.this.copy(), copy=False)
    left = [one for one in order.expressions if one not in tests]
    select.set("order", exp.Order(expressions=left) if left else None)
    return True


def _shown_twice(scope: Scope) -> bool:
    """Show a column of another table for one that is shown again, else show it once; return whether any was."""
    select = scope.select
    seen: set[tuple[str, str]] = set()
    changed = False
    for shown in list(select.selects):
        if not isinstance(shown, exp.Column) or isinstance(shown.this, exp.Star):
            continue
        column = shown.name.lower()
        name = scope.owner(shown)
        if not name:
            continue
        if (name, column) not in seen:
            seen.add((name, column))
            continue
        other = _namesake(scope, column, seen)
        if other:
            shown.replace(scope.column(other, column))
            seen.add((other, column))
        elif len(select.selects) > 1 and not _of_set(select):
            select.set("expressions", [one for one in select.selects if one is not shown])
        else:
            continue
        changed = True
    return changed


def _namesake(scope: Scope, column: str, seen: set[tuple[str, str]]) -> str | None:
    """Return the one table that the question names and that has the column, too; it is joined if it isn't there."""
    tables = [table for table in scope.known.owners(column) if scope.known.asked(table)]
    used = {scope.tables[name] for name, own in seen if own == column}
    others = [table for table in tables if table not in used]
    if len(others) != 1:
        return None
    if others[0] not in scope.tables.values():
        path = scope.known.path(list(scope.tables.values()), others[0])
        if not path:
            return None
        scope.join(path)
    return next(name for name, table in scope.tables.items() if table == others[0])


def _of_set(select: exp.Select) -> bool:
    """Return whether other SELECTs have to show as many columns."""
    return isinstance(select.parent, exp.SetOperation)
