"""Style `ddl`: plain CREATE TABLE statements, a column per line, keys as constraints, no sample values."""

from __future__ import annotations

from sqlwright.databases import Schema, Table
from sqlwright.prompts.style import Style, no_relations, plain_question
from sqlwright.sql.names import quoted


def _table(table: Table, _schema: Schema) -> str:
    lines = [f"    {quoted(column.name)} {column.type}".rstrip() for column in table.columns]
    if table.primary_key:
        lines.append(f"    PRIMARY KEY ({', '.join(map(quoted, table.primary_key))})")
    for key in table.foreign_keys:
        target = f" ({', '.join(map(quoted, key.to_columns))})" if key.to_columns else ""
        columns = ", ".join(map(quoted, key.columns))
        lines.append(f"    FOREIGN KEY ({columns}) REFERENCES {quoted(key.table)}{target}")
    return f"CREATE TABLE {quoted(table.name)} (\n" + ",\n".join(lines) + "\n);"


STYLE = Style(
    name="ddl",
    instruction="You write SQLite queries. Answer with one SELECT statement for the given database and nothing else.",
    table=_table,
    relations=no_relations,
    ask=plain_question,
    joint="\n\n",
)
