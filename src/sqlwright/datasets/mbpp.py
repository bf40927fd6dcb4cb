"""MBPP: Python functions from one sentence, with the tests they must pass.

Both forms are read: the sanitized JSON list (`prompt`, `code`, `test_imports`, `test_list`) and the full set's JSON
lines (`text`, `code`, `test_setup_code`, `test_list`). The text ends with the tests, as in the paper's prompts: without
them the name of the function is anyone's guess.

Source: Austin et al. 2021, "Program Synthesis with Large Language Models", CC BY 4.0. It is for evaluation: never train
on it a model that is compared on it. Not covered: the split into train, validation and test by `task_id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.dataset import BadQuestion, Collector, Dataset, kind_of
from sqlwright.datasets.objects import list_or_lines

TASK = "Write the Python function. Answer with its code and nothing else."

KEYS = {"text": ("text",), "golds": ("code",), "id": ("task_id",), "evidence": ("task",), "category": ("category",)}


def read_mbpp(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the tasks of MBPP's files, in order; `id` is the `task_id`.

    Args:
        files: the sanitized JSON list, or JSON lines.
        databases_root: not used.
        need_golds: drop tasks without code; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read.
    """
    collector = Collector(databases_root, need_golds, KEYS, without_database=True)
    for file in files:
        raws = list_or_lines(collector, file, "task_id, prompt, code and test_list")
        collector.add_all(file, raws, _question)
    return collector.finish()


def _question(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with the sentence and its tests as one text."""
    sentence = values.get("prompt", values.get("text"))
    if not isinstance(sentence, str) or not sentence.strip():
        raise BadQuestion(f"missing key: expected text in 'prompt' or 'text', found {kind_of(sentence)}")
    tests = values.get("test_list")
    if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise BadQuestion(f"wrong type: expected a list of texts in 'test_list', found {kind_of(tests)}")
    text = "\n".join([sentence.strip(), "It must pass these tests:", *tests])
    return {**values, "text": text, "task": TASK, "category": "mbpp"}
