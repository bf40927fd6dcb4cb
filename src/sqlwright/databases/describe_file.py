"""The first notes for a database: `NAME.sqlwright.yaml`, written from its data for people to go on with.

What is written is what `databases.notes` reads: types, distinct values and ranges are there for whoever writes the
descriptions; descriptions, sample values, joins, glossary and instructions are what models see. The text is put
together here rather than by a YAML library, because the evidence for joins belongs into comments.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlwright.databases.engines import is_url, shown
from sqlwright.databases.notes import notes_path
from sqlwright.databases.profile import ColumnProfile, Profile, profile
from sqlwright.databases.schema import Column, Table
from sqlwright.errors import DatabaseError, DataError

_HEAD = """\
# What SQLWright tells models about {name}: write descriptions, and remove what is wrong.
# Models see descriptions, samples, joins, glossary and instructions. type, distinct, nulls, range and rows are facts
# for you and may go. Everything is text: quote what has a colon or a hash sign.

# Rules that hold for every question.
instructions: []
#  - Amounts are in US dollars unless a column says otherwise.

# Words of your trade and what they mean in this database.
glossary: {{}}
#  active customer: a customer with an order in the last 90 days

# Columns that belong together beside the foreign keys that the database declares.
"""
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

# What JSON leaves as it is and YAML has to have escaped.
_UNPRINTABLE = re.compile("[\x7f-\x9f\ufeff\ufffe\uffff\u2028\u2029]")


def write_notes(database: Path | str, *, force: bool = False) -> tuple[Path, Profile]:
    """Write first notes beside the database and return where they are, and the profile they were made from.

    Raises:
        DatabaseError: the database is missing or unreadable.
        DataError: there are notes already and `force` isn't given, or the folder can't be written to.
    """
    if is_url(database):
        raise DatabaseError(f"{shown(database)}: expected a database file; notes are kept beside it.")
    path = notes_path(database)
    if path.exists() and not force:
        raise DataError(f"{path}: there are notes already, with someone's work in them. --force writes them anew.")
    found = profile(database)
    try:
        number, name = tempfile.mkstemp(dir=path.parent, suffix=".partial")
        aside = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as out:
                out.write(notes_text(found))
            aside.chmod(0o644)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror}).") from None
    return path, found


def notes_text(found: Profile) -> str:
    """Return the notes as YAML."""
    lines = [_HEAD.format(name=" ".join(found.schema.name.split())) + ("joins:" if found.keys else "joins: []")]
    for key in found.keys:
        lines.append(f"  # Not declared; {' '.join(key.evidence.split())}.")
        lines.append(f"  - {_text(f'{key.table}.{key.column} = {key.to_table}.{key.to_column}')}")
    if not found.keys:
        lines.append("#  - orders.customer_id = customers.id")
    lines += ["", "tables:" if found.schema.tables else "tables: {}"]
    for table in found.schema.tables:
        lines += _table(table, found)
    return "\n".join(lines) + "\n"


def _table(table: Table, found: Profile) -> Iterator[str]:
    yield f"  {_key(table.name)}:"
    yield '    description: ""'
    if table.rows is not None:
        yield f"    rows: {table.rows}"
    if table.name in found.partial:
        yield "    # Too large to read whole: the numbers below are of its first 200,000 rows."
    yield "    columns:"
    for column in table.columns:
        yield f"      {_key(column.name)}:"
        yield from (f"        {line}" for line in _column(column, found.columns[table.name, column.name]))


def _column(column: Column, data: ColumnProfile) -> Iterator[str]:
    yield 'description: ""'
    yield f"type: {_text(column.type)}"
    yield f"distinct: {data.distinct}"
    if data.nulls:
        yield f"nulls: {data.nulls}"
    if data.smallest is not None and data.largest is not None:
        yield f"range: [{_text(data.smallest)}, {_text(data.largest)}]"
    if column.samples:
        yield f"samples: [{', '.join(map(_text, column.samples))}]"


def _key(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in _WORDS
    return name if plain else _text(name)


def _text(value: object) -> str:
    """Return a value as YAML: numbers as they are, texts in double quotes, whose escapes are JSON's."""
    if isinstance(value, int | float):
        return str(value)
    quoted = json.dumps(str(value), ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda one: f"\\u{ord(one[0]):04x}", quoted)
