"""What benchmarks publish about their databases: descriptions of columns and a glossary, in files beside the database.

BIRD ships `database_description/TABLE.csv` (`original_column_name`, `column_name`, `column_description`,
`value_description`), sql-eval `NAME.metadata.json` (`table_metadata`, `glossary`). A line that can't be used is a
problem of its own; the rest is used.

Not covered: writing them; what people write for their own databases is another file (see `databases.notes`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from sqlwright.databases.schema import Column, Schema

LENGTH = 200
"""Characters of a description that are kept: a few of BIRD's are essays, and every one is read for every question."""

_NAME = "original_column_name"
_FOLDER, _METADATA = "database_description", ".metadata.json"


class Problem(NamedTuple):
    """Something that can't be used: its place (`file:line`), why, and the text."""

    where: str
    reason: str
    text: str


@dataclass
class PublishedNotes:
    """Descriptions by (table, column) in lower case, lines of a glossary, and what couldn't be used."""

    columns: dict[tuple[str, str], str] = field(default_factory=dict)
    glossary: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def with_published_notes(schema: Schema, database: Path) -> Schema:
    """Return the schema with published descriptions where it has none, and glossaries among its instructions."""
    notes = published_notes(database)

    def described(table: str, column: Column) -> Column:
        found = notes.columns.get((table.lower(), column.name.lower()), "")
        return replace(column, description=column.description or found)

    tables = (replace(t, columns=tuple(described(t.name, column) for column in t.columns)) for t in schema.tables)
    return replace(schema, tables=tuple(tables), instructions=(*schema.instructions, *notes.glossary))


def is_published(path: Path) -> bool:
    """Return whether a file is one that `published_notes` reads for a database beside it."""
    return path.name.endswith(_METADATA) or (path.parent.name == _FOLDER and path.suffix == ".csv")


def published_notes(database: Path) -> PublishedNotes:
    """Return what the files beside a database say of it; empty where there are none."""
    notes = PublishedNotes()
    folder = database.parent / _FOLDER
    for path in sorted(folder.glob("*.csv")) if folder.is_dir() else ():
        _read_csv(path, notes)
    metadata = database.with_name(f"{database.stem}{_METADATA}")
    if metadata.is_file():
        _read_metadata(metadata, notes)
    return notes


def _read_csv(path: Path, notes: PublishedNotes) -> None:
    """Add the columns that one of BIRD's files describes; the file is called after its table."""
    text = _text(path)
    header: list[str] = []
    for line, cells in _rows(path, text, notes):
        if not header:
            header = [cell.strip().lower() for cell in cells]
            if _NAME not in header:
                found = ", ".join(header)
                notes.problems.append(Problem(f"{path}:1", f"expected a header with {_NAME}, found {found:.80}", found))
                return
            continue
        if not any(cell.strip() for cell in cells):
            continue
        values = dict(zip(header, (" ".join(cell.split()) for cell in cells), strict=False))
        if not values.get(_NAME):
            reason = f"expected the name of a column under {_NAME}, found none"
            notes.problems.append(Problem(f"{path}:{line}", reason, ",".join(cells)))
            continue
        described = _described(values)
        if described:
            notes.columns[path.stem.lower(), values[_NAME].lower()] = described


def _text(path: Path) -> str:
    """Return the file's text: UTF-8, or Windows' Western encoding, in which some of BIRD's files are."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _rows(path: Path, text: str, notes: PublishedNotes) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, cells) of the rows of a CSV file, blank ones too."""
    reader = csv.reader(io.StringIO(text, newline=""))
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            shown = "\n".join(text.splitlines()[line - 1 : reader.line_num])
            notes.problems.append(Problem(f"{path}:{line}", f"expected CSV, found {error}", shown))
            continue
        yield line, cells


def _described(values: dict[str, str]) -> str:
    """Return a description in one line: the readable name, what it means, what the values mean; nothing twice."""
    parts: list[str] = []
    for text in (values.get("column_name", ""), values.get("column_description", "")):
        plain = text.rstrip(".; ")
        if plain and _squeezed(plain) not in (_squeezed(known) for known in (values[_NAME], *parts)):
            parts.append(plain)
    described = ": ".join(parts)
    meanings = values.get("value_description", "").strip()
    return _cut("; ".join(filter(None, [described, meanings])))


def _squeezed(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def _read_metadata(path: Path, notes: PublishedNotes) -> None:
    """Add what one of sql-eval's files says; tables may be named with their Postgres schema before them."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
        tables = values["table_metadata"]
        for table, columns in tables.items():
            for column in columns:
                _add_column(path, notes, table, column)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        notes.problems.append(Problem(f"{path}:{line}", f"expected JSON (UTF-8), found {error}", ""))
        return
    except (KeyError, TypeError, AttributeError):
        reason = "expected 'table_metadata' with lists of columns by table"
        notes.problems.append(Problem(f"{path}:1", reason, ""))
        return
    glossary = values.get("glossary")
    if isinstance(glossary, str):
        lines = (" ".join(line.split()).removeprefix("- ") for line in glossary.splitlines())
        notes.glossary += [line for line in lines if line]


def _add_column(path: Path, notes: PublishedNotes, table: str, column: Any) -> None:
    name = column.get("column_name") if isinstance(column, dict) else None
    if not isinstance(name, str):
        notes.problems.append(
            Problem(f"{path}:1", f"expected columns with 'column_name' in {table!r:.40}", str(column))
        )
        return
    text = column.get("column_description")
    if isinstance(text, str) and text.strip():
        notes.columns[table.rpartition(".")[2].lower(), name.lower()] = _cut(" ".join(text.split()))


def _cut(text: str) -> str:
    """Return the text, above `LENGTH` characters cut between words and ended with "…"."""
    if len(text) <= LENGTH:
        return text
    return text[: LENGTH - 1].rpartition(" ")[0].rstrip(",;: ") + "…"
