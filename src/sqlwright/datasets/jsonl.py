"""SQLWright's own JSON lines: one object per line with `question`, `sql` and `database`.

`sql` is one text or a list of alternatives. `id`, `evidence`, `history`, `category` and `hardness` (one of
Spider's four levels) may be added; other keys are ignored. `database` is a name under the folder of
databases, or a path relative to the file. The `questions.jsonl` of a run reads back too: `text` and `golds`
are accepted for `question` and `sql`.

Not covered: several lines per object; that is a JSON list or pretty-printed JSON, and the error says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Collector, Dataset
from sqlwright.datasets.objects import line_objects
from sqlwright.datasets.spider import find_tables
from sqlwright.datasets.text import read_text
from sqlwright.errors import DataError

KEYS = {
    "database": ("database",),
    "text": ("question", "text"),
    "golds": ("sql", "golds"),
    "id": ("id",),
    "evidence": ("evidence",),
    "history": ("history",),
    "hardness": ("hardness",),
    "category": ("category",),
}


def read_jsonl(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of JSON-lines files, in order; lines that can't be used are in `dropped`.

    Args:
        files: the files; blank lines are skipped.
        databases_root: folder of databases; the folder of each file when None.
        need_golds: drop questions without SQL; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read, or is one JSON list.
    """
    collector = Collector(databases_root, need_golds, KEYS)
    for file in files:
        text = read_text(file)
        if text.lstrip().startswith("["):
            raise DataError(
                f"{file}: expected one JSON object per line, found a JSON list. "
                f"Write one object per line; Spider's own files are read with the format 'spider'."
            )
        collector.add_all(file, line_objects(collector, file, text))
    return collector.finish(find_tables(files, databases_root))
