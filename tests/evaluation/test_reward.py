"""The reward: a right answer is worth 1, a wrong one less, and more the nearer it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sqlwright.databases import Executor, Limits
from sqlwright.evaluation.reward import WEIGHTS, score_rewards

GOLD = "SELECT name, age FROM singer WHERE age > 40"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reward") / "singers.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE singer (name TEXT, age INTEGER, pay REAL);"
            "INSERT INTO singer VALUES ('Ann', 30, 1.5), ('Bob', 50, 2.5), ('Cid', 70, NULL), ('Dee', 20, 1.5);"
        )
    return path


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(1) as opened:
        yield opened


def values(database: Path, executor: Executor, gold: str | tuple[str, ...], *answers: str) -> list[float]:
    golds = (gold,) if isinstance(gold, str) else gold
    found = score_rewards([(str(n), database, golds, answer) for n, answer in enumerate(answers)], executor)
    assert all((one.value == 1.0) == one.verdict.correct for one in found)
    assert all(0 <= one.value <= 1 for one in found)
    return [one.value for one in found]


def test_nearer_answers_are_worth_more(database: Path, executor: Executor) -> None:
    ladder = [
        "no idea",
        "SELECT title, age FROM singer WHERE age > 40",  # doesn't run, is built alike
        "SELECT 7",
        "SELECT pay FROM singer",
        "SELECT name, age FROM singer WHERE age < 40",
        "SELECT name, age FROM singer WHERE age > 60",
        GOLD,
    ]
    found = values(database, executor, GOLD, *ladder)
    assert found == sorted(set(found)), dict(zip(ladder, found, strict=True))
    assert found[0] < 0.05
    assert found[-2] <= sum(WEIGHTS.values()) < found[-1] == 1


def test_each_part_counts(database: Path, executor: Executor) -> None:
    (fails,) = values(database, executor, GOLD, "SELECT x, age FROM singer WHERE age > 4")
    assert fails == WEIGHTS["skeleton"]
    columns = values(database, executor, GOLD, "SELECT age, pay FROM singer", "SELECT pay, pay FROM singer")
    assert columns[0] - columns[1] == pytest.approx(WEIGHTS["columns"] / 4), "one of two names is right"
    rows = values(database, executor, "SELECT age FROM singer", "SELECT age FROM singer LIMIT 2")[0]
    less = values(database, executor, "SELECT age FROM singer", "SELECT age FROM singer LIMIT 1")[0]
    assert rows - less == pytest.approx(WEIGHTS["rows"] * (2 * 2 / 6 - 2 * 1 / 5))


def test_the_nearest_gold_counts(database: Path, executor: Executor) -> None:
    answer = "SELECT name FROM singer WHERE age > 60"
    one = values(database, executor, "SELECT count(*) FROM singer", answer)[0]
    both = values(database, executor, ("SELECT count(*) FROM singer", "SELECT name FROM singer"), answer)[0]
    assert both > one


def test_what_cannot_be_judged_is_worth_nothing(database: Path, executor: Executor) -> None:
    assert values(database, executor, "SELECT nothing FROM nowhere", GOLD) == [0.0]
    with Executor(1, Limits(rows=2)) as short:
        assert values(database, short, "SELECT age FROM singer", "SELECT age FROM singer") == [0.0]


COLUMNS = ("name", "age", "pay", "count(*)", "MAX(age)", "1")
QUERIES = st.builds(
    lambda columns, where, order, limit: f"SELECT {', '.join(columns)} FROM singer{where}{order}{limit}",
    st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=3),
    st.sampled_from(["", " WHERE age > 40", " WHERE name = 'Ann'", " WHERE agee > 1", " WHERE pay IS NULL"]),
    st.sampled_from(["", " ORDER BY age", " ORDER BY pay DESC"]),
    st.sampled_from(["", " LIMIT 1", " LIMIT 3"]),
)
TEXTS = QUERIES | st.text(max_size=30)
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(gold=QUERIES.filter(lambda sql: "agee" not in sql), answer=TEXTS)
def test_only_right_answers_are_worth_one(database: Path, executor: Executor, gold: str, answer: str) -> None:
    right, other = values(database, executor, gold, gold, answer)
    assert right == 1.0 >= other
    assert other == 1.0 or other <= sum(WEIGHTS.values())


@quick
@given(gold=QUERIES, answer=QUERIES)
def test_harmless_differences_do_not_matter(database: Path, executor: Executor, gold: str, answer: str) -> None:
    spaced = "  " + answer.replace(" ", "  ").replace("SELECT", "select").replace("FROM", "from")
    aliased = answer.replace(" FROM singer", " FROM singer AS s")
    plain, *others = values(database, executor, gold, answer, spaced, aliased)
    assert others == [pytest.approx(plain)] * 2
