"""What a query is mainly about, in the six categories by which Defog's sql-eval divides its questions.

sql-eval's authors wrote questions for a category; here the category is told from the gold. Where a query has the marks
of several, the rarer one wins: a ratio, then dates, then ORDER BY with LIMIT, grouping, joins, plain ORDER BY, WHERE.
sql-eval calls `date` "date_functions" and `where` "instruct"; questions of the latter mostly join tables, and so does
their category here. Source: https://github.com/defog-ai/sql-eval, `data/questions_gen_*.csv`.

Not covered: what the question's own words stress; a query with none of the marks has no category.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from sqlglot import exp

from sqlwright.sql.parse import parse_query

Category = Literal["group_by", "order_by", "ratio", "table_join", "where", "date"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

_DATE_FUNCTIONS = frozenset(
    {"date", "datetime", "time", "julianday", "strftime", "unixepoch", "timediff", "date_part", "date_trunc", "age"}
)
# sqlglot has classes of its own for what dialects call by many names.
_DATE_CLASSES = (
    *(exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Interval, exp.Extract, exp.Year, exp.Month, exp.Day),
    *(
        exp.Date,
        exp.DateAdd,
        exp.DateSub,
        exp.DateDiff,
        exp.DateTrunc,
        exp.TimestampTrunc,
        exp.TimeToStr,
        exp.TsOrDsAdd,
    ),
)
_DATE_NAME = re.compile(r"date|year|month|time(?!s)|(?:^|_)(?:dt|at|day)$", re.IGNORECASE)
_DATE_TEXT = re.compile(r"\d{4}-\d{2}(?:-\d{2})?\b")
_RANGES = (exp.Between, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Sub)


def category(sql: str, dialect: str = "sqlite") -> Category | None:
    """Return the category of the first statement of `sql`; None where it has no mark of any, or can't be parsed."""
    tree = parse_query(sql, dialect)
    if tree is None:
        return None
    nodes = list(tree.walk())
    grouped = any(isinstance(node, exp.Group) for node in nodes)
    joined = any(isinstance(node, exp.Join) for node in nodes)
    ordered, limited = tree.args.get("order") is not None, tree.args.get("limit") is not None
    marks: tuple[tuple[bool, Category], ...] = (
        (any(_is_ratio(node) for node in nodes), "ratio"),
        (any(_is_about_dates(node) for node in nodes), "date"),
        (ordered and limited, "order_by"),
        (grouped and not (joined and ordered), "group_by"),
        (joined, "table_join"),
        (ordered, "order_by"),
        (any(isinstance(node, exp.Where) for node in nodes), "where"),
    )
    return next((name for holds, name in marks if holds), None)


def _is_ratio(node: exp.Expr) -> bool:
    """Return whether a node divides by something of the data; a division by a number only changes the unit."""
    return isinstance(node, exp.Div) and not isinstance(node.expression.unnest(), exp.Literal)


def _is_about_dates(node: exp.Expr) -> bool:
    """Return whether a node calls a date function, or compares or subtracts columns that are named like dates."""
    if isinstance(node, _DATE_CLASSES):
        return True
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in _DATE_FUNCTIONS
    if not isinstance(node, _RANGES):
        return False
    texts = (one.name for one in node.find_all(exp.Literal) if one.is_string)
    names = (one.name for one in node.find_all(exp.Column))
    return any(map(_DATE_TEXT.match, texts)) or any(map(_DATE_NAME.search, names))
