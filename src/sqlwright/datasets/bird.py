"""BIRD in its published layout: `dev.json`, `train.json` or a mini-dev file, with `dev_databases/NAME/NAME.sqlite`.

`evidence` reaches the prompt as a hint; `difficulty` (simple, moderate, challenging) becomes the category, for
hardness is Spider's word and another scale. What `database_description/` says of the columns is read with the
database (see `databases.published`).

Source: Li et al. 2023, "Can LLM Already Serve as A Database Interface? A BIg Bench for Large-Scale Database Grounded
Text-to-SQLs", https://bird-bench.github.io. Not covered: its MySQL and Postgres golds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Collector, Dataset
from sqlwright.datasets.descriptions import with_description_problems
from sqlwright.datasets.locate import find_root
from sqlwright.datasets.objects import list_or_lines

KEYS = {
    "database": ("db_id",),
    "text": ("question",),
    "golds": ("SQL",),
    "evidence": ("evidence",),
    "category": ("difficulty",),
}


def read_bird(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of BIRD's files, in order, with the databases they name.

    Args:
        files: JSON lists, as published, or one object per line.
        databases_root: folder of databases, or the one that holds `dev_databases`; see `find_root`.
        need_golds: drop questions without a gold; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read.
    """
    collector = Collector(find_root(files, databases_root), need_golds, KEYS)
    for file in files:
        collector.add_all(file, list_or_lines(collector, file, "db_id, question, evidence and SQL"))
    return with_description_problems(collector.finish())
