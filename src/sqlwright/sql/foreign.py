"""Queries for other engines in SQLite's words: `YEAR(x)`, `x::numeric`, `INTERVAL '7 days'`, `TOP 5` and the like.

Small models write them for every engine, whatever the prompt says. Which engine a query is for is told by what only
that one has. Not covered: functions that SQLite has no counterpart for (medians, JSON), texts in double quotes where
the engine is MySQL's.
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.transforms import eliminate_distinct_on

from sqlwright.sql.dates import call, dates_as_texts

_DIALECTS = {
    "tsql": r"SELECT\s+(?:DISTINCT\s+)?TOP\b|\b(?:GETDATE|DATEADD|DATEPART|LEN|ISNULL|CHARINDEX)\s*\("
    r"|\bDATEDIFF\s*\(\s*(?:YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)\s*,",
    "mysql": r"\b(?:DATE_FORMAT|DATE_SUB|DATE_ADD|CURDATE|DATEDIFF|TIMESTAMPDIFF|IF|LOCATE|STR_TO_DATE|RAND"
    r"|CONCAT(?:_WS)?|MONTHNAME|DAYNAME|QUARTER|LAST_DAY|NVL|STD)\s*\(|\bINTERVAL\s+-?\d|\bREGEXP\b",
    "postgres": r"::|~|\bILIKE\b|\bINTERVAL\s*'|\bFETCH\s+(?:FIRST|NEXT)\b|\bDISTINCT\s+ON\b|\bANY\s*\(\s*ARRAY"
    r"|\b(?:TO_CHAR|TO_DATE|DATE_PART|STRING_AGG|ARRAY_AGG|BOOL_OR|BOOL_AND|POSITION|NOW|LEFT|RIGHT|GREATEST|LEAST"
    r"|CHAR_LENGTH|STDDEV(?:_SAMP|_POP)?|VARIANCE|VAR_SAMP|VAR_POP)\s*\(|\bSUBSTRING\s*\([^(),]+\bFROM\b",
    "sqlite": r"\b(?:YEAR|MONTH|DAY|DAYOFMONTH|HOUR|MINUTE|EXTRACT|DATE_TRUNC)\s*\(",
}
"""What tells the engine that a query is for, the first one first."""
_PLAIN = re.compile(r"\^?[\w\s@.%-]*\$?")


def in_sqlite(sql: str) -> str:
    """Return `sql` in SQLite's words; `sql` itself where it has nothing of another engine's, or can't be read."""
    for dialect, signs in _DIALECTS.items():
        if re.search(signs, sql, re.IGNORECASE):
            try:
                tree = sqlglot.parse_one(sql, dialect=dialect)
                dates_as_texts(tree)
                _starts_as_dates(tree)
                return _with_functions(tree).sql(dialect="sqlite")
            except (SqlglotError, RecursionError):
                continue
    return sql


def _starts_as_dates(tree: exp.Expr) -> None:
    """Leave out the hours of a day's, month's or year's start: most columns have dates without them."""
    for one in list(tree.find_all(exp.Anonymous)):
        ways = [way.name for way in one.expressions[1:]]
        if one.name.lower() == "datetime" and any(way.startswith("start of") for way in ways):
            one.set("this", "date")


def _with_functions(tree: exp.Expr) -> exp.Expr:
    """Return the tree with other engines' functions and clauses made of what SQLite has."""
    for one in tree.find_all(exp.Ordered):  # NULL is small, as it is in SQLite: the largest come first
        one.set("nulls_first", not one.args.get("desc"))
    for select in list(tree.find_all(exp.Select)):
        limit = select.args.get("limit")
        if isinstance(limit, exp.Fetch):
            select.set("limit", exp.Limit(expression=limit.args["count"]))
        if isinstance(select.args.get("distinct"), exp.Distinct) and select.args["distinct"].args.get("on"):
            other = eliminate_distinct_on(select.copy())
            tree = other if select is tree else tree
            if select is not tree and select.parent:
                select.replace(other)
    for node in reversed(list(tree.find_all(exp.Func, exp.RegexpLike, exp.ILike, exp.EQ))):  # the inner ones first
        made = _made(node)
        if made is not None:
            tree = made if node is tree else tree
            node.replace(made)
    return tree


def _made(node: exp.Expr) -> exp.Expr | None:
    """Return what SQLite has in the place of a call; None where it has the function, or nothing for it."""
    one = exp.Literal.number(1)
    if isinstance(node, exp.Left):
        return call("substr", node.this, one, node.expression)
    if isinstance(node, exp.Right):
        return call("substr", node.this, exp.Neg(this=node.expression.copy()))
    if isinstance(node, exp.ConcatWs):
        between, *parts = node.expressions
        return _joined(between, parts) if parts else None
    if isinstance(node, exp.ArrayAgg):
        return exp.GroupConcat(this=node.this.copy())
    if isinstance(node, exp.ILike):
        return exp.Like(this=node.this.copy(), expression=node.expression.copy())
    if isinstance(node, exp.Anonymous) and node.name.upper() == "NOW":
        return exp.CurrentTimestamp()
    if isinstance(node, exp.RegexpLike) and node.expression.is_string and _PLAIN.fullmatch(node.expression.name):
        return exp.Like(this=node.this.copy(), expression=exp.Literal.string(_wildcards(node.expression.name)))
    if isinstance(node, exp.EQ) and isinstance(node.expression, exp.Any):
        array = node.expression.this.unnest()
        return exp.In(this=node.this.copy(), expressions=array.expressions) if isinstance(array, exp.Array) else None
    return _spread(node)


def _joined(between: exp.Expr, parts: list[exp.Expr]) -> exp.Expr:
    text = parts[0].copy()
    for part in parts[1:]:
        text = exp.DPipe(this=exp.DPipe(this=text, expression=between.copy()), expression=part.copy())
    return text


def _wildcards(pattern: str) -> str:
    start, end = "" if pattern.startswith("^") else "%", "" if pattern.endswith("$") else "%"
    return start + pattern.removeprefix("^").removesuffix("$").replace(".*", "%") + end


def _spread(node: exp.Expr) -> exp.Expr | None:
    """Return a variance or standard deviation as arithmetic on averages."""
    sample = isinstance(node, exp.Stddev | exp.StddevSamp | exp.Variance)
    if not sample and not isinstance(node, exp.StddevPop | exp.VariancePop):
        return None
    value = node.this.copy() if isinstance(node.this, exp.Column) else exp.paren(node.this.copy())
    mean, squares = call("avg", value), call("avg", exp.Mul(this=value.copy(), expression=value.copy()))
    spread: exp.Expr = exp.paren(exp.Sub(this=squares, expression=exp.Mul(this=mean, expression=mean.copy())))
    if sample:
        count = call("count", value)
        rest = exp.paren(exp.Sub(this=count.copy(), expression=exp.Literal.number(1)))
        spread = exp.Div(
            this=exp.Mul(this=spread, expression=count), expression=call("nullif", rest, exp.Literal.number(0))
        )
    return spread if isinstance(node, exp.Variance | exp.VariancePop) else call("sqrt", spread)
