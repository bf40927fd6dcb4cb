"""Spider's official exact set match (EM) of two parsed queries, with its ten partial components.

Literals, the number of LIMIT, DISTINCT, join conditions and the order of the SELECT list and of conditions
don't count; columns tied by foreign keys are the same column. Sub-queries in conditions, and those in FROM,
are compared strictly; operands of INTERSECT, EXCEPT and UNION are compared as whole queries are.

Kept from the original: the keys of the outer query's tables hold inside set operands too, and the totals of
the component `and/or` are given the wrong way round. Its crash on two sub-queries in FROM isn't: they compare
as a bag.

Not covered: adding scores up (see `sqlwright.evaluation.spider_table`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlwright.sql.spider_query import (
    Column,
    Condition,
    Conditions,
    Expression,
    Order,
    Query,
    Selected,
    Value,
    conditions,
    connectors,
)

COMPONENTS = (
    "select",
    "select(no AGG)",
    "where",
    "where(no OP)",
    "group(no Having)",
    "group",
    "order",
    "and/or",
    "IUEN",
    "keywords",
)


class Partial(NamedTuple):
    """One component of one question: whether it is right, and whether either side has it at all.

    Its accuracy, recall and F1 are all 1 or all 0; the component counts towards the mean accuracy only if
    `in_prediction`, towards the mean recall only if `in_gold`.
    """

    correct: bool
    in_prediction: bool
    in_gold: bool


def exact_match(prediction: Query, gold: Query, keys: Mapping[str, str]) -> tuple[bool, dict[str, Partial]]:
    """Return whether two queries match exactly, and the partial components by name.

    `keys` maps columns to the first of the columns they are tied to by foreign keys (see `key_map`).
    """
    return _match(comparable(prediction, keys), comparable(gold, keys))


def comparable(query: Query, keys: Mapping[str, str]) -> Query:
    """Return the query without its literals and DISTINCTs, tied columns replaced by the first of them."""
    own_tables = {table for table in query.tables if isinstance(table, str)}
    tied = {column: first for column, first in keys.items() if column.split(".", 1)[0] in own_tables}
    return _with_columns(_without_values(query), tied)


def key_map(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each column in a foreign key, the first column of its group, both as `table.column`.

    `entry` is a database's entry in `tables.json`. A key joins the first group that holds either of its
    columns; groups that meet later aren't merged, and the later one wins.
    """
    tables = entry["table_names_original"]
    names = [
        f"{tables[table].lower()}.{column.lower()}" if table >= 0 else "*"
        for table, column in entry["column_names_original"]
    ]
    groups: list[set[int]] = []
    for one, other in entry["foreign_keys"]:
        group = next((known for known in groups if one in known or other in known), None)
        if group is None:
            group = set()
            groups.append(group)
        group |= {one, other}
    return {names[place]: names[min(group)] for group in groups for place in sorted(group)}


def _match(prediction: Query, gold: Query) -> tuple[bool, dict[str, Partial]]:
    parts = {
        "select": _as_bags(prediction.select, gold.select),
        "select(no AGG)": _as_bags(
            [item.expression for item in prediction.select], [item.expression for item in gold.select]
        ),
        "where": _as_bags(conditions(prediction.where), conditions(gold.where)),
        "where(no OP)": _as_bags(
            [condition.left for condition in conditions(prediction.where)],
            [condition.left for condition in conditions(gold.where)],
        ),
        "group(no Having)": _as_bags(
            [column.name.split(".", 1)[-1] for column in prediction.group],
            [column.name.split(".", 1)[-1] for column in gold.group],
        ),
        "group": _present(prediction.group, gold.group, _same_group(prediction, gold)),
        "order": _present(
            prediction.order,
            gold.order,
            prediction.order == gold.order and prediction.limit == gold.limit,
        ),
        "and/or": _connectors(prediction, gold),
        "IUEN": _set_operands(prediction, gold),
        "keywords": _as_bags(sorted(_keywords(prediction)), sorted(_keywords(gold))),
    }
    same = all(part.correct for part in parts.values()) and (
        not gold.tables or Counter(prediction.tables) == Counter(gold.tables)
    )
    return same, parts


