"""Style `create-table-context`: bare CREATE TABLE statements in a row, as the data set of that name has them.

One statement per table with columns and types, no keys, no values, parted by semicolons; then the question. The
LoRA comparisons of Code Llama were trained on it. It can't show descriptions or joins; glossary and instructions
stand behind the context. The sections' order is turned round: context first, so that questions share it.

Source: the data set b-mc2/sql-create-context.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlwright.databases import Schema, Table
from sqlwright.prompts.style import Style, facts, one_line
from sqlwright.sql.names import quoted


def _table(table: Table, _schema: Schema) -> str:
    columns = ", ".join(f"{quoted(column.name)} {column.type.upper()}".rstrip() for column in table.columns)
    return f"CREATE TABLE {quoted(table.name)} ({columns})"


def _frame(tables: str, schema: Schema) -> str:
    return "\n".join(["### Context:", tables, *facts(schema)])


def _ask(text: str, evidence: str, values: Sequence[str] = (), /) -> str:
    hint = f" ({one_line(evidence)})" if evidence.strip() else ""
    found = f"\nValues in the data: {'; '.join(values)}" if values else ""
    return f"### Question:\n{one_line(text)}{hint}{found}\n\n### Response:"


STYLE = Style(
    name="create-table-context",
    instruction="You turn questions about tables into SQL. You get the tables as context and then a question; answer "
    "with the SQL query only.",
    table=_table,
    ask=_ask,
    joint="; ",
    frame=_frame,
    answer="\n",
)
