"""What speaks for an answer and against it, and the file that weighs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sqlwright.databases import Executor, Schema, describe
from sqlwright.datasets import package_path
from sqlwright.decoding.confidence import (
    SIGNALS,
    VOTED,
    Confidence,
    Weights,
    read_confidence,
    signals,
    unknown_words,
    write_confidence,
)
from sqlwright.errors import ModelError

CHINOOK = package_path("chinook/chinook.sqlite")


@pytest.fixture(scope="module")
def schema() -> Schema:
    return describe(CHINOOK, 0)


@pytest.mark.parametrize(
    ("question", "sql", "unknown"),
    [
        ("How many tracks are there?", "", []),
        ("What are the names of the albums, sorted alphabetically?", "", []),
        ("Which customers live in France?", "SELECT FirstName FROM Customer WHERE Country = 'France'", []),
        ("Which customers live in France?", "SELECT FirstName FROM Customer", ["france"]),
        ("What is the average shoe size of the employees?", "SELECT AVG(BirthDate) FROM Employee", ["shoe", "size"]),
        ("When were the employees born, by birth date?", "SELECT BirthDate FROM Employee", ["born"]),
        ("Show the 5 longest tracks.", "", []),
    ],
)
def test_words_that_nobody_knows(question: str, sql: str, unknown: list[str], schema: Schema) -> None:
    assert unknown_words(question, schema, sql)[0] == unknown


def test_names_that_the_sql_makes_up_are_not_known(schema: Schema) -> None:
    sql = "SELECT AVG(Milliseconds) AS shoe_size FROM Track"
    assert unknown_words("What is the average shoe size?", schema, sql)[0] == ["shoe", "size"]


def test_signals_of_answers_that_run_find_nothing_and_fail(schema: Schema) -> None:
    question, logs = "How many genres are called Polka?", [-0.5, -0.1, -3.0]
    with Executor(workers=1) as executor:
        found = {
            sql: dict(
                zip(SIGNALS, signals(logs, sql, executor.run(CHINOOK, sql), False, question, schema), strict=True)
            )
            for sql in (
                "SELECT COUNT(*) FROM Genre",
                "SELECT COUNT(*) FROM Genre WHERE Name = 'Polka'",
                "SELECT COUNT(*) FROM Genres WHERE Name = 'Polka'",
            )
        }
    runs, nothing, fails = found.values()
    assert runs["mean log-probability"] == pytest.approx(-1.2) and runs["least log-probability"] == -3.0
    assert (runs["failed"], runs["says nothing"], runs["unknown"]) == (0, 0, 1)
    assert (nothing["failed"], nothing["says nothing"], nothing["unknown"]) == (0, 1, 0)
    assert (fails["failed"], fails["says nothing"]) == (1, 0)


def test_an_answer_without_tokens_is_as_unsure_as_can_be(schema: Schema) -> None:
    with Executor(workers=1) as executor:
        found = signals([], "", executor.run(CHINOOK, ""), False, "Anything?", schema)
    assert found[:3] == (-8.0, -8.0, 1.0)


def test_the_share_of_votes_comes_last(schema: Schema) -> None:
    sql = "SELECT COUNT(*) FROM Genre"
    with Executor(workers=1) as executor:
        outcome = executor.run(CHINOOK, sql)
    alone = signals([-0.1], sql, outcome, False, "How many genres?", schema)
    assert signals([-0.1], sql, outcome, False, "How many genres?", schema, 0.75) == (*alone, 0.75)


FITTED = Confidence(
    Weights(0.5, tuple(float(number) for number in range(len(SIGNALS)))),
    Weights(-0.5, tuple(float(number) for number in range(len(VOTED)))),
    0.4,
    0.7,
    "40 answers",
)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    assert read_confidence(tmp_path) is None
    write_confidence(tmp_path, FITTED)
    assert read_confidence(tmp_path) == FITTED


def test_greedy_answers_and_winners_of_votes_are_weighed_apart() -> None:
    assert FITTED.of((0.0,) * len(SIGNALS)) == pytest.approx(0.622, abs=1e-3)
    assert FITTED.of((0.0,) * len(VOTED)) == pytest.approx(0.378, abs=1e-3)
    assert 0 < FITTED.of((-1e6,) * len(SIGNALS)) < 1e-9


@pytest.mark.parametrize("damage", ["", "[]", '{"alone": 1}', "weights"])
def test_a_damaged_file_is_an_error_that_names_it(damage: str, tmp_path: Path) -> None:
    write_confidence(tmp_path, FITTED)
    path = tmp_path / "confidence.json"
    if damage == "weights":
        values = json.loads(path.read_text(encoding="utf-8"))
        del values["voted"]["weights"]["votes"]
        path.write_text(json.dumps(values), encoding="utf-8")
    else:
        path.write_text(damage, encoding="utf-8")
    with pytest.raises(ModelError, match=r"confidence\.json: expected the weights of a confidence model"):
        read_confidence(tmp_path)
