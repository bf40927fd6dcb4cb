"""Answers put right by schema and rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlwright.databases import Executor
from sqlwright.decoding import Repairer, vote
from sqlwright.models.gguf import Answer
from sqlwright.records import Prompt

SCHEMA = Path(__file__).parents[1] / "sql" / "fixtures" / "repair.sql"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repair") / "concerts.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA.read_text(encoding="utf-8"))
    return path


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as executor:
        yield executor


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT name FROM singer WHERE country = 'France'", [("Ann",)]),
        ('SELECT name FROM singer WHERE country = "japan"', [("Bob",)]),
        ("SELECT T1.name FROM singer AS T1 WHERE T1.country IN ('France', 'Japan')", [("Ann",), ("Bob",)]),
        ("SELECT capacity FROM venue WHERE venue_name = 'ARENA'", [(9000,)]),
        ("SELECT capacity FROM venue WHERE venue_name = 'Arenna'", [(9000,)]),
        ("SELECT theme FROM concert WHERE singer_id = 'Ann'", [("Free",)]),
        ("SELECT count(*) FROM singer WHERE name = 'JP'", [(1,)]),
        ("SELECT theme FROM concert WHERE name = 'bob'", [("Old",)]),
        (
            "SELECT T1.country_name FROM country AS T1 JOIN singer AS T2 ON T1.code = T2.country WHERE T2.id IS NULL",
            [("Peru",)],
        ),
        ("SELECT count(*) FROM country JOIN singer ON code = country WHERE singer.id IS NULL", [(1,)]),
        ("SELECT country FROM singer EXCEPT SELECT code FROM country", [("PE",)]),
        (
            "SELECT name FROM singer WHERE id IN (SELECT singer_id FROM concert WHERE place = 'Arena')",
            [("Ann",), ("Bob",)],
        ),
        ("SELECT name FROM singer EXCEPT SELECT name FROM singer WHERE country = 'France'", [("Bob",)]),
        ("SELECT theme FROM concert WHERE theme <> 'Ann'", [("Old",)]),
        ("SELECT theme FROM concert WHERE theme = 'Free' OR theme = 'Bob'", [("Free",), ("Old",)]),
        ("SELECT name, name FROM singer WHERE id = (SELECT singer_id FROM concert)", [("Ann",), ("Bob",)]),
    ],
)
def test_texts_are_looked_for_in_the_rows(
    sql: str, rows: list[tuple[object, ...]], database: Path, executor: Executor
) -> None:
    repairer = Repairer({"concerts": database}, executor)
    text, outcome = repairer.mended(sql, executor.run(database, sql), "concerts", "")
    assert sorted(outcome.rows) == rows
    assert (text != sql) is (repairer.repaired == 1) is True
    assert executor.run(database, text).rows == outcome.rows


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM singer",
        "SELECT name FROM singer WHERE age > 90",
        "SELECT name FROM singer WHERE country = 'Atlantis'",
        "SELECT count(*) FROM singer WHERE country = 'Atlantis'",
        "SELECT name FROM singer WHERE country = 'FR' AND age > 90",
        "SELECT name FROM singer WHERE country = 'FR' OR name = 'Bobb'",
        "SELECT theme FROM concert WHERE theme <> 'Free' OR theme = '9000'",
        "SELECT theme FROM concert WHERE place = (SELECT place FROM concert WHERE concert_id = 1)",
        "SELECT code FROM country EXCEPT SELECT code FROM country",
        "SELECT theme FROM concert JOIN singer ON singer_id = id WHERE singer.id IS NOT NULL AND age > 90",
        "SELECT zodiac FROM singer",
        "DROP TABLE singer",
        "SELECT (",
        "",
    ],
)
def test_what_cannot_be_told_stays(sql: str, database: Path, executor: Executor) -> None:
    repairer = Repairer({"concerts": database}, executor)
    outcome = executor.run(database, sql)
    assert repairer.mended(sql, outcome, "concerts", "") == (sql, outcome)
    assert repairer.repaired == 0


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("country = 'USA'", ["Ann"]),
        ("country IN ('UK')", ["Bob"]),
        ("gender = 'Female'", ["Ann"]),
        ("title = 'senior'", ["Ann"]),
        ("country = 'Clerk'", ["Bob"]),
        ("title = 'Senior' AND country = 'Lawyer'", ["Ann"]),
        ("title = 'Sen'", []),
        ("title <> 'Senior'", ["Ann", "Bob"]),
        ("title = 'of%'", []),
        ("title = 'of'", []),
        ("gender = 'A'", []),
        ("country = 'Atlantis'", []),
    ],
)
def test_short_forms_and_words_within_values(where: str, names: list[str], tmp_path: Path, executor: Executor) -> None:
    path = tmp_path / "staff.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """CREATE TABLE staff (name TEXT, gender TEXT, country TEXT, title TEXT);
            INSERT INTO staff VALUES ('Ann', 'F', 'United States', 'Senior Lawyer of State'),
                ('Bob', 'M', 'United Kingdom', 'Clerk of Works');"""
        )
    sql = f"SELECT name FROM staff WHERE {where}"
    text, outcome = Repairer({"staff": path}, executor).mended(sql, executor.run(path, sql), "staff", "")
    assert sorted(row[0] for row in outcome.rows) == names
    assert executor.run(path, text).rows == outcome.rows


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT title FROM album GROUP BY title HAVING COUNT(*) >= 2", [("Blue",), ("Green",)]),
        ("SELECT title FROM album GROUP BY title ORDER BY COUNT(*) LIMIT 1", [("Red",)]),
        # Two of three albums share their artist: these groups have rows to count.
        ("SELECT artist FROM album GROUP BY artist HAVING COUNT(*) >= 2", [("Ann",)]),
        # Nothing is found either way.
        ("SELECT title FROM album GROUP BY title HAVING COUNT(*) > 9", []),
    ],
)
def test_rows_of_groups_of_one_are_not_what_is_counted(
    sql: str, rows: list[tuple[object, ...]], tmp_path: Path, executor: Executor
) -> None:
    path = tmp_path / "music.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """CREATE TABLE album (id INTEGER PRIMARY KEY, title TEXT, artist TEXT);
            CREATE TABLE track (name TEXT, album_id INTEGER REFERENCES album (id));
            INSERT INTO album VALUES (1, 'Blue', 'Ann'), (2, 'Red', 'Ann'), (3, 'Green', 'Bob');
            INSERT INTO track VALUES ('a', 1), ('b', 1), ('c', 1), ('d', 3), ('e', 2), ('f', 3), ('g', 3);"""
        )
    outcome = executor.run(path, sql)
    text, found = Repairer({"music": path}, executor).mended(sql, outcome, "music", "Which albums have many tracks?")
    assert list(found.rows) == rows
    assert (text != sql) is (list(outcome.rows) != rows)


@pytest.mark.parametrize(
    ("sql", "question", "rows"),
    [
        ("SELECT name FROM member WHERE active = 'yes'", "", [("Ann",)]),
        ("SELECT name FROM member WHERE active = 'True'", "", [("Ann",)]),
        ("SELECT name FROM member WHERE paid = TRUE", "", [("Bob",)]),
        ("SELECT name FROM member WHERE paid = 0", "", [("Ann",)]),
        ("SELECT name FROM member WHERE grade = 1", "", []),
        ("SELECT name FROM member WHERE joined = '2014-01-01'", "Who joined in 2014?", [("Ann",)]),
        ("SELECT YEAR(joined) FROM member WHERE name = 'Bob'", "", [(2015,)]),
        ("SELECT name FROM member WHERE boss NOT IN (SELECT boss FROM member)", "", []),
        ("SELECT name FROM member WHERE number NOT IN (SELECT boss FROM member)", "", [("Bob",)]),
    ],
)
def test_flags_periods_and_nulls(
    sql: str, question: str, rows: list[tuple[object, ...]], tmp_path: Path, executor: Executor
) -> None:
    path = tmp_path / "club.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE member (number INT, name TEXT, active INT, paid TEXT, grade TEXT, joined TEXT, boss INT);"
            "INSERT INTO member VALUES (1, 'Ann', 1, 'N', 'A', '2014-05-06', NULL);"
            "INSERT INTO member VALUES (2, 'Bob', 0, 'Y', 'B', '2015-01-01', 1);"
        )
    repairer = Repairer({"club": path}, executor)
    assert repairer.mended(sql, executor.run(path, sql), "club", question)[1].rows == rows


def test_tables_are_linked_as_the_schema_does(database: Path, executor: Executor) -> None:
    sql = "SELECT T1.theme, T2.name FROM concert AS T1 JOIN singer AS T2 ON T1.concert_id = T2.id"
    wrong = executor.run(database, sql)
    text, outcome = Repairer({"concerts": database}, executor).mended(sql, wrong, "concerts", "")
    assert text == "SELECT T1.theme, T2.name FROM concert AS T1 JOIN singer AS T2 ON T1.singer_id = T2.id"
    assert outcome.rows == [("Free", "Ann"), ("Old", "Bob")]


def test_a_repaired_answer_has_half_a_vote(database: Path, executor: Executor) -> None:
    answers = [
        Answer(sql, (1,), (log,), True, 0.5)
        for sql, log in (
            ("SELECT venue_name FROM concert", -0.1),
            ("SELECT nothing FROM nowhere", -0.1),
            ("SELECT name FROM singer", -0.9),
            ("SELECT T1.name FROM singer AS T1", -1.9),
        )
    ]
    prompt, repairer = Prompt("7", "concerts", "p", "s"), Repairer({"concerts": database}, executor)
    found = vote(prompt, answers, database, executor, repairer)
    assert found.greedy.sql == "SELECT venue_name FROM concert"
    assert found.winner.sql == "SELECT name FROM singer"
    assert found.share == pytest.approx(1 / 2)
    repaired = "SELECT venue.venue_name FROM concert JOIN venue ON concert.place = venue.venue_id"
    others = ("SELECT T1.name FROM singer AS T1", repaired, "SELECT nothing FROM nowhere")
    assert found.winner.candidates == ("SELECT name FROM singer", *others)
    alone = vote(prompt, answers[:2], database, executor, repairer)
    assert (alone.winner.sql, alone.share) == (repaired, 0.25)


def test_less_than_half_of_the_votes_is_too_few_against_a_greedy_answer(database: Path, executor: Executor) -> None:
    prompt, repairer = Prompt("7", "concerts", "p", "s"), Repairer({"concerts": database}, executor)
    answers = [
        Answer(sql, (1,), (-0.1,), True, 0.5)
        for sql in ("SELECT venue_name FROM concert", "SELECT nothing FROM nowhere", "SELECT name FROM singer")
    ]
    found = vote(prompt, answers, database, executor, repairer)
    assert found.winner.sql == "SELECT venue.venue_name FROM concert JOIN venue ON concert.place = venue.venue_id"
    assert found.winner.candidates[1] == "SELECT name FROM singer"
    assert found.share == pytest.approx(1 / 6)
