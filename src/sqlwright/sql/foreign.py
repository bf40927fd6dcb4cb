"""Functions of other engines in queries for SQLite: `YEAR(x)`, `DATE_FORMAT`, `TO_CHAR`, `CONCAT` and the like.

Not covered: functions that SQLite has no counterpart for; syntax beyond function calls.
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot.errors import SqlglotError

from sqlwright.sql.dates import dates_as_texts

_DIALECTS = {
    "postgres": "TO_CHAR|TO_DATE|DATE_PART|STRING_AGG|POSITION",
    "mysql": "DATE_FORMAT|CURDATE|NOW|DATEDIFF|CONCAT|LEFT|RIGHT|IF|LOCATE|STR_TO_DATE|RAND",
    "sqlite": "YEAR|MONTH|DAY|DAYOFMONTH|HOUR|MINUTE|EXTRACT|DATE_TRUNC",
}
"""The dialect that a query is read in, by the functions that it calls, the first one first."""


def in_sqlite(sql: str) -> str:
    """Return `sql` with other engines' functions as SQLite has them; `sql` itself where it calls none of them."""
    for dialect, names in _DIALECTS.items():
        if re.search(rf"\b(?:{names})\s*\(", sql, re.IGNORECASE):
            try:
                tree = sqlglot.parse_one(sql, dialect=dialect)
                dates_as_texts(tree)
                return tree.sql(dialect="sqlite")
            except (SqlglotError, RecursionError):
                return sql
    return sql
