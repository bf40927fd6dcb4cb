"""Questions that bring their schema along: JSON with `question`, `context` (CREATE TABLE statements) and `answer`.

This is the form of `sql-create-context`, on which Code Llama's LoRA comparisons were trained. Each different context
becomes a database of empty tables (see `made.py`), so that prompt styles, checks and scores work as for any other.
With no rows, most queries return nothing: a gold that runs has right names, and execution accuracy says little more.

Source: https://huggingface.co/datasets/b-mc2/sql-create-context, CC BY 4.0, made from WikiSQL and Spider: its questions
overlap with theirs. Not covered: contexts that SQLite doesn't read (they are dropped with its message), rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.dataset import BadQuestion, Collector, Dataset, kind_of
from sqlwright.datasets.made import make_database
from sqlwright.datasets.objects import list_or_lines

KEYS = {"database": ("database",), "text": ("question",), "golds": ("answer",)}
_FIRST_TABLE = re.compile(r"create\s+table\s+(?:if\s+not\s+exists\s+)?[\"`\[]?(\w+)", re.IGNORECASE)


def read_create_table_context(
    files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True
) -> Dataset:
    """Return the questions of the files, in order, each on the database that its context creates.

    Args:
        files: a JSON list, or one object per line.
        databases_root: not used; the databases are made.
        need_golds: drop questions without an answer; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read.
    """
    collector = Collector(databases_root, need_golds, KEYS)
    for file in files:
        collector.add_all(file, list_or_lines(collector, file, "question, context and answer"), _question)
    return collector.finish()


def _question(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with the path of the database that the context creates."""
    context = values.get("context")
    if not isinstance(context, str):
        raise BadQuestion(f"missing schema: expected CREATE TABLE statements in 'context', found {kind_of(context)}")
    first = _FIRST_TABLE.search(context)
    return {**values, "database": str(make_database(first[1] if first else "context", context))}
