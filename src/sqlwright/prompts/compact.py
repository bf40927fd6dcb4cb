"""Style `compact`: one line of DDL per table, with keys; descriptions and sample values in comments behind columns.

It keeps the look of CREATE TABLE, which models know from pre-training, without its line breaks and constraints.
"""

from __future__ import annotations

import re

from sqlwright.databases import Schema, Table
from sqlwright.prompts.style import Style, one_line
from sqlwright.sql.names import literal, quoted


def _table(table: Table, _schema: Schema) -> str:
    single = {key.columns[0]: key for key in table.foreign_keys if len(key.columns) == 1}
    parts = []
    for column in table.columns:
        # VARCHAR(40) says no more to the model than VARCHAR, and costs three tokens per column.
        kind = re.sub(r"\s*\(.*\)", "", column.type)
        part = quoted(column.name) + (f" {kind}" if kind else "")
        if table.primary_key == (column.name,):
            part += " PRIMARY KEY"
        key = single.get(column.name)
        if key:
            target = f"({quoted(key.to_columns[0])})" if key.to_columns else ""
            part += f" REFERENCES {quoted(key.table)}{target}"
        told = "; ".join(filter(None, [one_line(column.description), ", ".join(map(literal, column.samples))]))
        if told:
            part += f" /* {told.replace('*/', '* /')} */"
        parts.append(part)
    if len(table.primary_key) > 1:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, table.primary_key))})")
    for key in table.foreign_keys:
        if len(key.columns) > 1:
            target = f" ({', '.join(map(quoted, key.to_columns))})" if key.to_columns else ""
            parts.append(f"FOREIGN KEY ({', '.join(map(quoted, key.columns))}) REFERENCES {quoted(key.table)}{target}")
    told = f" -- {one_line(table.description)}" if table.description else ""
    return f"CREATE TABLE {quoted(table.name)} ({', '.join(parts)});{told}"


STYLE = Style(
    name="compact",
    instruction="You write SQLite queries. Answer with one SELECT statement for the given database and nothing else.",
    table=_table,
)
