"""A query as Spider's official scorer compares it: nested, hashable values without positions or texts.

Equality of two `Query` values is the scorer's own strict equality of structures (used for sub-queries); the
loose comparison of whole queries lives in `sqlwright.evaluation.spider_exact_match`.

Not covered: anything outside Spider's grammar (see `sqlwright.sql.spider_grammar`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

AGGREGATES = ("none", "max", "min", "count", "sum", "avg")
ARITHMETIC = ("none", "-", "+", "*", "/")
COMPARISONS = ("not", "between", "=", ">", "<", ">=", "<=", "!=", "in", "like", "is", "exists")
SET_OPERATORS = ("intersect", "union", "except")
ALL_COLUMNS = "*"


class Column(NamedTuple):
    """A column with its own aggregate; `name` is `table.column`, or `*`. `distinct` is None once ignored."""

    aggregate: str
    name: str
    distinct: bool | None


class Expression(NamedTuple):
    """One column, or two joined by an arithmetic operator (`none` for one)."""

    operator: str
    left: Column
    right: Column | None


class Selected(NamedTuple):
    """An item of the SELECT list: an aggregate around an expression."""

    aggregate: str
    expression: Expression


class Condition(NamedTuple):
    """`left [NOT] comparison value [AND second]`; plain values are None once ignored."""

    negated: bool
    comparison: str
    left: Expression
    value: Value
    second: Value


class Order(NamedTuple):
    """ORDER BY: one direction for the whole list (the last one written), and the expressions in order."""

    direction: str
    by: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT statement. Condition lists alternate conditions and the words `and`/`or`.

    `tables` holds table names and sub-queries in the order of the FROM clause; `limit` says whether there is
    one.
    """

    distinct: bool | None = False
    select: tuple[Selected, ...] = ()
    tables: tuple[str | Query, ...] = ()
    joins: Conditions = ()
    where: Conditions = ()
    group: tuple[Column, ...] = ()
    having: Conditions = ()
    order: Order | None = None
    limit: bool = False
    intersect: Query | None = None
    union: Query | None = None
    except_: Query | None = None

    @property
    def set_operands(self) -> tuple[Query | None, Query | None, Query | None]:
        """The right-hand queries of INTERSECT, EXCEPT and UNION; at most one is there."""
        return self.intersect, self.except_, self.union


Value = Query | Column | float | str | None
Conditions = tuple[Condition | str, ...]
EMPTY = Query()


def conditions(items: Conditions) -> tuple[Condition, ...]:
    """Return the conditions of a list, without the words between them."""
    return tuple(item for item in items[::2] if isinstance(item, Condition))


def connectors(items: Conditions) -> tuple[str, ...]:
    """Return the words `and` and `or` of a condition list, in order."""
    return tuple(item for item in items[1::2] if isinstance(item, str))
