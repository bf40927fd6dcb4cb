"""Reading gold and prediction files: text, JSON, JSON lines, CSV, each error with the file and the line.

Not covered: what the values mean; each benchmark reads its own keys.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.text import read_text
from sqlwright.errors import DataError


def read_strict(path: Path) -> str:
    """Return the text of a UTF-8 file, unpacked if it is a `.gz`; raise `DataError` if it is none."""
    text = read_text(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: expected UTF-8 text, found another byte. Save it as UTF-8.") from None
    return text


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file without their ends; no empty one after the last end of line."""
    lines = read_strict(path).replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_json(path: Path) -> Any:
    """Return the JSON document of a file; raise `DataError` with the line where it breaks."""
    text = read_strict(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: expected a JSON document, found {error.msg}.") from None
    except RecursionError:
        raise DataError(f"{path}: expected a JSON document, found one nested too deeply.") from None


def read_json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return (line number, object) for each line of a JSON-lines file; empty lines are passed over."""
    objects = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: expected one JSON object per line, found {error}.") from None
        if not isinstance(value, dict):
            raise DataError(f"{path}:{number}: expected a JSON object, found {type(value).__name__}.")
        objects.append((number, value))
    return objects


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return (line number, values by column) for each row of a CSV file whose header has `columns`."""
    reader = csv.reader(io.StringIO(read_strict(path), newline=""), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        header = next(reader, [])
        missing = [name for name in columns if name not in header]
        if missing:
            raise DataError(
                f"{path}:1: expected a header with {', '.join(columns)}, found {', '.join(header) or 'none'}."
            )
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise DataError(f"{path}:{line}: expected {len(header)} cells, found {len(cells)}.")
            if cells:
                rows.append((line, dict(zip(header, cells, strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: expected CSV, found {error}.") from None
    return rows


def text_of(values: dict[str, Any], key: str, where: str) -> str:
    """Return the text under `key`; raise `DataError` naming `where` if it is missing or no text."""
    value = values.get(key)
    if not isinstance(value, str):
        found = f"none (keys: {', '.join(values)})" if key not in values else f"{value!r:.60}"
        raise DataError(f"{where}: expected text under {key!r}, found {found}.")
    return value


def read_completions(path: Path) -> list[str]:
    """Return the `sql` of each JSON line, in order: predictions as a run's `completions.jsonl` has them."""
    return [text_of(values, "sql", f"{path}:{line}") for line, values in read_json_lines(path)]


def check_count(path: Path, found: int, expected: int, what: str) -> None:
    """Raise `DataError` unless there are as many predictions as `what`."""
    if found != expected:
        raise DataError(
            f"{path}:{min(found, expected) + 1}: expected {expected} predictions, one for each of {what}, "
            f"found {found}. Keep the order and write an empty one where there is none."
        )
