"""Raw questions out of JSON files: one list, or one object per line.

Not covered: what the objects mean; each format reads its own keys. CSV and Parquet have files of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sqlwright.datasets.dataset import Collector
from sqlwright.datasets.text import is_utf8, read_text
from sqlwright.errors import DataError


class Raw(NamedTuple):
    """A raw question: its place in the file (`:line` or `#index`), what stands there, and the same as text."""

    mark: str
    values: object
    shown: str


def list_objects(file: Path, wanted: str, text: str | None = None) -> Iterator[Raw]:
    """Yield the entries of a file that is one JSON list; `wanted` names the keys its objects have.

    `text` is what the file holds, where it has been read already.

    Raises:
        DataError: the file is not UTF-8, no JSON, or no list; with the line where it breaks.
    """
    text = read_text(file) if text is None else text
    if not is_utf8(text):
        line = next(n for n, part in enumerate(text.split("\n"), 1) if not is_utf8(part))
        raise DataError(f"{file}:{line}: expected UTF-8 text, found other bytes. Save the file as UTF-8.")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = ""
        if text.lstrip().startswith("{"):
            hint = " If it holds one object per line, its format is 'jsonl'."
        place = f"{file}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else str(file)
        raise DataError(f"{place}: expected one JSON list of questions, found {error}.{hint}") from None
    if not isinstance(values, list):
        raise DataError(
            f"{file}: expected a JSON list of objects with {wanted}, found {type(values).__name__}. "
            f"One object per line is the format 'jsonl'."
        )
    for index, value in enumerate(values):
        yield Raw(f"#{index}", value, json.dumps(value, ensure_ascii=False))


def line_objects(collector: Collector, file: Path, text: str | None = None) -> Iterator[Raw]:
    """Yield the objects of a file with one per line; lines that are no JSON are dropped, blank ones skipped.

    `text` is what the file holds, where it has been read already.
    """
    # Not splitlines(): that also splits at U+2028 and others, which are legal inside JSON text.
    for number, line in enumerate((read_text(file) if text is None else text).split("\n"), 1):
        if line.strip():
            yield from _line(collector, file, number, line.strip())


def list_or_lines(collector: Collector, file: Path, wanted: str) -> Iterator[Raw]:
    """Yield the objects of a file that is a JSON list, or has one object per line."""
    text = read_text(file)
    if text.lstrip().startswith("["):
        return list_objects(file, wanted, text)
    return line_objects(collector, file, text)


def _line(collector: Collector, file: Path, number: int, line: str) -> Iterator[Raw]:
    where = f"{file}:{number}"
    if "\x00" in line:
        collector.drop(where, "binary data: the line holds a NUL character", line)
        return
    if not is_utf8(line):
        collector.drop(where, "not UTF-8: the line holds other bytes; save the file as UTF-8", line)
        return
    try:
        values = json.loads(line)
    except ValueError as error:
        collector.drop(where, f"bad JSON: {error}", line)
    except RecursionError:
        collector.drop(where, "bad JSON: nested too deeply", line)
    else:
        yield Raw(f":{number}", values, line)
