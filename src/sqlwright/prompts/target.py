"""The text that a model learns to write: a gold in one spelling, as it stands or in a form that is easier to get right.

Answers in any of these forms become ordinary SQL again in `sql.extract`.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlwright.databases import Schema
from sqlwright.sql.from_first import from_first
from sqlwright.sql.normalise import normalise
from sqlwright.sql.qualify import qualify_columns


def plain(gold: str, schema: Schema) -> str:
    """Return the gold in one spelling (see `sql.normalise`)."""
    return normalise(gold, [name for table in schema.tables for name in (table.name, *(c.name for c in table.columns))])


def qualified(gold: str, schema: Schema) -> str:
    """Return the gold in one spelling, every column with its table (see `sql.qualify`)."""
    return qualify_columns(plain(gold, schema), _columns(schema))


def tables_first(gold: str, schema: Schema) -> str:
    """Return the gold in one spelling, FROM before SELECT, and columns of joins with their table."""
    return from_first(qualify_columns(plain(gold, schema), _columns(schema), joins_only=True))


def _columns(schema: Schema) -> dict[str, list[str]]:
    return {table.name: [column.name for column in table.columns] for table in schema.tables}


TARGETS: dict[str, Callable[[str, Schema], str]] = {
    "plain": plain,
    "qualified": qualified,
    "from-first": tables_first,
}
"""The forms of targets by the name a recipe uses."""
