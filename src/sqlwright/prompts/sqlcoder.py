"""Style `sqlcoder`: the layout that Defog published for SQLCoder-7B-2: task, instructions, schema, answer.

Its section titles, the joins as comments, and the marks [QUESTION] and [SQL] are as published; the sentences between
are our own. One thing differs: the published layout has the question in the task as well, before the schema. Here it
comes after the schema only, so that all questions of a database share what is before it.

Source: the prompt file of github.com/defog-ai/sqlcoder. Not covered: its rule to answer `I do not know`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlwright.databases import Schema, Table
from sqlwright.prompts.ddl import create_table
from sqlwright.prompts.style import Style, facts, one_line
from sqlwright.sql.names import quoted


def _table(table: Table, _schema: Schema) -> str:
    return create_table(table, foreign_keys=False)


def _relations(schema: Schema) -> str:
    lines = []
    for table in schema.tables:
        for key in table.foreign_keys:
            own = [f"{quoted(table.name)}.{quoted(column)}" for column in key.columns]
            other = [f"{quoted(key.table)}.{quoted(column)}" for column in key.to_columns] or [quoted(key.table)]
            lines.append(f"-- {', '.join(own)} can be joined with {', '.join(other)}")
    return "\n".join(lines)


def _frame(tables: str, schema: Schema) -> str:
    rules = [f"- {line}" for line in ("Use only the tables and columns of the schema.", *facts(schema))]
    return "\n".join(
        [
            "### Task",
            "Write the SQL query that answers the question between [QUESTION] and [/QUESTION].",
            "",
            "### Instructions",
            *rules,
            "",
            "### Database Schema",
            "This is the schema of the database on which the query will run:",
            tables,
        ]
    )


def _ask(text: str, evidence: str, values: Sequence[str] = (), /) -> str:
    hints = [f"Hint: {one_line(evidence)}"] if evidence.strip() else []
    hints += [f"Values in the data: {'; '.join(values)}"] if values else []
    question = f"For this schema, the SQL query that answers [QUESTION]{one_line(text)}[/QUESTION]"
    return "\n".join(["### Answer", question, *hints, "[SQL]"])


STYLE = Style(
    name="sqlcoder",
    instruction="You write SQLite queries and nothing else.",
    table=_table,
    relations=_relations,
    ask=_ask,
    joint="\n\n",
    frame=_frame,
    answer="\n",
)
