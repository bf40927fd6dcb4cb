"""Which parts of SQL a query uses, by its words: for breakdowns in reports.

Works on any text, parsable or not. Not covered: what the parts mean (see `sqlwright.sql.hardness`).
"""

from __future__ import annotations

from sqlwright.sql.lexer import lex

_WORDS = {
    "join": "JOIN",
    "group by": "GROUP",
    "having": "HAVING",
    "order by": "ORDER",
    "limit": "LIMIT",
    "distinct": "DISTINCT",
    "like": "LIKE",
    "case": "CASE",
    "window": "OVER",
    "with": "WITH",
}
_SETS = frozenset({"UNION", "INTERSECT", "EXCEPT"})
_AGGREGATES = frozenset({"COUNT", "SUM", "AVG", "MIN", "MAX", "TOTAL", "GROUP_CONCAT"})


def features(sql: str) -> tuple[str, ...]:
    """Return the names of the parts that `sql` uses, such as `join`, `group by`, `nested query`, in a fixed order."""
    words = [text.upper() for kind, text in lex(sql) if kind == "word"]
    found = [name for name, word in _WORDS.items() if word in words]
    sets = sum(word in _SETS for word in words)
    if _AGGREGATES.intersection(words):
        found.append("aggregate")
    if sets:
        found.append("set operation")
    if words.count("SELECT") > 1 + sets:
        found.append("nested query")
    return tuple(found) or ("plain",)
