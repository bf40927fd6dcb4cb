"""WikiSQL: questions on single tables, `X.jsonl` with `X.tables.jsonl` and `X.db` beside it.

Each table becomes a database of its own (see `made.py`), with the headers as column names: the published `.db` has
thousands of tables in one file whose columns are called `col0`, `col1` …, from which nobody can tell what is meant.
Header, types and rows come from `X.tables.jsonl`; `X.db` gives rows that are missing there, and whole tables, with
columns `col0` …, where there is no `X.tables.jsonl`.

The SQL is made from `sel`, `agg` and `conds`. The official scorer compares text in lower case: here a value is spelt
as the table has it, and text columns ignore case, so that the results are the official ones but for that case.

Source: Zhong, Xiong and Socher 2017, "Seq2SQL: Generating Structured Queries from Natural Language using Reinforcement
Learning", BSD-3, https://github.com/salesforce/WikiSQL. Not covered: titles and captions of the pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.databases import quoted_name
from sqlwright.datasets.dataset import BadQuestion, Collector, Dataset, kind_of
from sqlwright.datasets.made import Cell, make_database
from sqlwright.datasets.objects import line_objects
from sqlwright.datasets.text import read_text
from sqlwright.datasets.wikisql_form import make_sql
from sqlwright.errors import DataError

KEYS = {"database": ("database",), "text": ("question",), "golds": ("gold",)}


@dataclass(frozen=True, slots=True)
class WikiTable:
    """A table: its name as in the published database, unique column names, which are numbers, and the rows."""

    name: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def schema(self) -> str:
        """Return the statement that creates the table."""
        kinds = ("REAL" if number else "TEXT COLLATE NOCASE" for number in self.numeric)
        columns = (f"{quoted_name(name)} {kind}" for name, kind in zip(self.columns, kinds, strict=True))
        return f"CREATE TABLE {self.name} ({', '.join(columns)})"


def read_wikisql(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of WikiSQL's files, in order, each on the database of its table.

    Args:
        files: `X.jsonl`; `X.tables.jsonl` or `X.db` must lie beside each.
        databases_root: not used; the databases are made.
        need_golds: drop questions without a query; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read, or has no tables beside it.
    """
    collector = Collector(databases_root, need_golds, KEYS)
    for file in files:
        text = read_text(file)  # before its tables: a wrong path is an error about this file
        tables = _Tables(file, collector)
        collector.add_all(file, line_objects(collector, file, text), _maker(tables))
    return collector.finish()


def companions(file: Path) -> list[Path]:
    """Return the files with the tables of a question file, those that are there."""
    stem = file.name.removesuffix(".gz").removesuffix(".jsonl")
    beside = (file.with_name(f"{stem}{end}") for end in (".tables.jsonl", ".tables.jsonl.gz", ".db"))
    return [path for path in beside if path.is_file()]


def _maker(tables: _Tables) -> Callable[[dict[Any, Any]], dict[Any, Any]]:
    made: dict[str, str] = {}

    def question(values: dict[Any, Any]) -> dict[Any, Any]:
        """Return the values with the table's database and the SQL of the question."""
        name = values.get("table_id")
        if not isinstance(name, str):
            raise BadQuestion(f"missing key: expected text in 'table_id', found {kind_of(name)}")
        table = tables.find(name)
        if name not in made:
            made[name] = str(make_database(table.name, table.schema(), {table.name: table.rows}))
        form = values.get("sql")
        gold = None if form is None else make_sql(form, table.name, table.columns, table.numeric, table.rows)
        return {**values, "database": made[name], "gold": gold}

    return question


class _Tables:
    """The tables that belong to one question file."""

    def __init__(self, file: Path, collector: Collector) -> None:
        beside = companions(file)
        self.database = next((path for path in beside if path.suffix == ".db"), None)
        self.raw: dict[str, dict[str, Any]] = {}
        self.known: dict[str, WikiTable] = {}
        listed = [path for path in beside if path.suffix != ".db"]
        if not listed and not self.database:
            stem = file.name.removesuffix(".jsonl")
            raise DataError(f"{file}: expected {stem}.tables.jsonl or {stem}.db beside it, found neither.")
        for path in listed:
            for raw in line_objects(collector, path):
                if isinstance(raw.values, dict) and isinstance(raw.values.get("id"), str):
                    self.raw[raw.values["id"]] = raw.values
                else:
                    collector.drop(f"{path}{raw.mark}", "bad table: expected an object with an 'id'", raw.shown)

    def find(self, table_id: str) -> WikiTable:
        """Return a table; raise `BadQuestion` where there is none or it is malformed."""
        if table_id not in self.known:
            raw = self.raw.get(table_id)
            if raw is None and (self.raw or not self.database):
                raise BadQuestion(f"unknown table: expected one of the {len(self.raw)} tables, found {table_id!r:.60}")
            self.known[table_id] = self._from_database(table_id) if raw is None else self._from_line(table_id, raw)
        return self.known[table_id]

    def _from_line(self, table_id: str, raw: dict[str, Any]) -> WikiTable:
        header, types, rows = (raw.get(key) for key in ("header", "types", "rows"))
        if not isinstance(header, list) or not isinstance(types, list) or len(header) != len(types) or not header:
            raise BadQuestion(f"bad table: expected as many types as headers for {table_id!r:.60}")
        if rows is None and self.database:
            rows = [list(row) for row in self._from_database(table_id).rows]
        whole = isinstance(rows, list) and all(isinstance(row, list) and len(row) == len(header) for row in rows)
        if not isinstance(rows, list) or not whole:
            raise BadQuestion(f"bad table: expected rows of {len(header)} cells for {table_id!r:.60}")
        cells = tuple(tuple(cell if isinstance(cell, Cell) else str(cell) for cell in row) for row in rows)
        return WikiTable(_name(table_id), _unique(header), tuple(kind == "real" for kind in types), cells)

    def _from_database(self, table_id: str) -> WikiTable:
        """Return a table as the published database has it, columns `col0`, `col1` …"""
        name = quoted_name(_name(table_id))
        try:
            connection = sqlite3.connect(f"{self.database.resolve().as_uri()}?mode=ro", uri=True)  # type: ignore[union-attr]
            try:
                columns = connection.execute(f"SELECT name, type FROM pragma_table_info({name})").fetchall()
                rows = connection.execute(f"SELECT * FROM {name}").fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise BadQuestion(f"unknown table: {self.database} has no table for {table_id!r:.60}: {error}") from None
        numeric = tuple(kind.lower() == "real" for _, kind in columns)
        return WikiTable(_name(table_id), tuple(column for column, _ in columns), numeric, tuple(rows))


def _name(table_id: str) -> str:
    """Return the name of a table in the published database."""
    plain = "".join(character if character.isalnum() else "_" for character in table_id)
    return plain if plain.startswith("table") else f"table_{plain}"


def _unique(header: Sequence[object]) -> tuple[str, ...]:
    """Return the headers as names for columns: none empty, none twice (SQLite doesn't mind case)."""
    taken: set[str] = set()
    names = []
    for index, title in enumerate(header):
        plain = " ".join(str(title).replace("\x00", "").split()) or f"col{index}"
        name, number = plain, 2
        while name.lower() in taken:
            name, number = f"{plain} {number}", number + 1
        taken.add(name.lower())
        names.append(name)
    return tuple(names)
