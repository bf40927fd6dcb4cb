"""SQLWright's own columns in a Parquet file: `question`, `sql`, `database`, and what the JSON lines may have.

`sql` is text or a list of alternatives, `history` a list of [question, sql] lists. Needs pyarrow, which is an extra.

Not covered: folders of several Parquet files (name each file), compressions that the installed pyarrow lacks.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.dataset import Collector, Dataset
from sqlwright.datasets.jsonl import KEYS
from sqlwright.datasets.objects import Raw
from sqlwright.datasets.spider import find_tables
from sqlwright.datasets.text import known_content, read_bytes
from sqlwright.errors import DataError

MAGIC = b"PAR1"


def read_parquet(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of Parquet files, in order; rows that can't be used are in `dropped`, by `#row`.

    Args:
        files: the files.
        databases_root: folder of databases; the folder of each file when None.
        need_golds: drop questions without SQL; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read, lacks a column, or pyarrow isn't installed.
    """
    collector = Collector(databases_root, need_golds, KEYS)
    needed = ["text", "database", *(["golds"] if need_golds else [])]
    for file in files:
        collector.add_all(file, _rows(file, [KEYS[name] for name in needed]))
    return collector.finish(find_tables(files, databases_root))


def _rows(file: Path, needed: Sequence[Sequence[str]]) -> Iterator[Raw]:
    """Yield the rows as dictionaries; empty cells are left out."""
    table = _open(file)
    missing = [names[0] for names in needed if not set(names) & set(table.column_names)]
    if missing:
        found = ", ".join(table.column_names) or "none"
        raise DataError(f"{file}: expected a column for {', '.join(missing)}, found the columns {found}.")
    number = 0
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            values = {name: value for name, value in row.items() if value is not None}
            yield Raw(f"#{number}", values, json.dumps(values, ensure_ascii=False, default=str))
            number += 1


def _open(file: Path) -> Any:
    """Return the table in a Parquet file."""
    data = read_bytes(file)
    if not data.startswith(MAGIC):
        found = known_content(data) or (
            "text" if data[:4096].isascii() and b"\x00" not in data[:4096] else "binary data"
        )
        raise DataError(
            f"{file}: expected a Parquet file, found {found}. CSV and JSON lines have formats of their own."
        )
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            f"{file}: reading Parquet needs pyarrow, found that it isn't installed. "
            f"Install it: pip install 'sqlwright[parquet]'."
        ) from None
    try:
        return parquet.read_table(io.BytesIO(data))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: expected a Parquet file, found a damaged one: {error}.") from None
