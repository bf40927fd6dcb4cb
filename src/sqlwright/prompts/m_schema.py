"""Style `m-schema`: XiYan-SQL's M-Schema: a line per column in round brackets, foreign keys in a list of their own.

Its marks (【DB_ID】, 【Schema】, `# Table:`, `Primary Key`, `Examples:`, 【Foreign keys】) are M-Schema's;
the sentence before them is our own. Examples are shown for text and date columns; M-Schema has them for numbers too.

Source: "A Preview of XiYan-SQL" (arXiv 2411.08599) and github.com/XGenerationLab/M-Schema.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlwright.databases import Column, Schema, Table
from sqlwright.prompts.style import Style, facts, one_line


def _table(table: Table, _schema: Schema) -> str:
    title = f"# Table: {table.name}" + (f", {one_line(table.description)}" if table.description else "")
    return f"{title}\n[\n" + ",\n".join(_column(column, table) for column in table.columns) + "\n]"


def _column(column: Column, table: Table) -> str:
    kind = re.sub(r"\s*\(.*\)", "", column.type).upper()
    parts = [f"{column.name}:{kind}" if kind else column.name]
    parts += [one_line(column.description)] if column.description else []
    parts += ["Primary Key"] if column.name in table.primary_key else []
    parts += [f"Examples: [{', '.join(column.samples)}]"] if column.samples else []
    return f"({', '.join(parts)})"


def _relations(schema: Schema) -> str:
    lines = [
        f"{table.name}.{own}={key.table}.{other}"
        for table in schema.tables
        for key in table.foreign_keys
        for own, other in zip(key.columns, key.to_columns, strict=False)
    ]
    return "\n".join(["【Foreign keys】", *lines]) if lines else ""


def _frame(tables: str, schema: Schema) -> str:
    known = facts(schema)
    notes = ["【Reference information】", *known] if known else []
    return "\n".join([f"【DB_ID】 {schema.name}", "【Schema】", tables, *notes])


def _ask(text: str, evidence: str, values: Sequence[str] = (), /) -> str:
    hint = f"【Evidence】 {one_line(evidence)}\n" if evidence.strip() else ""
    found = f"\n【Values in the data】 {'; '.join(values)}" if values else ""
    return f"{hint}【User question】 {one_line(text)}{found}"


STYLE = Style(
    name="m-schema",
    instruction="You are a SQLite expert: read the schema and the reference information, and answer the user's "
    "question with one SQL query and nothing else.",
    table=_table,
    relations=_relations,
    ask=_ask,
    frame=_frame,
)
