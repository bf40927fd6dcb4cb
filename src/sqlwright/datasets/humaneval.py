"""HumanEval: Python functions to complete, JSON lines (also `.jsonl.gz`) with `prompt` and `canonical_solution`.

The questions are about no database; the gold is what the published solution adds to the prompt. Blanks are kept, since
they are part of a program. Tests are not read here: `sqlwright score --benchmark code` runs them.

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", MIT. It is for evaluation: never train on
it a model that is compared on it. Not covered: other languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlwright.datasets.dataset import Collector, Dataset
from sqlwright.datasets.objects import list_or_lines

TASK = "Complete the Python function. Answer with the code that follows the given text and nothing else."

KEYS = {
    "text": ("prompt",),
    "golds": ("canonical_solution",),
    "id": ("task_id",),
    "evidence": ("task",),
    "category": ("category",),
}


def read_humaneval(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the tasks of HumanEval's files, in order; `id` is the `task_id`.

    Args:
        files: JSON lines, gzipped if the name ends in `.gz`, or a JSON list.
        databases_root: not used.
        need_golds: drop tasks without a solution; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read.
    """
    collector = Collector(databases_root, need_golds, KEYS, without_database=True)
    for file in files:
        raws = list_or_lines(collector, file, "task_id, prompt and canonical_solution")
        collector.add_all(file, raws, lambda values: {**values, "task": TASK, "category": "humaneval"})
    return collector.finish()
