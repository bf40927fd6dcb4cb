"""The text that a model learns to write: a gold in one spelling, with its columns qualified or as they stand."""

from __future__ import annotations

from collections.abc import Callable

from sqlwright.databases import Schema
from sqlwright.sql.normalise import normalise
from sqlwright.sql.qualify import qualify_columns


def plain(gold: str, schema: Schema) -> str:
    """Return the gold in one spelling (see `sql.normalise`)."""
    return normalise(gold, [name for table in schema.tables for name in (table.name, *(c.name for c in table.columns))])


def qualified(gold: str, schema: Schema) -> str:
    """Return the gold in one spelling, every column with its table (see `sql.qualify`)."""
    tables = {table.name: [column.name for column in table.columns] for table in schema.tables}
    return qualify_columns(plain(gold, schema), tables)


TARGETS: dict[str, Callable[[str, Schema], str]] = {"qualified": qualified, "plain": plain}
"""The forms of targets by the name a recipe uses."""