def _as_bags(prediction: Iterable[Hashable], gold: Iterable[Hashable]) -> Partial:
    predicted, wanted = Counter(prediction), Counter(gold)
    return Partial(predicted == wanted, bool(predicted), bool(wanted))


def _present(prediction: object, gold: object, same: bool) -> Partial:
    """Return the score of a component that is there once or not at all."""
    if bool(prediction) != bool(gold):
        same = False
    return Partial(same or not (prediction or gold), bool(prediction), bool(gold))


def _same_group(prediction: Query, gold: Query) -> bool:
    columns = [column.name for column in prediction.group] == [column.name for column in gold.group]
    return columns and prediction.having == gold.having


def _connectors(prediction: Query, gold: Query) -> Partial:
    predicted, wanted = set(connectors(prediction.where)), set(connectors(gold.where))
    if predicted == wanted:
        return Partial(True, True, True)
    return Partial(False, in_prediction=bool(wanted), in_gold=bool(predicted))


def _set_operands(prediction: Query, gold: Query) -> Partial:
    pairs = list(zip(prediction.set_operands, gold.set_operands, strict=True))
    predicted = sum(one is not None for one, _ in pairs)
    wanted = sum(other is not None for _, other in pairs)
    matching = sum(_match(one, other)[0] for one, other in pairs if one is not None and other is not None)
    return Partial(predicted == wanted == matching, predicted > 0, wanted > 0)


def _keywords(query: Query) -> set[str]:
    found = {
        word
        for word, present in (
            ("where", query.where),
            ("group", query.group),
            ("having", query.having),
            ("limit", query.limit),
            ("except", query.except_),
            ("union", query.union),
            ("intersect", query.intersect),
        )
        if present
    }
    if query.order:
        found |= {"order", query.order.direction}
    for items in (query.joins, query.where, query.having):
        found |= {"or"} & set(connectors(items))
        for condition in conditions(items):
            found |= {"in", "like"} & {condition.comparison}
            if condition.negated:
                found.add("not")
    return found


def _without_values(query: Query) -> Query:
    """Return the query without literals and right-hand columns, in sub-queries of conditions too."""
    return replace(
        query,
        joins=_conditions_without_values(query.joins),
        where=_conditions_without_values(query.where),
        having=_conditions_without_values(query.having),
        intersect=query.intersect and _without_values(query.intersect),
        union=query.union and _without_values(query.union),
        except_=query.except_ and _without_values(query.except_),
    )


def _conditions_without_values(items: Conditions) -> Conditions:
    return tuple(
        item._replace(value=_only_query(item.value), second=_only_query(item.second))
        if isinstance(item, Condition)
        else item
        for item in items
    )


def _only_query(value: Value) -> Query | None:
    return _without_values(value) if isinstance(value, Query) else None


def _with_columns(query: Query, tied: Mapping[str, str]) -> Query:
    """Return the query with tied columns replaced and DISTINCT ignored, outside of nested queries."""
    return replace(
        query,
        distinct=None,
        select=tuple(Selected(item.aggregate, _expression(item.expression, tied)) for item in query.select),
        joins=_conditions_with_columns(query.joins, tied),
        where=_conditions_with_columns(query.where, tied),
        group=tuple(_column(column, tied) for column in query.group),
        having=_conditions_with_columns(query.having, tied),
        order=query.order and Order(query.order.direction, _expressions(query.order.by, tied)),
        intersect=query.intersect and _with_columns(query.intersect, tied),
        union=query.union and _with_columns(query.union, tied),
        except_=query.except_ and _with_columns(query.except_, tied),
    )


def _conditions_with_columns(items: Conditions, tied: Mapping[str, str]) -> Conditions:
    return tuple(
        item._replace(left=_expression(item.left, tied)) if isinstance(item, Condition) else item for item in items
    )


def _expressions(items: Sequence[Expression], tied: Mapping[str, str]) -> tuple[Expression, ...]:
    return tuple(_expression(item, tied) for item in items)


def _expression(item: Expression, tied: Mapping[str, str]) -> Expression:
    return Expression(item.operator, _column(item.left, tied), item.right and _column(item.right, tied))


def _column(column: Column, tied: Mapping[str, str]) -> Column:
    return Column(column.aggregate, tied.get(column.name, column.name), None)
