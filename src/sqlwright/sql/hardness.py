"""Spider's hardness of a query: easy, medium, hard or extra, counted exactly as the official scorer does.

The count differs from its published description in three ways that decide the recorded levels: HAVING doesn't
count as a component; a negated condition counts as an aggregate, and so does every AND or OR in HAVING; real
aggregates in WHERE and HAVING don't.

Not covered: queries outside Spider's grammar have no hardness here (see `sqlwright.sql.ast_hardness`).
"""

from __future__ import annotations

from sqlwright.records import Hardness
from sqlwright.sql.spider_query import Query, conditions, connectors


def hardness(query: Query) -> Hardness:
    """Return the official hardness of a parsed query."""
    return level(_components(query), _others(query), _nested(query))


def level(components: int, others: int, nested: int) -> Hardness:
    """Return the hardness that the three counts of the official rule make."""
    if nested == 0:
        if components <= 1 and others == 0:
            return "easy"
        if (components <= 1 and others <= 2) or (components <= 2 and others < 2):
            return "medium"
        if (components <= 2 and others > 2) or (components == 3 and others <= 2):
            return "hard"
    elif nested == 1 and components <= 1 and others == 0:
        return "hard"
    return "extra"


def _components(query: Query) -> int:
    """Count WHERE, GROUP BY, ORDER BY, LIMIT, joins, ORs and LIKEs."""
    every = (query.joins, query.where, query.having)
    return (
        bool(query.where)
        + bool(query.group)
        + (query.order is not None)
        + query.limit
        + max(0, len(query.tables) - 1)
        + sum(connectors(items).count("or") for items in every)
        + sum(condition.comparison == "like" for items in every for condition in conditions(items))
    )


def _nested(query: Query) -> int:
    """Count sub-queries of conditions and set operators; those in FROM don't count."""
    found = sum(operand is not None for operand in query.set_operands)
    for items in (query.joins, query.where, query.having):
        for condition in conditions(items):
            found += isinstance(condition.value, Query) + isinstance(condition.second, Query)
    return found


def _others(query: Query) -> int:
    """Count lists with more than one entry: aggregates, SELECT, WHERE, GROUP BY."""
    ordered = [
        column
        for expression in (query.order.by if query.order else ())
        for column in (expression.left, expression.right)
        if column
    ]
    aggregates = (
        sum(item.aggregate != "none" for item in query.select)
        + sum(condition.negated for condition in conditions(query.where))
        + sum(column.aggregate != "none" for column in query.group)
        + sum(column.aggregate != "none" for column in ordered)
        + sum(condition.negated for condition in conditions(query.having))
        + len(connectors(query.having))
    )
    return (aggregates > 1) + (len(query.select) > 1) + (len(query.where) > 1) + (len(query.group) > 1)
