"""Style `prose`: the schema in sentences, with the facts and the order that DB-GPT-Hub's Spider prompts have.

The wording is our own: tables, then each table's columns and primary key, then the foreign keys; no types, no values.
"""

from __future__ import annotations

from sqlwright.databases import Schema, Table
from sqlwright.prompts.style import Style


def _table(table: Table, _schema: Schema) -> str:
    columns = ", ".join(column.name for column in table.columns)
    key = ", ".join(table.primary_key)
    return f"Table {table.name} has the columns {columns}." + (f" Its primary key is {key}." if key else "")


def _relations(schema: Schema) -> str:
    sentences = []
    for table in schema.tables:
        for key in table.foreign_keys:
            target = f"{', '.join(key.to_columns)} of " if key.to_columns else ""
            sentences.append(f"{', '.join(key.columns)} of {table.name} refers to {target}{key.table}.")
    return " ".join(sentences)


def _ask(text: str, evidence: str) -> str:
    hint = f" ({' '.join(evidence.split())})" if evidence.strip() else ""
    return f"Request: {' '.join(text.split())}{hint}"


STYLE = Style(
    name="prose",
    instruction="Act as a SQL terminal: for each request about the database, return the SQL command only.",
    table=_table,
    relations=_relations,
    ask=_ask,
)
