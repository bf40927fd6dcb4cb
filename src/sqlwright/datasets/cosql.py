"""CoSQL: conversations about Spider's databases, in `cosql_dev.json` and its like.

Its SQL is published in pieces (`Count ( * )   > =  3`) and put together here.

Source: Yu et al. 2019, "CoSQL: A Conversational Text-to-SQL Challenge", CC BY-SA 4.0, https://yale-lily.github.io/cosql.
Not covered: turns without SQL (greetings, clarifications), which only its dialogue files hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Dataset
from sqlwright.datasets.dialogues import read_dialogues


def read_cosql(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the turns of CoSQL's dialogues, in order, each with the turns before it as history.

    Args:
        files: JSON lists of dialogues.
        databases_root: folder of Spider's databases; see `find_root`.
        need_golds: drop turns without SQL; turns after them lack their history and are dropped in any case.

    Raises:
        DataError: a file as a whole can't be read.
    """
    return read_dialogues(files, databases_root, need_golds)
