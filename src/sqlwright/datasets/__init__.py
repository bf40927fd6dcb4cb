"""Question files in, `Question`s out: one file per benchmark, found through `READERS`.

    dataset = READERS["spider"]([Path("spider/dev.json")], Path("spider/database"), True)

Every reader takes (files, folder of databases or None, whether golds are needed) and returns a `Dataset`,
which also says what was left out and why.
"""

from __future__ import annotations

from sqlwright.datasets.corrections import CORRECTIONS, Correction, add_correction
from sqlwright.datasets.csv import read_csv
from sqlwright.datasets.dataset import Dataset, Dropped, Reader
from sqlwright.datasets.golds import check_golds, columns_by_table, with_category, with_hardness
from sqlwright.datasets.jsonl import read_jsonl
from sqlwright.datasets.locate import find_database, package_path, resolve_path
from sqlwright.datasets.spider import read_spider
from sqlwright.datasets.split import schema_overlap, split_by_database

READERS: dict[str, Reader] = {"spider": read_spider, "jsonl": read_jsonl, "csv": read_csv}
"""The formats of question files, by the name a recipe uses."""

__all__ = [
    "CORRECTIONS",
    "READERS",
    "Correction",
    "Dataset",
    "Dropped",
    "Reader",
    "add_correction",
    "check_golds",
    "columns_by_table",
    "find_database",
    "package_path",
    "read_csv",
    "read_jsonl",
    "read_spider",
    "resolve_path",
    "schema_overlap",
    "split_by_database",
    "with_category",
    "with_hardness",
]
