"""Dialogues about a database, as SParC and CoSQL publish them: each turn becomes a question with its history.

A file is one JSON list of dialogues with `database_id` and `interaction`, whose turns have `utterance` and `query`.
The history of a turn is every turn before it, text and SQL, and never anything of its own. Golds come in one spelling
(`sql.normalise`), since some are published in pieces (`Count ( * )   > =  3`) that no database reads.

Not covered: the goal that each dialogue works towards (`final`), CoSQL's dialogue acts and system answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlwright.datasets.dataset import Collector, Dataset, kind_of
from sqlwright.datasets.locate import find_root
from sqlwright.datasets.objects import Raw, list_objects
from sqlwright.datasets.spider import find_tables
from sqlwright.sql.normalise import normalise

KEYS = {"database": ("database_id",), "text": ("utterance",), "golds": ("query",), "history": ("history",)}


def read_dialogues(files: Sequence[Path], databases_root: Path | None, need_golds: bool) -> Dataset:
    """Return one question per turn, in order; `source` is `file#dialogue.turn`, both counted from 0.

    Raises:
        DataError: a file as a whole can't be read, or is no list.
    """
    databases_root = find_root(files, databases_root)
    collector = Collector(databases_root, need_golds, KEYS)
    for file in files:
        for raw in list_objects(file, "database_id and interaction"):
            collector.add_all(file, _turns(collector, file, raw))
    return collector.finish(find_tables(files, databases_root))


def _turns(collector: Collector, file: Path, raw: Raw) -> Iterator[Raw]:
    """Yield the turns of a dialogue with their histories; after a turn that can't be read, the rest is dropped."""
    dialogue = raw.values
    turns = dialogue.get("interaction") if isinstance(dialogue, dict) else None
    if not isinstance(dialogue, dict) or not isinstance(turns, list):
        found = kind_of(turns if isinstance(dialogue, dict) else dialogue)
        collector.drop(
            f"{file}{raw.mark}", f"bad dialogue: expected a list under 'interaction', found {found}", raw.shown
        )
        return
    history: list[list[str]] = []
    for number, turn in enumerate(turns):
        mark, shown = f"{raw.mark}.{number}", json.dumps(turn, ensure_ascii=False)
        if len(history) < number:
            reason = f"earlier turn: expected turn {len(history)} as history, found that it can't be used"
            collector.drop(f"{file}{mark}", reason, shown)
            continue
        values = _question(turn, history)
        if isinstance(values, dict):
            values["database_id"] = dialogue.get("database_id")
        yield Raw(mark, values, shown)
        if isinstance(values, dict) and _is_text(values.get("utterance")) and _is_text(values.get("query")):
            history.append([values["utterance"], values["query"]])


def _question(turn: object, history: Sequence[Sequence[str]]) -> Any:
    """Return the values of one turn; what isn't a turn comes back as it is, for the collector to refuse."""
    if not isinstance(turn, dict):
        return turn
    values = {"utterance": turn.get("utterance"), "query": turn.get("query"), "history": [list(t) for t in history]}
    if isinstance(values["query"], str):
        values["query"] = normalise(values["query"])
    return values


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
