"""What speaks for an answer and against it, and the file that weighs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sqlwright.databases import Executor, Schema, describe
from sqlwright.datasets import package_path
from sqlwright.decoding.confidence import (
    SIGNALS,
    Confidence,
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


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    fitted = Confidence(0.5, tuple(float(number) for number in range(len(SIGNALS))), 0.4, "40 answers")
    assert read_confidence(tmp_path) is None
    write_confidence(tmp_path, fitted)
    assert read_confidence(tmp_path) == fitted
    assert fitted.of((0.0,) * len(SIGNALS)) == pytest.approx(0.622, abs=1e-3)
    assert 0 < fitted.of((-1e6,) * len(SIGNALS)) < 1e-9


@pytest.mark.parametrize("damage", ["", "[]", '{"bias": 1}', "weights"])
def test_a_damaged_file_is_an_error_that_names_it(damage: str, tmp_path: Path) -> None:
    write_confidence(tmp_path, Confidence(0.5, (1.0,) * len(SIGNALS), 0.4))
    path = tmp_path / "confidence.json"
    if damage == "weights":
        values = json.loads(path.read_text(encoding="utf-8"))
        del values["weights"]["failed"]
        path.write_text(json.dumps(values), encoding="utf-8")
    else:
        path.write_text(damage, encoding="utf-8")
    with pytest.raises(ModelError, match=r"confidence\.json: expected the weights of a confidence model"):
        read_confidence(tmp_path)
