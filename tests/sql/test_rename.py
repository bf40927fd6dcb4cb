"""Tables and columns by other names, in place."""

from __future__ import annotations

import pytest

from sqlwright.sql.rename import rename, star_tables

TABLES = {"singer": "Singers", "concert": "Live Shows"}
COLUMNS = {"name": "full_name", "age": "Age", "singer_id": "singerId", "year": "Year Held"}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT name FROM singer", "SELECT full_name FROM Singers"),
        (
            "SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.singer_id = T2.singer_id WHERE T2.year > 2000",
            'SELECT T1.full_name FROM Singers AS T1 JOIN "Live Shows" AS T2 ON T1.singerId = T2.singerId '
            'WHERE T2."Year Held" > 2000',
        ),
        (
            "SELECT concert.year, COUNT(*) FROM concert GROUP BY concert.year",
            'SELECT "Live Shows"."Year Held", COUNT(*) FROM "Live Shows" GROUP BY "Live Shows"."Year Held"',
        ),
        ("SELECT * FROM singer WHERE NAME = 'name'", "SELECT * FROM Singers WHERE full_name = 'name'"),
        (
            "SELECT max(age) AS oldest FROM singer ORDER BY oldest",
            "SELECT max(Age) AS oldest FROM Singers ORDER BY oldest",
        ),
        (
            "SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer) EXCEPT SELECT age FROM singer",
            "SELECT full_name FROM Singers WHERE Age > (SELECT avg(Age) FROM Singers) EXCEPT SELECT Age FROM Singers",
        ),
        (
            "SELECT name FROM singer JOIN concert USING (singer_id)",
            'SELECT full_name FROM Singers JOIN "Live Shows" USING (singerId)',
        ),
    ],
)
def test_only_names_change(sql: str, expected: str) -> None:
    assert rename(sql, TABLES, COLUMNS) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT max(age) AS name FROM singer ORDER BY name",  # alias or column?
        "SELECT height FROM singer",  # no such column
        "SELECT name FROM band",  # no such table
        "WITH old AS (SELECT name FROM singer) SELECT name FROM old",
        "SELECT name FROM",
        "",
    ],
)
def test_what_cannot_be_told_is_refused(sql: str) -> None:
    assert rename(sql, TABLES, COLUMNS) is None


def test_tables_of_which_all_columns_are_taken() -> None:
    assert star_tables("SELECT * FROM Singer") == ["singer"]
    assert star_tables("SELECT T2.* FROM singer AS T1 JOIN concert AS T2 ON T1.a = T2.a") == ["singer", "concert"]
    assert star_tables("SELECT count(*) FROM singer") == star_tables("SELECT") == []
