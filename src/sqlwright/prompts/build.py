"""From questions to prompts: the schema of each database is written once and shared by all its questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlwright.databases import Schema, Table, describe
from sqlwright.prompts.chat import ChatTemplate
from sqlwright.prompts.context import earlier_turns, task_prompt
from sqlwright.prompts.style import Style
from sqlwright.records import Prompt, Question

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """All that decides how a prompt is written. It is stored with an adapter and used wherever the adapter is.

    `max_schema_tokens` bounds the schema's text; `sample_values` is per text column.
    """

    style: Style
    sample_values: int
    max_schema_tokens: int
    chat: ChatTemplate


@dataclass(frozen=True, slots=True)
class SchemaText:
    """A database as text, and the names of the tables and columns (`table.column`) that did not fit."""

    text: str
    omitted: tuple[str, ...]


def schema_text(schema: Schema, style: Style, max_tokens: int, count_tokens: CountTokens) -> SchemaText:
    """Return the schema as text of at most `max_tokens` tokens.

    Tables are kept whole, in their order, as long as they fit; if not even the first one does, its last columns go.
    What is left out is named in `omitted` and, as a comment, in the text itself (the comment is beyond the budget).
    """
    full = _joined(schema, list(schema.tables), style)
    if count_tokens(full) <= max_tokens:
        return SchemaText(full, ())
    kept: list[Table] = []
    omitted: list[str] = []
    for table in schema.tables:
        # The text is counted as a whole: what stands between and behind the tables belongs to it.
        if count_tokens(_joined(schema, [*kept, table], style)) <= max_tokens:
            kept.append(table)
        else:
            omitted.append(table.name)
    if not kept and schema.tables:
        first, lost = _narrowed(schema.tables[0], schema, style, max_tokens, count_tokens)
        kept, omitted = [first], [*lost, *omitted[1:]]
    named = ", ".join(omitted[:8]) + (f" and {len(omitted) - 8} more" if len(omitted) > 8 else "")
    return SchemaText(f"{_joined(schema, kept, style)}\n-- not shown: {named}", tuple(omitted))


def build_prompts(
    questions: Iterable[Question],
    databases: Mapping[str, Path],
    fmt: PromptFormat,
    count_tokens: CountTokens,
    target: Callable[[str, Schema], str] | None = None,
) -> list[Prompt]:
    """Return a prompt per question, in order; questions of one database share the very same prefix.

    Earlier turns of a dialogue stand before the question. A question about no database shares its evidence, which
    describes the task, in the place of a schema, and its text stays as it is.

    `target` makes the text to learn from the first gold and the schema (see `prompts.target`); without it the prompts
    have none (prediction).
    """
    shared: dict[str, SchemaText] = {}
    schemas: dict[str, Schema] = {}
    prompts = []
    for question in questions:
        if not question.database:
            prompts.append(task_prompt(question, fmt, learned=target is not None))
            continue
        if question.database not in shared:
            schema = schemas[question.database] = describe(databases[question.database], fmt.sample_values)
            shared[question.database] = schema_text(
                schema, fmt.style, fmt.max_schema_tokens, lambda text: count_tokens(fmt.chat.guarded(text))
            )
        text = shared[question.database]
        prefix, suffix = fmt.chat.split(
            fmt.style.instruction,
            text.text + "\n\n",
            earlier_turns(question.history) + fmt.style.ask(question.text, question.evidence),
        )
        prompts.append(
            Prompt(
                id=question.id,
                database=question.database,
                prefix=prefix,
                suffix=suffix,
                target=fmt.chat.guarded(target(question.golds[0], schemas[question.database]))
                if target and question.golds
                else "",
                style=fmt.style.name,
                omitted=text.omitted,
            )
        )
    return prompts


def _joined(schema: Schema, tables: list[Table], style: Style) -> str:
    part = Schema(schema.name, schema.path, tuple(tables))
    texts = [style.table(table, part) for table in tables]
    return style.joint.join(filter(None, [*texts, style.relations(part)]))


def _narrowed(
    table: Table, schema: Schema, style: Style, max_tokens: int, count_tokens: CountTokens
) -> tuple[Table, list[str]]:
    """Return the table with as many of its first columns as fit, at least one, and the names of the others."""
    low, high = 1, len(table.columns)
    while low < high:
        middle = (low + high + 1) // 2
        text = _joined(schema, [_first_columns(table, middle)], style)
        if count_tokens(text) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return _first_columns(table, low), [f"{table.name}.{column.name}" for column in table.columns[low:]]


def _first_columns(table: Table, count: int) -> Table:
    columns = table.columns[:count]
    names = {column.name for column in columns}
    keys = tuple(key for key in table.foreign_keys if names.issuperset(key.columns))
    primary = table.primary_key if names.issuperset(table.primary_key) else ()
    return Table(table.name, columns, primary, keys, table.create_sql, table.rows)
