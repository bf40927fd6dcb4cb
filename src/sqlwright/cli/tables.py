"""Results on stdout: rows as a table, documents as JSON.

What a database or a model wrote is hostile: control characters and characters that change the direction of
text are shown by their code, so that no cell can move the cursor, recolour the screen or hide what it says.
NULL is printed as NULL; text that reads NULL gets quotes.

Not covered: progress, which goes to stderr (see `sqlwright.cli.terminal`).
"""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlwright.errors import DataError

_NARROWEST = 8
"""Columns of a table that a cell needs on a terminal; with less for each, rows are printed one below the other."""

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def print_json(document: object) -> None:
    """Print one JSON document: bytes as hexadecimal text, what is no finite number as text."""
    print(json.dumps(plain(document), ensure_ascii=False, allow_nan=False))


def plain(value: object) -> Any:
    """Return a value as JSON can hold it; text with lone surrogates gets replacement characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, Iterable):
        return [plain(inner) for inner in value]
    return str(value)


def safe(text: str, keep_lines: bool = False) -> str:
    """Return text that can't act on a terminal; line ends stay with `keep_lines`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or (keep_lines and character == "\n") else _escaped(character)
        for character in text
    )


def shown(value: object) -> str:
    """Return a cell as one line of text."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes | bytearray | memoryview):
        held = bytes(value)
        dots = "…" if len(held) > 32 else ""
        return f"x'{held[:32].hex()}{dots}'" + (f" ({len(held):,} bytes)" if dots else "")
    text = safe(str(value))
    return f"'{text}'" if isinstance(value, str) and text == "NULL" else text


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as a table; on a terminal too narrow for it, every row as a list of its values."""
    names = [safe(name) for name in columns]
    cells = [[shown(value) for value in row] for row in rows]
    numeric = [
        any(row[place] is not None for row in rows)
        and all(row[place] is None or isinstance(row[place], int | float) for row in rows)
        for place in range(len(names))
    ]
    if not sys.stdout.isatty():
        for line in aligned([names, *cells], numeric, rule=True):
            print(line)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if len(names) * (_NARROWEST + 2) > console.width:
        _print_records(names, cells)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, right in zip(names, numeric, strict=True):
        table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row, values in zip(cells, rows, strict=True):
        table.add_row(
            *(Text(cell, style="dim" if value is None else "") for cell, value in zip(row, values, strict=True))
        )
    console.print(table)


def aligned(lines: Sequence[Sequence[str]], right: Sequence[bool], *, rule: bool = False) -> list[str]:
    """Return cells as lines of text in columns, the first line being the header, with a rule below if asked."""
    widths = [max(width_of(row[place]) for row in lines) for place in range(len(lines[0]))]
    texts = []
    for row in lines:
        padded = []
        for cell, width, flush in zip(row, widths, right, strict=True):
            space = " " * (width - width_of(cell))
            padded.append(space + cell if flush else cell + space)
        texts.append("  ".join(padded).rstrip())
    if rule:
        texts.insert(1, "  ".join("-" * width for width in widths))
    return texts


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _print_records(names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    width = max(map(width_of, names))
    for number, row in enumerate(cells, 1):
        print(f"row {number}")
        for name, cell in zip(names, row, strict=True):
            print(f"  {name}{' ' * (width - width_of(name))}  {cell}")


def _escaped(character: str) -> str:
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    # other spaces and letters of private use are harmless; only what acts on the terminal is spelled out
    acts = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS
    return known.get(character, f"\\u{{{ord(character):x}}}") if acts else character


def write_page(path: Path, text: str) -> None:
    """Write an HTML page where the user wants it; raise `DataError` where it can't be written."""
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: the page can't be written ({error.strerror}).") from None
