"""Questions asked of variants of their databases: the golds find the same rows under other names."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from sqlwright.databases import Executor, describe
from sqlwright.datasets import READERS, Dataset, package_path
from sqlwright.datasets.variants import _STYLES, QUESTIONS_PER_VARIANT, _renamed, vary


@pytest.fixture(scope="module")
def quickstart() -> Dataset:
    """The packaged training questions, with their databases."""
    return READERS["spider"]([package_path("quickstart/train.json")], package_path("quickstart/database"))


def rows(executor: Executor, database: Path, sql: str) -> Counter[str]:
    outcome = executor.run(database, sql)
    assert outcome.ok, f"{sql}: {outcome.message}"
    return Counter(map(repr, outcome.rows))


def test_golds_of_variants_find_the_rows_of_the_originals(quickstart: Dataset, tmp_path: Path) -> None:
    with Executor(workers=1) as executor:
        found = vary(quickstart.questions, quickstart.databases, tmp_path, executor, share=1, seed=3)
        assert found.varied > 0.9 * len(quickstart.questions)
        assert [one.text for one in found.questions] == [one.text for one in quickstart.questions]
        assert len({one.id for one in found.questions}) == len(found.questions)
        for before, after in zip(quickstart.questions, found.questions, strict=True):
            if after.database in found.databases:
                assert after.database.split("~")[0] == before.database
                assert rows(executor, found.databases[after.database], after.golds[0]) == rows(
                    executor, quickstart.databases[before.database], before.golds[0]
                )
            else:
                assert after == before
    assert max(Counter(one.database for one in found.questions).values()) <= 2 * QUESTIONS_PER_VARIANT
    changed = sum(
        re.findall(r"\w+", before.golds[0].lower()) != re.findall(r"\w+", after.golds[0].lower())
        for before, after in zip(quickstart.questions, found.questions, strict=True)
    )
    assert changed > 0.2 * len(quickstart.questions)


def test_variants_differ_in_names_columns_tables_and_order(quickstart: Dataset, tmp_path: Path) -> None:
    with Executor(workers=1) as executor:
        found = vary(quickstart.questions, quickstart.databases, tmp_path, executor, share=1, seed=3)
        fewer = more = 0
        for name, path in found.databases.items():
            before = describe(quickstart.databases[name.split("~")[0]], 0, executor=executor)
            after = describe(path, 0, executor=executor)
            links = sum(len(table.foreign_keys) for table in after.tables)
            assert not any(table.foreign_keys for table in before.tables) or links
            count, original = (sum(len(table.columns) for table in one.tables) for one in (after, before))
            fewer += count < original
            more += len(after.tables) > len(before.tables)
    assert fewer and more


def test_the_seed_decides_and_a_share_of_nought_changes_nothing(quickstart: Dataset, tmp_path: Path) -> None:
    questions = quickstart.questions[:60]
    with Executor(workers=1) as executor:
        runs = [
            vary(questions, quickstart.databases, tmp_path / name, executor, share=0.5, seed=seed)
            for name, seed in (("a", 1), ("b", 1), ("c", 2))
        ]
        none = vary(questions, quickstart.databases, tmp_path / "d", executor, share=0, seed=1)
    assert [one.to_json() for one in runs[0].questions] == [one.to_json() for one in runs[1].questions]
    assert runs[0].questions != runs[2].questions
    assert none.questions == questions and not none.databases


def test_tables_without_rows_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE item (name TEXT)")
        connection.execute("CREATE TABLE empty (name TEXT)")
        connection.execute("INSERT INTO item VALUES ('pen')")
    file = tmp_path / "q.jsonl"
    file.write_text(json.dumps({"question": "Which?", "sql": "SELECT name FROM item", "database": str(path)}))
    dataset = READERS["jsonl"]([file])
    with Executor(workers=1) as executor:
        assert vary(dataset.questions, dataset.databases, tmp_path / "v", executor, share=1, seed=0).varied == 1


def test_a_large_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "large.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", ((number,) for number in range(20_001)))
    file = tmp_path / "q.jsonl"
    file.write_text(json.dumps({"question": "How many?", "sql": "SELECT count(*) FROM t", "database": str(path)}))
    dataset = READERS["jsonl"]([file])
    with Executor(workers=1) as executor:
        found = vary(dataset.questions, dataset.databases, tmp_path / "v", executor, share=1, seed=0)
    assert found.questions == dataset.questions and found.varied == 0


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("student_id", {}, {"student_id", "StudentId", "studentId", "STUDENT_ID", "Student_Id", "Student Id"}),
        ("OrderDate", {}, {"OrderDate", "order_date", "orderDate", "ORDER_DATE", "Order_Date", "Order Date"}),
        ("fname", {"fname": "first_name"}, {"fname", "first_name", "FirstName", "firstName", "FIRST_NAME"}),
        ("2nd", {}, {"2nd"}),
        ("FirstName", {"first name": "given name", "name": "label"}, {"FirstName", "given_name", "GivenName"}),
        ("amount", {"amount": "sum", "sum": "total"}, {"amount", "sum", "SUM"}),
    ],
)
def test_conventions(name: str, words: dict[str, str], expected: set[str]) -> None:
    made = {_renamed(name, style, words) for style, _ in _STYLES}
    assert expected <= made
