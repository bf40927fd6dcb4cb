"""Spider in its official layout: `train_spider.json`, `dev.json`, `tables.json`, `database/NAME/…`.

Source: Yu et al. 2018, "Spider: A Large-Scale Human-Labeled Dataset for Complex and Cross-Domain Semantic
Parsing and Text-to-SQL Task", https://yale-lily.github.io/spider. Only `db_id`, `question` and `query` are
read; the parsed `sql` and the token lists are not needed. Not covered: its relatives, which have readers of their own
(SParC, CoSQL, CSpider).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Collector, Dataset
from sqlwright.datasets.locate import find_root
from sqlwright.datasets.objects import list_objects

KEYS = {"database": ("db_id",), "text": ("question",), "golds": ("query",)}


def read_spider(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of Spider's JSON files, in order, with the databases they name.

    Args:
        files: JSON files, each one list of questions.
        databases_root: folder of databases; where it isn't there, the one that is usual (see `find_root`).
        need_golds: drop questions without a gold; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read, or is not a list.
    """
    databases_root = find_root(files, databases_root)
    collector = Collector(databases_root, need_golds, KEYS)
    for file in files:
        collector.add_all(file, list_objects(file, "db_id, question and query"))
    return collector.finish(find_tables(files, databases_root))


def find_tables(files: Sequence[Path], databases_root: Path | None) -> Path | None:
    """Return `tables.json` beside the question files or the folder of databases, None if there is none."""
    folders = [file.parent for file in files] + ([databases_root.parent] if databases_root else [])
    return next((f / "tables.json" for f in folders if (f / "tables.json").is_file()), None)
