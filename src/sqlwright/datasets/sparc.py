"""SParC: conversations about Spider's databases, in `sparc_dev.json` and its like.

Source: Yu et al. 2019, "SParC: Cross-Domain Semantic Parsing in Context", CC BY-SA 4.0,
https://yale-lily.github.io/sparc. Not covered: scores of whole dialogues (each turn is a question of its own).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Dataset
from sqlwright.datasets.dialogues import read_dialogues


def read_sparc(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the turns of SParC's dialogues, in order, each with the turns before it as history.

    Args:
        files: JSON lists of dialogues.
        databases_root: folder of Spider's databases; see `find_root`.
        need_golds: drop turns without SQL; turns after them lack their history and are dropped in any case.

    Raises:
        DataError: a file as a whole can't be read.
    """
    return read_dialogues(files, databases_root, need_golds)
