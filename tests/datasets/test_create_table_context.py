"""Schemas that come with the question become databases, made once; they can create tables and do nothing else."""

from __future__ import annotations

from pathlib import Path

from reading import PUBLISHED, dropped

from sqlwright.databases import Executor, describe
from sqlwright.datasets import READERS, check_golds, with_hardness

FILE = PUBLISHED / "create_table_context.json"


def test_each_schema_is_a_database(cache: Path) -> None:
    dataset = READERS["create-table-context"]([FILE])
    assert dropped(dataset, FILE) == [
        ("#4", "bad schema"),
        ("#5", "bad schema"),
        ("#6", "bad schema"),
        ("#7", "bad schema"),
        ("#8", "missing schema"),
    ]
    assert "not authorized" in dataset.dropped[1].reason
    assert not list(cache.rglob("other.sqlite"))
    first, joined, again, _ = dataset.questions
    assert first.database == again.database != joined.database
    schema = describe(dataset.databases[joined.database], 0)
    assert [(t.name, [c.name for c in t.columns]) for t in schema.tables] == [
        ("head", ["age", "name", "town"]),
        ("town", ["id"]),
    ]
    assert all(path.is_relative_to(cache) for path in dataset.databases.values())


def test_a_gold_with_other_names_fails(cache: Path) -> None:
    with Executor(workers=1) as executor:
        checked = check_golds(with_hardness(READERS["create-table-context"]([FILE])), executor)
    assert [q.hardness for q in checked.questions] == ["easy", "medium", "easy"]
    assert checked.dropped[-1].reason == "gold fails: no such column: height"


def test_databases_are_made_once_and_again_when_gone(cache: Path) -> None:
    made = READERS["create-table-context"]([FILE]).databases
    times = {path: path.stat().st_mtime_ns for path in made.values()}
    contents = {path: path.read_bytes() for path in made.values()}
    assert READERS["create-table-context"]([FILE]).databases == made
    assert {path: path.stat().st_mtime_ns for path in made.values()} == times
    next(iter(made.values())).unlink()
    READERS["create-table-context"]([FILE])
    assert {path: path.read_bytes() for path in made.values()} == contents
