"""Values of the data that questions name: what is found and what isn't is held in fixtures/values.tsv."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlwright.databases import Executor, describe
from sqlwright.prompts.values import ValueIndex

FIXTURES = Path(__file__).parent / "fixtures"
CASES = [line.split("\t") for line in (FIXTURES / "values.tsv").read_text(encoding="utf-8").splitlines()[1:]]


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as started:
        yield started


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Return the database made from fixtures/values.sql."""
    path = tmp_path / "world.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript((FIXTURES / "values.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


@pytest.mark.parametrize(("question", "expected"), CASES, ids=[question for question, _ in CASES])
def test_values_that_a_question_names(world: Path, executor: Executor, question: str, expected: str) -> None:
    index = ValueIndex(world, describe(world, 0), world.parent / "values", executor)
    assert "; ".join(map(str, index.find(question, 3))) == expected


def test_at_most_so_many(world: Path, executor: Executor) -> None:
    index = ValueIndex(world, describe(world, 0), world.parent / "values", executor)
    question = "Compare Norway, Sweden and New York with 'Oslo' please"
    assert len(index.find(question, 9)) > 2
    assert index.find(question, 2) == index.find(question, 9)[:2]


@pytest.mark.parametrize("question", ["", "?!", "'", "' OR 1=1 --", "\x00\ud800 Norway'; DROP TABLE value", "a " * 500])
def test_any_text_can_be_asked_for(world: Path, executor: Executor, question: str) -> None:
    index = ValueIndex(world, describe(world, 0), world.parent / "values", executor)
    found = index.find(question, 5)
    assert [value.text for value in found] == (["Norway"] if "Norway" in question else [])


def test_the_index_is_kept_and_made_anew_when_the_database_changes(world: Path, executor: Executor) -> None:
    folder = world.parent / "values"
    first = ValueIndex(world, describe(world, 0), folder, executor)
    before = first.path.stat().st_mtime_ns
    assert ValueIndex(world, describe(world, 0), folder, executor).path.stat().st_mtime_ns == before
    assert first.find("Who is from Denmark?", 3) == []
    connection = sqlite3.connect(world)
    connection.execute("INSERT INTO country VALUES ('DK', 'Denmark', 'Europe', 'Constitutional Monarchy')")
    connection.commit()
    connection.close()
    os.utime(world, ns=(1, 1))
    again = ValueIndex(world, describe(world, 0), folder, executor)
    assert again.path != first.path
    assert [value.text for value in again.find("Who is from Denmark?", 3)] == ["Denmark"]
    assert sorted(folder.iterdir()) == sorted([first.path, again.path]), "nothing half-made is left"


def test_a_large_table_is_asked_as_fast_as_a_small_one(tmp_path: Path, executor: Executor) -> None:
    path = tmp_path / "large.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE person (name TEXT)")
    connection.executemany("INSERT INTO person VALUES (?)", ((f"Person{i} Surname{i}",) for i in range(50_000)))
    connection.commit()
    connection.close()
    index = ValueIndex(path, describe(path, 0), tmp_path / "values", executor)
    assert [value.text for value in index.find("Where is Person4711 Surname4711?", 3)] == ["Person4711 Surname4711"]
    assert [value.text for value in index.find("Who is called Surname4712?", 3)] == ["Person4712 Surname4712"]
    plan = executor.run(index.path, "EXPLAIN QUERY PLAN SELECT text FROM value WHERE key IN ('a', 'b')")
    assert "USING INDEX value_key" in str(plan.require().rows)
