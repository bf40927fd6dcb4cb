"""Hardness of any SQL: Spider's idea of it, counted on sqlglot's tree instead of Spider's own parser.

It serves queries outside Spider's grammar: common table expressions, window functions, CASE, function calls, outer
joins, sub-queries anywhere. What Spider knows is counted as the official rule counts it (see
`sqlwright.sql.hardness`), so that the levels mean the same. What it doesn't know counts as the nearest thing it does: a
common table expression, a table made in FROM and a sub-query in any clause are nested queries, a window function and a
CASE are components; a function call and a test for NULL are no more than the clause they stand in.

Not covered: text that sqlglot can't parse, or that isn't a query, has no hardness; what a query costs to run.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from sqlwright.records import Hardness
from sqlwright.sql.hardness import level
from sqlwright.sql.parse import parse_query


def ast_hardness(sql: str, dialect: str = "sqlite") -> Hardness | None:
    """Return the hardness of the first statement of `sql`, None where it can't be parsed or isn't a query."""
    tree: exp.Expr | None = parse_query(sql, dialect)
    nested = 0
    # As in Spider, the first SELECT of a chain of set operators is the one that counts, and the others are nested.
    while isinstance(tree, exp.SetOperation | exp.Subquery):
        nested += isinstance(tree, exp.SetOperation) + len(tree.ctes)
        tree = tree.this
    if not isinstance(tree, exp.Select) or not tree.expressions:
        return None
    return level(_components(tree), _others(tree), nested + _nested(tree))


def _components(select: exp.Select) -> int:
    """Count WHERE, GROUP BY, ORDER BY, LIMIT, joins, ORs, LIKEs, CASEs and window functions."""
    clauses = sum(select.args.get(name) is not None for name in ("where", "group", "order", "limit"))
    words = sum(isinstance(node, exp.Or | exp.Like) for part in _condition_lists(select) for node in _own(part))
    return clauses + len(select.args.get("joins") or ()) + words + sum(1 for _ in _made_values(select))


def _made_values(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield CASEs and window functions of the query itself, wherever they stand."""
    for part in _parts(select):
        for node in _own(part):
            # sqlglot reads the arms of a CASE as IFs of their own, so the CASE alone counts.
            if isinstance(node, exp.Case | exp.Window):
                yield node


def _nested(select: exp.Select) -> int:
    """Count common table expressions, tables made in FROM and sub-queries in all clauses, not those within them."""
    return len(select.ctes) + sum(isinstance(node, exp.Query) for part in _parts(select) for node in _own(part))


def _others(select: exp.Select) -> int:
    """Count lists with more than one entry: aggregates, SELECT, conditions of WHERE, GROUP BY."""
    group, order, where, having = (select.args.get(name) for name in ("group", "order", "where", "having"))
    aggregates = sum(any(_aggregates(item)) for item in select.expressions)
    aggregates += sum(1 for part in (group, order) if part for _ in _aggregates(part))
    # Spider's rule takes a negated condition, and AND or OR in HAVING, for an aggregate.
    aggregates += sum(_negates(node) for part in (where, having) if part for node in _own(part))
    aggregates += sum(isinstance(node, exp.Connector) for node in (_own(having) if having else ()))
    more = where is not None and any(isinstance(node, exp.Connector) for node in _own(where))
    keys = len(group.expressions) if group else 0
    return (aggregates > 1) + (len(select.expressions) > 1) + more + (keys > 1)


def _aggregates(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the aggregates of the query itself; those of a window function are none."""
    for node in tree.walk(prune=lambda one: isinstance(one, exp.Query | exp.Window)):
        if isinstance(node, exp.AggFunc):
            yield node


def _negates(node: exp.Expr) -> bool:
    return isinstance(node, exp.Not) and not isinstance(node.this, exp.Is)


def _condition_lists(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield WHERE, HAVING and the conditions of joins."""
    joins = (join.args.get("on") for join in select.args.get("joins") or ())
    yield from (part for part in (select.args.get("where"), select.args.get("having"), *joins) if part)


def _parts(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield the clauses and columns of a query without its common table expressions."""
    for name, value in select.args.items():
        if name != "with_":
            yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, exp.Expr))


def _own(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the nodes of a tree; queries within it come as one node each."""
    yield from tree.walk(prune=lambda node: isinstance(node, exp.Query))
