"""The vote: results, not texts, are counted; what doesn't run is no candidate."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sqlwright.databases import Executor
from sqlwright.decoding import vote
from sqlwright.models.gguf import Answer
from sqlwright.records import Prompt

OLD = "SELECT name FROM singer WHERE age > 40"
OLD_TOO = "SELECT name FROM singer WHERE age >= 41"
ALL = "SELECT name FROM singer"
NONE = "SELECT name FROM singer WHERE age > 90"
NO_COLUMN = "SELECT title FROM singer"
WRITES = "DELETE FROM singer"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "singers.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE singer (name TEXT, age INTEGER);"
            "INSERT INTO singer VALUES ('Ann', 30), ('Bob', 50), ('Cid', 70), ('Dee', 20);"
        )
    return path


def winner(database: Path, *candidates: tuple[str, float]) -> tuple[list[str], float]:
    """Return the candidates best first, and the winner's share; each is (SQL, mean log-probability)."""
    answers = [Answer(sql, (1,), (log,), True, 0.5) for sql, log in candidates]
    with Executor(workers=2) as executor:
        found = vote(Prompt("7", "singers", "p", "s"), answers, database, executor)
    assert found.greedy.sql == candidates[0][0]
    assert found.winner.sql == found.winner.candidates[0]
    assert (found.winner.tokens, found.winner.seconds) == (len(candidates), 0.5 * len(candidates))
    return list(found.winner.candidates), found.share


def test_equal_results_of_different_texts_are_one_candidate(database: Path) -> None:
    order, share = winner(database, (ALL, -0.1), (OLD, -0.3), (OLD_TOO, -0.2))
    assert order == [OLD_TOO, OLD, ALL]
    assert share == pytest.approx(2 / 3)


def test_what_does_not_run_has_no_vote(database: Path) -> None:
    order, share = winner(database, (NO_COLUMN, -0.1), (NO_COLUMN, -0.1), (WRITES, -0.1), (OLD, -2.0))
    assert order == [OLD, NO_COLUMN, WRITES]
    assert share == 0.25


def test_the_greedy_answer_stays_where_nothing_runs(database: Path) -> None:
    assert winner(database, (NO_COLUMN, -1.0), (WRITES, -0.1)) == ([NO_COLUMN, WRITES], 0.0)


def test_an_empty_result_counts_half(database: Path) -> None:
    assert winner(database, (NONE, -0.1), (ALL, -0.5))[0][0] == ALL
    assert winner(database, (NONE, -0.1), (NONE, -0.1), (NONE, -0.1), (ALL, -0.5))[0][0] == NONE
    zero = "SELECT count(*) FROM singer WHERE age > 90"
    assert winner(database, (zero, -0.1), ("SELECT count(*) FROM singer", -0.5))[0][0] != zero


def test_ties_go_to_the_likelier_answer(database: Path) -> None:
    assert winner(database, (ALL, -0.5), (OLD, -0.2))[0] == [OLD, ALL]
    assert winner(database, (ALL, -0.2), (OLD, -0.5))[0] == [ALL, OLD]


def test_order_of_rows_and_last_digits_do_not_matter(database: Path) -> None:
    third = "SELECT 1.0 / 3"
    assert winner(database, (ALL, -0.1), (third, -0.2), ("SELECT 0.33333333333", -0.3))[0][0] == third
    assert winner(database, (OLD, -0.1), (ALL, -0.2), (f"{ALL} ORDER BY age", -0.3))[0][0] == ALL
