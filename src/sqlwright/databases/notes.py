"""What people know of a database and the schema doesn't say: `NAME.sqlwright.yaml` beside `NAME.sqlite`.

Descriptions of tables and columns, joins that are not declared as keys, a glossary and instructions. The file is
written by `sqlwright describe` (see `databases.describe_file`) and edited by people, so every mistake in it is
reported with its line, all at once. All values are read as text: `NO` is Norway and `1e3` a code.

Not covered: notes for databases that are no files.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlwright.databases.engines import is_url
from sqlwright.databases.executor import Executor
from sqlwright.databases.keys import with_inferred_keys
from sqlwright.databases.published import with_published_notes
from sqlwright.databases.schema import Column, ForeignKey, Schema, Table, describe
from sqlwright.errors import DataError

ENDING = ".sqlwright.yaml"
MOST_BYTES = 4_000_000
KEYS = ("instructions", "glossary", "joins", "tables")
TABLE_KEYS = ("description", "rows", "columns")
COLUMN_KEYS = ("description", "type", "distinct", "nulls", "range", "samples")


def notes_path(database: Path | str) -> Path:
    """Return where the notes of a database file are, if it has any."""
    path = Path(database)
    return path.with_name(path.stem + ENDING)


def describe_with_notes(database: Path | str, samples: int = 2, *, executor: Executor | None = None) -> Schema:
    """Return the schema of a database as `describe` does, with its notes if there are any.

    What the notes leave open, published descriptions beside the database fill (see `databases.published`), and keys
    that neither declares are inferred from names and data (see `databases.keys`).

    Raises:
        DatabaseError: as `describe`.
        DataError: the notes can't be read, or speak of what the database doesn't have.
    """
    schema = describe(database, samples, executor=executor)
    if is_url(database):
        return with_inferred_keys(schema, executor)
    path = notes_path(database)
    noted = with_notes(schema, path, samples) if path.is_file() else schema
    return with_inferred_keys(with_published_notes(noted, Path(database)), executor)


def with_notes(schema: Schema, path: Path, samples: int = 2) -> Schema:
    """Return the schema with what the notes at `path` say of it.

    Descriptions are put in, joins become foreign keys, and sample values (at most `samples`) replace those that were
    read. Raises `DataError` that lists every mistake with its line.
    """
    reader = _Reader(path)
    root = reader.mapping(reader.root(), KEYS)
    glossary = reader.mapping(root.get("glossary"), None)
    tables = reader.mapping(root.get("tables"), [table.name for table in schema.tables])
    noted = tuple(_noted(reader, table, tables.get(table.name), samples) for table in schema.tables)
    joins = [key for line in reader.list(root.get("joins")) if (key := _join(reader, line, schema))]
    result = replace(
        schema,
        tables=tuple(_joined(table, [key for owner, key in joins if owner == table.name]) for table in noted),
        instructions=tuple(filter(None, (reader.text(line) for line in reader.list(root.get("instructions"))))),
        glossary=tuple((term, reader.text(meaning)) for term, meaning in glossary.items()),
    )
    if reader.problems:
        count = "1 mistake" if len(reader.problems) == 1 else f"{len(reader.problems)} mistakes"
        shown = [f"  - {problem}" for problem in reader.problems[:20]]
        rest = len(reader.problems) - len(shown)
        raise DataError("\n".join([f"{path}: {count} in the notes.", *shown, *([f"  - and {rest} more"] * (rest > 0))]))
    return result


def _noted(reader: _Reader, table: Table, node: Any, samples: int) -> Table:
    """Return the table with its description and those of its columns."""
    if reader.is_text(node):
        return replace(table, description=reader.text(node))
    notes = reader.mapping(node, TABLE_KEYS)
    columns = reader.mapping(notes.get("columns"), [column.name for column in table.columns])
    return replace(
        table,
        description=reader.text(notes.get("description")),
        columns=tuple(_noted_column(reader, column, columns.get(column.name), samples) for column in table.columns),
    )


def _noted_column(reader: _Reader, column: Column, node: Any, samples: int) -> Column:
    if reader.is_text(node):
        return replace(column, description=reader.text(node))
    notes = reader.mapping(node, COLUMN_KEYS)
    given = [reader.text(value) for value in reader.list(notes.get("samples"))]
    chosen = tuple(given[:samples]) if "samples" in notes else column.samples
    return replace(column, description=reader.text(notes.get("description")), samples=chosen)


def _join(reader: _Reader, node: Any, schema: Schema) -> tuple[str, ForeignKey] | None:
    """Return (table, key) for a line such as `invoice.customer = customer.id` (`and` between pairs of columns)."""
    known = {f"{t.name}.{c.name}".lower(): (t.name, c.name) for t in schema.tables for c in t.columns}
    sides: list[tuple[str, str]] = []
    for pair in reader.text(node).split(" and "):
        names = [name.strip() for name in pair.split("=")]
        if len(names) != 2:
            reader.problem(node, f"expected a join such as `a.x = b.y`, found {reader.text(node)!r}.")
            return None
        for name in names:
            if name.lower() not in known:
                hint = _nearest(name.lower(), known)
                reader.problem(node, f"expected TABLE.COLUMN of the database, found {name!r}.{hint}")
                return None
            sides.append(known[name.lower()])
    (owner, *_), (target, *_) = ([table for table, _ in sides[side::2]] for side in (0, 1))
    if {table for table, _ in sides[::2]} != {owner} or {table for table, _ in sides[1::2]} != {target}:
        reader.problem(node, "expected all pairs of a join to be of the same two tables, in the same order.")
        return None
    return owner, ForeignKey(tuple(c for _, c in sides[::2]), target, tuple(c for _, c in sides[1::2]))


def _joined(table: Table, keys: Iterable[ForeignKey]) -> Table:
    new = [key for key in dict.fromkeys(keys) if key not in table.foreign_keys]
    return replace(table, foreign_keys=(*table.foreign_keys, *new))


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f" Did you mean `{close[0]}`?" if close else ""


class _Reader:
    """Reads YAML nodes as text, lists and mappings, and keeps what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []

    def root(self) -> Any:
        """Return the file's node, None for an empty file; raise `DataError` where it is no YAML at all."""
        import yaml

        if self.path.stat().st_size > MOST_BYTES:
            raise DataError(f"{self.path}: expected notes of at most {MOST_BYTES:,} bytes, found more.")
        try:
            return yaml.compose(self.path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            found = " ".join(str(error).split())
            raise DataError(f"{self.path}: expected notes in YAML (UTF-8), found {found}.") from None

    def problem(self, node: Any, text: str) -> None:
        """Keep a mistake with its line."""
        self.problems.append(f"line {node.start_mark.line + 1}: {text}")

    def is_text(self, node: Any) -> bool:
        """Return whether the node is a single value that is not empty."""
        return node is not None and node.id == "scalar" and bool(node.value)

    def text(self, node: Any) -> str:
        """Return a single value on one line; empty where there is none."""
        if node is None:
            return ""
        if node.id != "scalar":
            self.problem(node, f"expected a text, found a {'list' if node.id == 'sequence' else node.id}.")
            return ""
        return " ".join(node.value.split())

    def list(self, node: Any) -> list[Any]:
        """Return the nodes of a list; a single value is a list of one."""
        if node is None or (node.id == "scalar" and not node.value):
            return []
        if node.id == "mapping":
            self.problem(node, "expected a list (lines that begin with `- `), found names with values.")
            return []
        return [node] if node.id == "scalar" else list(node.value)

    def mapping(self, node: Any, known: Collection[str] | None) -> dict[str, Any]:
        """Return the nodes of a mapping by key, spelt as in `known`; None takes any key."""
        if node is None or (node.id == "scalar" and not node.value):
            return {}
        if node.id != "mapping":
            kind = "list" if node.id == "sequence" else "single value"
            self.problem(node, f"expected names with values (`name: value`), found a {kind}.")
            return {}
        spelt = {name.lower(): name for name in known or ()} | {name: name for name in known or ()}
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = self.text(key)
            chosen = name if known is None else spelt.get(name) or spelt.get(name.lower())
            if chosen is None:
                hint = _nearest(name, known or ())
                self.problem(key, f"expected one of {_some(known or ())}, found {name!r}.{hint}")
            elif chosen in found:
                self.problem(key, f"{name!r} stands here a second time.")
            else:
                found[chosen] = value
        return found


def _some(names: Collection[str]) -> str:
    shown = list(names)[:8]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
