"""Table and column names as SQLite reads them back.

Not covered: other dialects' quotes.
"""

from __future__ import annotations


def quoted(name: str) -> str:
    """Return an identifier as SQLite reads it back, in double quotes only where it needs them."""
    plain = name.replace("_", "a").isalnum() and name.isascii() and not name[:1].isdigit()
    if plain and name.upper() not in KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """Return a value as a literal: NULL, a number, or a text in single quotes."""
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


# fmt: off
KEYWORDS = frozenset(
    {
        "ADD", "ALL", "ALTER", "AND", "AS", "ASC", "AUTOINCREMENT", "BETWEEN", "BY", "CASE", "CAST", "CHECK",
        "COLLATE", "COLUMN", "COMMIT", "CONSTRAINT", "CREATE", "CROSS", "DEFAULT", "DEFERRABLE", "DELETE", "DESC",
        "DISTINCT", "DROP", "ELSE", "ESCAPE", "EXCEPT", "EXISTS", "FOREIGN", "FROM", "FULL", "GROUP", "HAVING", "IF",
        "IN", "INDEX", "INNER", "INSERT", "INTERSECT", "INTO", "IS", "ISNULL", "JOIN", "LEFT", "LIKE", "LIMIT",
        "NATURAL", "NOT", "NOTHING", "NOTNULL", "NULL", "ON", "OR", "ORDER", "OUTER", "PRIMARY", "RAISE",
        "REFERENCES", "RETURNING", "RIGHT", "SELECT", "SET", "TABLE", "THEN", "TO", "TRANSACTION", "UNION", "UNIQUE",
        "UPDATE", "USING", "VALUES", "VIEW", "WHEN", "WHERE", "WITH",
    }
)
# fmt: on
"""Words that SQLite doesn't read as names without quotes."""
