"""Question files in, `Question`s out: one file per benchmark, found through `READERS`.

    dataset = READERS["spider"]([Path("spider/dev.json")], Path("spider/database"), True)

Every reader takes (files, folder of databases or None, whether golds are needed) and returns a `Dataset`,
which also says what was left out and why.
"""

from __future__ import annotations

from sqlwright.datasets.bird import read_bird
from sqlwright.datasets.corrections import CORRECTIONS, Correction, add_correction
from sqlwright.datasets.cosql import read_cosql
from sqlwright.datasets.create_table_context import read_create_table_context
from sqlwright.datasets.cspider import read_cspider
from sqlwright.datasets.csv import read_csv
from sqlwright.datasets.dataset import Dataset, Dropped, Reader
from sqlwright.datasets.golds import check_golds, columns_by_table, with_category, with_hardness
from sqlwright.datasets.humaneval import read_humaneval
from sqlwright.datasets.infilling import read_infilling
from sqlwright.datasets.jsonl import read_jsonl
from sqlwright.datasets.locate import find_database, find_root, package_path, resolve_path
from sqlwright.datasets.mbpp import read_mbpp
from sqlwright.datasets.parquet import read_parquet
from sqlwright.datasets.sparc import read_sparc
from sqlwright.datasets.spider import read_spider
from sqlwright.datasets.split import schema_overlap, split_by_database
from sqlwright.datasets.sql_eval import read_sql_eval
from sqlwright.datasets.viggo import read_viggo
from sqlwright.datasets.wikisql import read_wikisql

READERS: dict[str, Reader] = {
    "spider": read_spider,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
    "bird": read_bird,
    "wikisql": read_wikisql,
    "sparc": read_sparc,
    "cosql": read_cosql,
    "cspider": read_cspider,
    "sql-eval": read_sql_eval,
    "create-table-context": read_create_table_context,
    "viggo": read_viggo,
    "humaneval": read_humaneval,
    "mbpp": read_mbpp,
    "infilling": read_infilling,
}
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
    "find_root",
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
