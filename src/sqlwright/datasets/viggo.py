"""ViGGO turned round, from a sentence to its meaning representation: CSV with `ref` and `mr`.

The questions are about no database. The task's description is the evidence, which such questions share as others share
a schema. The category is the gold's function (`inform`, `give_opinion` …), as the scorer groups by it.

Source: Juraska et al. 2019, "ViGGO: A Video Game Corpus for Data-To-Text Generation in Open-Domain Conversation",
CC BY-SA 4.0. Not covered: the corpus' own direction, from a meaning to a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.csv import table_rows
from sqlwright.datasets.dataset import BadQuestion, Collector, Dataset

TASK = """\
Write the meaning of a sentence about video games as one function with its slots, such as
inform(name[Portal 2], genres[puzzle, shooter]), and nothing else.
Functions: inform, request, give_opinion, confirm, verify_attribute, suggest, request_explanation, recommend,
request_attribute.
Slots: name, exp_release_date, release_year, developer, esrb, rating, genres, player_perspective, has_multiplayer,
platforms, available_on_steam, has_linux_release, has_mac_release, specifier."""
"""What a prompt says before the sentence; functions and slots are those of the corpus."""

KEYS = {"text": ("ref",), "golds": ("mr",), "evidence": ("task",), "category": ("function",)}
_FUNCTION = re.compile(r"(\w+)\(.*\)", re.DOTALL)


def read_viggo(files: Sequence[Path], databases_root: Path | None = None, need_golds: bool = True) -> Dataset:
    """Return the sentences of ViGGO's CSV files, in order, with their meanings as golds.

    Args:
        files: the CSV files.
        databases_root: not used.
        need_golds: drop sentences without a meaning; False for files that are only to be predicted.

    Raises:
        DataError: a file as a whole can't be read, or its header lacks a column.
    """
    collector = Collector(databases_root, need_golds, KEYS, without_database=True)
    needed = ["ref", *(["mr"] if need_golds else [])]
    for file in files:
        collector.add_all(file, table_rows(collector, file, needed), _question)
    return collector.finish()


def _question(row: dict[str, str]) -> dict[str, Any]:
    """Return the row with the task's description and the function of its meaning."""
    meaning = row.get("mr", "").strip()
    function = _FUNCTION.fullmatch(meaning)
    if meaning and not function:
        raise BadQuestion(f"bad gold: expected a meaning such as inform(name[Portal]), found {meaning!r:.80}")
    return {"ref": row["ref"].strip(), "mr": meaning, "task": TASK, "function": function[1] if function else ""}
