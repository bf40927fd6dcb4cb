"""SQL text as sqlglot's tree, for what has to be right about structure and needn't be Spider's own parser.

Not covered: whether the query is valid; sqlglot is a parser, not a validator.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


def parse_query(sql: str, dialect: str = "sqlite") -> exp.Query | None:
    """Return the first statement of `sql` as a tree; None where it can't be parsed or isn't a query."""
    try:
        tree = next((one for one in sqlglot.parse(sql, dialect=dialect) if one is not None), None)
    except (SqlglotError, RecursionError):
        return None
    return tree if isinstance(tree, exp.Query) else None
