"""SQLWright's own CSV: a header with `question`, `sql`, `database`; `id`, `evidence`, `category` if wanted.

Cells may be separated by commas, semicolons or tabs, as spreadsheets write them. One gold per row;
alternatives and history need the JSON-lines form.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Collector, Dataset
from sqlwright.datasets.objects import Raw
from sqlwright.datasets.spider import find_tables
from sqlwright.datasets.text import read_text
from sqlwright.errors import DataError

KEYS = {
    "database": ("database",),
    "text": ("question",),
    "golds": ("sql",),
    "id": ("id",),
    "evidence": ("evidence",),
    "category": ("category",),
}
SEPARATORS = ",;\t"


def read_csv(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of CSV files, in order; rows that can't be used are in `dropped`.

    Args:
        files: the files; empty rows are skipped.
        databases_root: folder of databases; the folder of each file when None.
        need_golds: drop questions without SQL; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read, or its header lacks a column.
    """
    collector = Collector(databases_root, need_golds, KEYS)
    needed = ["question", "database", *(["sql"] if need_golds else [])]
    for file in files:
        collector.add_all(file, table_rows(collector, file, needed))
    return collector.finish(find_tables(files, databases_root))


def table_rows(collector: Collector, file: Path, needed: Sequence[str]) -> Iterator[Raw]:
    """Yield the rows of a CSV file by the names of its columns in lower case; rows that are no CSV are dropped.

    Raises:
        DataError: the file can't be read, or its header lacks a column of `needed`.
    """
    text = read_text(file).replace("\r\n", "\n").replace("\r", "\n")
    header, separator = _read_header(file, text, needed)
    for number, cells in _rows(collector, file, text, separator):
        if not any(cell.strip() for cell in cells):
            continue
        shown = separator.join(cells)
        if len(cells) != len(header):
            reason = f"wrong number of cells: expected {len(header)} as in the header, found {len(cells)}"
            collector.drop(f"{file}:{number}", f"{reason}; quote cells that hold {separator!r}", shown)
            continue
        yield Raw(f":{number}", dict(zip(header, cells, strict=True)), shown)


def _read_header(file: Path, text: str, needed: Sequence[str]) -> tuple[list[str], str]:
    """Return the names of the columns, in lower case, and the character that separates cells."""
    first = text.partition("\n")[0]
    for separator in SEPARATORS:
        try:
            cells = next(csv.reader([first], delimiter=separator), [])
        except csv.Error as error:
            raise DataError(f"{file}:1: expected a header of CSV, found {error}.") from None
        header = [cell.strip().lower() for cell in cells]
        if all(name in header for name in needed):
            repeated = sorted({name for name in header if name in needed and header.count(name) > 1})
            if repeated:
                raise DataError(f"{file}:1: expected each column once, found {', '.join(repeated)} repeated.")
            return header, separator
    raise DataError(
        f"{file}:1: expected a header with the columns {', '.join(needed)}, separated by comma, "
        f"semicolon or tab; found {first[:200].encode('utf-8', 'replace').decode()!r}."
    )


def _rows(collector: Collector, file: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, cells) of the rows below the header; what isn't CSV is dropped with a reason."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    next(reader)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines = text.split("\n")[first - 1 : reader.line_num]
            reason = f"bad CSV: {error}"
            if "unexpected end of data" in str(error):
                reason = f"bad CSV: the quote opened here is never closed, which hides {len(lines)} lines"
            collector.drop(f"{file}:{first}", reason, "\n".join(lines))
            continue
        yield first, cells
