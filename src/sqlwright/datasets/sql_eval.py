"""Defog's sql-eval: CSV files with `db_name`, `query`, `question`, and what the prompt may say beside.

`query` stands for one gold or many (see `sql_eval_golds.py`); `query_category` becomes the category. `instructions`
(`full_instructions` where there are none), `glossary` and `k_shot_prompt` reach the prompt as evidence, in this order;
`question_0`, `query_0`, `question_1` … are earlier turns. The glossary and the columns' descriptions that lie beside a
database as `NAME.metadata.json` are read with the database (see `databases.published`).

Source: https://github.com/defog-ai/sql-eval, Apache-2.0. Not covered: `db_type`; whether a gold runs on the database
at hand is what `check_golds` finds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.csv import table_rows
from sqlwright.datasets.dataset import BadQuestion, Collector, Dataset
from sqlwright.datasets.descriptions import with_description_problems
from sqlwright.datasets.locate import find_root
from sqlwright.datasets.sql_eval_golds import fixed_golds
from sqlwright.errors import DataError

KEYS = {
    "database": ("db_name",),
    "text": ("question",),
    "golds": ("golds", "query"),
    "evidence": ("evidence",),
    "category": ("query_category",),
    "history": ("history",),
}
_TITLES = {"glossary": "Glossary", "k_shot_prompt": "Examples"}


def read_sql_eval(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of sql-eval's CSV files, in order, each with all golds that its query stands for.

    Args:
        files: the CSV files.
        databases_root: folder of databases, `NAME.sqlite` or `NAME/NAME.sqlite`; see `find_root`.
        need_golds: drop questions without a query; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read, or its header lacks a column.
    """
    collector = Collector(find_root(files, databases_root), need_golds, KEYS)
    needed = ["db_name", "question", *(["query"] if need_golds else [])]
    for file in files:
        collector.add_all(file, table_rows(collector, file, needed), _question)
    return with_description_problems(collector.finish())


def _question(row: dict[str, str]) -> dict[str, Any]:
    """Return the row with its golds, evidence and history."""
    try:
        golds = fixed_golds(row.get("query", ""))
    except DataError as error:
        raise BadQuestion(f"bad gold: {error}") from None
    return {**row, "golds": golds or None, "evidence": _evidence(row), "history": _history(row)}


def _evidence(row: dict[str, str]) -> str:
    """Return instructions, glossary and examples, each on lines of its own; titles tell them apart."""
    parts = [row.get("instructions", "").strip() or row.get("full_instructions", "").strip()]
    for name, title in _TITLES.items():
        text = row.get(name, "").replace("\\n", "\n").strip()
        parts.append(f"{title}:\n{text}" if text else "")
    return "\n".join(filter(None, parts))


def _history(row: dict[str, str]) -> list[list[str]]:
    """Return the earlier turns, `question_0` first, up to the first that lacks a part."""
    turns: list[list[str]] = []
    while True:
        turn = [row.get(f"{name}_{len(turns)}", "").strip() for name in ("question", "query")]
        if not all(turn):
            return turns
        turns.append(turn)
