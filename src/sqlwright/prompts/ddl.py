"""Style `ddl`: plain CREATE TABLE statements, a column per line, keys as constraints, no sample values.

Descriptions stand in comments behind the lines.
"""

from __future__ import annotations

from sqlwright.databases import Schema, Table
from sqlwright.prompts.style import Style, one_line
from sqlwright.sql.names import quoted


def create_table(table: Table, *, foreign_keys: bool = True) -> str:
    """Return the table as a statement, a column per line, its keys as constraints."""
    lines = [(f"    {quoted(column.name)} {column.type}".rstrip(), column.description) for column in table.columns]
    if table.primary_key:
        lines.append((f"    PRIMARY KEY ({', '.join(map(quoted, table.primary_key))})", ""))
    for key in table.foreign_keys if foreign_keys else ():
        target = f" ({', '.join(map(quoted, key.to_columns))})" if key.to_columns else ""
        columns = ", ".join(map(quoted, key.columns))
        lines.append((f"    FOREIGN KEY ({columns}) REFERENCES {quoted(key.table)}{target}", ""))
    # The comma stands before the comment: behind it, it would be part of it.
    texts = [
        f"{line}{',' if number < len(lines) else ''}{_comment(told)}" for number, (line, told) in enumerate(lines, 1)
    ]
    return f"CREATE TABLE {quoted(table.name)} ({_comment(table.description)}\n" + "\n".join(texts) + "\n);"


def _table(table: Table, _schema: Schema) -> str:
    return create_table(table)


def _comment(text: str) -> str:
    return f" -- {one_line(text)}" if text else ""


STYLE = Style(
    name="ddl",
    instruction="You write SQLite queries. Answer with one SELECT statement for the given database and nothing else.",
    table=_table,
    joint="\n\n",
)
