"""sql-eval as question data: every gold, instructions, glossary, examples and earlier turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from reading import PUBLISHED, dropped

from sqlwright.databases import Executor
from sqlwright.datasets import READERS, check_golds


def test_published_columns_arrive(shops: Path) -> None:
    file = PUBLISHED / "sql_eval.csv"
    dataset = READERS["sql-eval"]([file], shops)
    first, second = dataset.questions
    assert first.golds == (
        "SELECT name FROM shop WHERE town = 'a;{b}'",
        "SELECT town FROM shop WHERE town = 'a;{b}'",
        "SELECT name, town FROM shop WHERE town = 'a;{b}'",
        "SELECT name FROM shop",
    )
    assert first.category == "instructions_group"
    assert first.evidence.splitlines() == [
        "Match towns by name. Never guess.",
        "Glossary:",
        "Bern = the capital",
        "Examples:",
        "Question: how many?",
        "SQL: SELECT count(*) FROM shop",
    ]
    assert first.history == (("How many shops?", "SELECT count(*) FROM shop"),)
    assert (second.evidence, second.history) == ("Only the full ones.", ())
    assert dropped(dataset, file) == [(":4", "bad gold"), (":5", "bad gold"), (":6", "wrong number of cells")]


@pytest.mark.parametrize(("dialect", "running"), [("sqlite", 40), ("postgres", 26)])
def test_the_basic_files(dialect: str, running: int, archive: Callable[[str], Path]) -> None:
    root = archive("sql-eval-basic") / "sql-eval"
    dataset = READERS["sql-eval"]([root / f"instruct_basic_{dialect}.csv"])
    assert (len(dataset.questions), len(dataset.databases), dataset.dropped) == (40, 4, ())
    assert set(Counter(q.category for q in dataset.questions).values()) == {8}
    with Executor(workers=1) as executor:
        checked = check_golds(dataset, executor)
    assert len(checked.questions) == running, "Postgres golds with syntax of its own fail in SQLite, and are named"
    assert {one.kind for one in checked.dropped} == ({"gold fails"} if running < 40 else set())
