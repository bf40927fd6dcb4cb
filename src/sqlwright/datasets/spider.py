"""Spider in its official layout: `train_spider.json`, `dev.json`, `tables.json`, `database/NAME/…`.

Source: Yu et al. 2018, "Spider: A Large-Scale Human-Labeled Dataset for Complex and Cross-Domain Semantic
Parsing and Text-to-SQL Task", https://yale-lily.github.io/spider. Only `db_id`, `question` and `query` are
read; the parsed `sql` and the token lists are not needed. Not covered: its multi-turn relatives SParC and
CoSQL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Collector, Dataset
from sqlwright.datasets.text import is_utf8, read_text
from sqlwright.errors import DataError

KEYS = {"database": ("db_id",), "text": ("question",), "golds": ("query",)}


def read_spider(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of Spider's JSON files, in order, with the databases they name.

    Args:
        files: JSON files, each one list of questions.
        databases_root: folder of databases; `database/` beside the first file when None.
        need_golds: drop questions without a gold; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read, or is not a list.
    """
    if databases_root is None and files:
        databases_root = files[0].parent / "database"
    collector = Collector(databases_root, need_golds, KEYS)
    for file in files:
        for index, values in enumerate(_load_list(file)):
            shown = json.dumps(values, ensure_ascii=False)
            collector.add(values, file=file, mark=f"#{index}", text=shown)
    return collector.finish(find_tables(files, databases_root))


def find_tables(files: Sequence[Path], databases_root: Path | None) -> Path | None:
    """Return `tables.json` beside the question files or the folder of databases, None if there is none."""
    folders = [file.parent for file in files] + ([databases_root.parent] if databases_root else [])
    return next((f / "tables.json" for f in folders if (f / "tables.json").is_file()), None)


def _load_list(file: Path) -> list[object]:
    text = read_text(file)
    if not is_utf8(text):
        line = next(n for n, part in enumerate(text.split("\n"), 1) if not is_utf8(part))
        raise DataError(f"{file}:{line}: expected UTF-8 text, found other bytes. Save the file as UTF-8.")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = ""
        if text.lstrip().startswith("{"):
            hint = " If it holds one object per line, its format is 'jsonl', not 'spider'."
        raise DataError(f"{file}: expected one JSON list of questions, found {error}.{hint}") from None
    if not isinstance(values, list):
        raise DataError(
            f"{file}: expected a JSON list of objects with db_id, question and query, "
            f"found {type(values).__name__}. One object per line is the format 'jsonl'."
        )
    return values
