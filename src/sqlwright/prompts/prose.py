"""Style `prose`: the schema in sentences, with the facts and the order that DB-GPT-Hub's Spider prompts have.

The wording is our own: tables, then each table's columns and primary key, then the foreign keys; no types, no values.
Descriptions and notes are sentences too.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlwright.databases import Schema, Table
from sqlwright.prompts.style import Style, one_line


def _table(table: Table, _schema: Schema) -> str:
    columns = ", ".join(column.name for column in table.columns)
    key = ", ".join(table.primary_key)
    sentences = [
        f"Table {table.name} has the columns {columns}.",
        f"Its primary key is {key}." if key else "",
        f"It holds: {_sentence(table.description)}" if table.description else "",
        *(f"{column.name} means: {_sentence(column.description)}" for column in table.columns if column.description),
    ]
    return " ".join(filter(None, sentences))


def _relations(schema: Schema) -> str:
    sentences = []
    for table in schema.tables:
        for key in table.foreign_keys:
            target = f"{', '.join(key.to_columns)} of " if key.to_columns else ""
            sentences.append(f"{', '.join(key.columns)} of {table.name} refers to {target}{key.table}.")
    return " ".join(sentences)


def _frame(tables: str, schema: Schema) -> str:
    terms = [f"The term {one_line(term)} means: {_sentence(meaning)}" for term, meaning in schema.glossary]
    return "\n".join(filter(None, [tables, *terms, *map(_sentence, schema.instructions)]))


def _sentence(text: str) -> str:
    line = one_line(text)
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _ask(text: str, evidence: str, values: Sequence[str] = (), /) -> str:
    hint = f" ({one_line(evidence)})" if evidence.strip() else ""
    found = f"\nThe data has: {'; '.join(values)}." if values else ""
    return f"Request: {one_line(text)}{hint}{found}"


STYLE = Style(
    name="prose",
    instruction="Act as a SQL terminal: for each request about the database, return the SQL command only.",
    table=_table,
    relations=_relations,
    ask=_ask,
    frame=_frame,
    answer="\nCommand: ",
)
