"""HumanEval infilling: the code between `prompt` and `suffix`, JSON lines (also `.jsonl.gz`).

Text and suffix become one text with `<FILL_ME>` between them, the mark that Code Llama's tokenizer knows. Single-line,
multi-line and random-span files are read alike; the category is the kind, as `task_id` begins with it.

Source: Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle", MIT. Not covered: the
special tokens of a model that was trained on infilling.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.dataset import BadQuestion, Collector, Dataset, kind_of
from sqlwright.datasets.objects import list_or_lines

MARK = "<FILL_ME>"
TASK = f"Write the Python code that belongs in the place of {MARK}, and nothing else."

KEYS = {
    "text": ("text",),
    "golds": ("canonical_solution",),
    "id": ("task_id",),
    "evidence": ("task",),
    "category": ("category",),
}


def read_infilling(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the gaps of the files, in order; `id` is the `task_id`, the gold what stood in the gap.

    Args:
        files: JSON lines, gzipped if the name ends in `.gz`, or a JSON list.
        databases_root: not used.
        need_golds: drop tasks without a solution; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read.
    """
    collector = Collector(databases_root, need_golds, KEYS, without_database=True)
    for file in files:
        raws = list_or_lines(collector, file, "task_id, prompt, suffix and canonical_solution")
        collector.add_all(file, raws, _question)
    return collector.finish()


def _question(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with the text around the gap."""
    for key in ("prompt", "suffix"):
        if not isinstance(values.get(key), str):
            raise BadQuestion(f"missing key: expected text in {key!r}, found {kind_of(values.get(key))}")
    kind = str(values.get("task_id", "")).partition("/")[0]
    return {**values, "text": f"{values['prompt']}{MARK}{values['suffix']}", "task": TASK, "category": kind}
