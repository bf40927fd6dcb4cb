"""SParC and CoSQL: a turn has the turns before it as history and nothing of its own; tokenised SQL runs again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from reading import PUBLISHED, dropped

from sqlwright.databases import Executor
from sqlwright.datasets import READERS, check_golds


@pytest.mark.parametrize("reader", ["sparc", "cosql"])
def test_published_dialogues(reader: str, shops: Path) -> None:
    file = PUBLISHED / "dialogues.json"
    dataset = READERS[reader]([file], shops)
    count, towns, names, last = dataset.questions
    assert count.history == ()
    assert towns.history == (("How many shops are there?", "SELECT COUNT(*) FROM shop"),)
    assert towns.golds == ("SELECT town FROM shop GROUP BY town HAVING COUNT(*) >= 2",)
    assert names.golds == ("SELECT name FROM shop WHERE town != 'Bern'",)
    assert [text for text, _ in names.history] == [count.text, towns.text]
    assert (last.text, last.history, last.source) == ("All shops?", (), "dialogues.json#1.0")
    assert dropped(dataset, file) == [
        ("#1.1", "missing key"),
        ("#1.2", "earlier turn"),
        ("#2.0", "unknown database"),
        ("#3", "bad dialogue"),
        ("#4", "bad dialogue"),
    ]


# The gold that fails: an unknown alias in SParC, a parenthesis too many in CoSQL.
@pytest.mark.parametrize(
    ("reader", "dialogues", "turns", "failing"), [("sparc", 422, 1203, "T1.id"), ("cosql", 293, 1007, "syntax error")]
)
def test_the_development_files(
    reader: str, dialogues: int, turns: int, failing: str, archive: Callable[[str], Path], spider_root: Path
) -> None:
    file = archive("multi_turn") / "multi_turn" / f"{reader}_dev.json"
    dataset = READERS[reader]([file], spider_root / "database")
    published = json.loads(file.read_text(encoding="utf-8"))
    assert (len(published), len(dataset.questions), dataset.dropped) == (dialogues, turns, ())
    questions = iter(dataset.questions)
    for dialogue in published:
        before: list[str] = []
        for turn in dialogue["interaction"]:
            question = next(questions)
            assert [text for text, _ in question.history] == before, "earlier turns, all of them, nothing else"
            before.append(turn["utterance"].strip())
            assert question.text == before[-1]
    with Executor(workers=1) as executor:
        checked = check_golds(dataset, executor)
    assert len(checked.questions) == turns - 1
    assert failing in checked.dropped[0].reason


@pytest.mark.parametrize("reader", ["sparc", "cosql"])
def test_put_together_queries_have_the_rows_of_the_published_ones(
    reader: str, archive: Callable[[str], Path], spider_root: Path
) -> None:
    file = archive("multi_turn") / "multi_turn" / f"{reader}_dev.json"
    dataset = READERS[reader]([file], spider_root / "database")
    turns = [t["query"] for d in json.loads(file.read_text(encoding="utf-8")) for t in d["interaction"]]
    pairs = [(q, published) for q, published in zip(dataset.questions, turns, strict=True)][::3]
    with Executor(workers=1) as executor:
        for question, published in pairs:
            path = dataset.databases[question.database]
            theirs = executor.run(path, published)
            if theirs.ok:
                assert executor.run(path, question.golds[0]).rows == theirs.rows, published
