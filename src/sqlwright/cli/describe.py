"""`sqlwright describe`: first notes for a database, written from its data."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sqlwright.cli.options import Json
from sqlwright.cli.tables import print_json, safe


def describe(
    database: Annotated[Path, Parameter(metavar="DATABASE")],
    /,
    *,
    force: Annotated[bool, Parameter(help="Write the notes anew where there are some.")] = False,
    json: Json = False,
) -> int:
    """Write NAME.sqlwright.yaml beside a database: what its data says, for you to add what it means.

    Types, distinct values, ranges, sample values, and foreign keys that nobody declared, with the evidence.

    Args:
        database: A SQLite file.
    """
    from sqlwright.databases.describe_file import write_notes

    path, found = write_notes(database, force=force)
    if json:
        print_json(_document(path, found))
        return 0
    print(safe(str(path)))
    for key in found.keys:
        print(safe(f"{key.table}.{key.column} = {key.to_table}.{key.to_column}: {key.evidence}"), file=sys.stderr)
    for name in found.partial:
        print(safe(f"{name}: too large to read whole; its numbers are of the first rows"), file=sys.stderr)
    columns = sum(len(table.columns) for table in found.schema.tables)
    print(f"{len(found.schema.tables)} tables, {columns} columns, {len(found.keys)} keys inferred", file=sys.stderr)
    return 0


def _document(path: Path, found: Any) -> dict[str, Any]:
    return {
        "notes": str(path),
        "tables": {
            table.name: {
                "rows": table.rows,
                "columns": {
                    column.name: {
                        "type": column.type,
                        **dataclasses.asdict(found.columns[table.name, column.name]),
                        "samples": list(column.samples),
                    }
                    for column in table.columns
                },
            }
            for table in found.schema.tables
        },
        "inferred_keys": [dataclasses.asdict(key) for key in found.keys],
        "partial": list(found.partial),
    }
