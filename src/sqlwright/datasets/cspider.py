"""CSpider: Spider's questions in Chinese, about the same English databases, in Spider's layout.

Source: Min, Shi and Zhang 2019, "A Pilot Study for Chinese SQL Semantic Parsing", CC BY-SA 4.0,
https://taolusi.github.io/CSpider-explorer. A file whose questions have no Chinese character is refused, since it is
most likely Spider's own. Not covered: its word segmentation (`question_toks`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Dataset
from sqlwright.datasets.spider import read_spider
from sqlwright.errors import DataError

_CHINESE = re.compile("[\u3400-\u9fff]")


def read_cspider(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the questions of CSpider's files, in order; see `read_spider` for the arguments.

    Raises:
        DataError: a file as a whole can't be read, or there are questions and none is Chinese.
    """
    dataset = read_spider(files, databases_root, need_golds)
    if dataset.questions and not any(_CHINESE.search(question.text) for question in dataset.questions):
        raise DataError(
            f"{', '.join(map(str, files))}: expected questions in Chinese (CSpider), found none; the first is "
            f"{dataset.questions[0].text!r:.80}. Spider's own files have the format 'spider'."
        )
    return dataset
