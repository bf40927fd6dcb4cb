"""Pairs of what annotators seldom ask for: they run, say what they ask, and find what a look at the rows finds."""

from __future__ import annotations

import random
import re
import sqlite3
from importlib import resources
from pathlib import Path

import pytest

from sqlwright.databases import Executor
from sqlwright.datasets.synthesis import seldom, seldom_pairs
from sqlwright.datasets.synthesis.choices import draw
from sqlwright.datasets.synthesis.profile import Entity, Profile, read_profile
from sqlwright.errors import DatabaseError

CHINOOK = Path(str(resources.files("sqlwright"))) / "data" / "chinook" / "chinook.sqlite"
SHOP = """
CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE rental (
    rental_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (customer_id), rental_date TEXT,
    return_date TEXT, price REAL
);
INSERT INTO customer VALUES (1, 'Ann Abel', 'Rome'), (2, 'Bo Bell', 'Rome'), (3, 'Cy Cole', 'Bern'),
    (4, 'Di Dorn', 'Bern'), (5, 'Ed Ernst', 'Bern'), (6, 'Flo Falk', 'Rome'), (7, 'Gil Goos', 'Rome');
INSERT INTO rental VALUES (1, 1, '2024-01-01', '2024-01-05', 2), (2, 1, '2024-02-01', NULL, 4),
    (3, 2, '2024-03-01', '2024-03-02', 8), (4, 3, '2025-01-01', NULL, 16), (5, 3, '2025-02-01', '2025-02-11', 32),
    (6, 4, '2025-03-01', '2025-03-08', 64);
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SHOP)
    return path


@pytest.fixture(scope="module")
def profile(shop: Path) -> Profile:
    with Executor(workers=1) as executor:
        return read_profile(shop, executor)


def asked(shape: seldom.OwnShape, profile: Profile, entity: Entity, seed: int) -> tuple[str, str]:
    rng = random.Random(seed)
    found = shape(profile, entity, rng)
    assert found
    return draw(found.text, rng), found.sql


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(sql).fetchall()


def test_pairs_of_a_real_database_run_and_have_what_is_seldom() -> None:
    every = [pair for seed in range(4) for pair in seldom_pairs(CHINOOK, 20, seed)]
    assert 30 <= len(every) <= 80
    with sqlite3.connect(CHINOOK) as connection:
        for pair in every:
            connection.execute(pair.golds[0]).fetchall()
            assert pair.text[0].isupper() and pair.text[-1] in "?.", pair.text
            assert not re.search("[\ue001-\ue003]", pair.text)
    golds = " ".join(pair.golds[0] for pair in every)
    for construct in ("IS NULL", "100.0 * ", "strftime(", "LEFT JOIN", "OFFSET", "max(", "CASE WHEN"):
        assert construct in golds


def test_the_seed_says_which_pairs_and_the_count_how_many() -> None:
    pairs = seldom_pairs(CHINOOK, 5, seed=3)
    assert len(pairs) == 5 == len({pair.golds[0] for pair in pairs})
    assert pairs == seldom_pairs(CHINOOK, 5, seed=3)
    assert pairs != seldom_pairs(CHINOOK, 5, seed=4)
    assert len(seldom_pairs(CHINOOK, 1)) == 1


@pytest.mark.parametrize("seed", range(12))
def test_what_has_not_happened_is_null(profile: Profile, seed: int) -> None:
    text, sql = asked(seldom.undone, profile, profile.entities["rental"], seed)
    if "IS NULL" in sql:
        assert re.search("not (yet )?been returned|without a return date", text)
    else:
        assert "return_date IS NOT NULL" in sql and "already been returned" in text


@pytest.mark.parametrize("seed", range(12))
def test_a_missing_value_is_asked_for_where_there_is_none(profile: Profile, seed: int) -> None:
    text, sql = asked(seldom.missing, profile, profile.entities["customer"], seed)
    assert re.search("city IS (NOT )?NULL", sql)  # the only column that is neither key nor name
    assert "city" in text


def test_those_without_any_count_zero(shop: Path, profile: Profile) -> None:
    found = seldom.with_none(profile, random.Random(1))
    assert found
    counts = {row[0]: row[-1] for row in rows(shop, found.sql)}
    assert counts == {
        "Ann Abel": 2, "Bo Bell": 1, "Cy Cole": 2, "Di Dorn": 1, "Ed Ernst": 0, "Flo Falk": 0, "Gil Goos": 0,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_the_runner_up_is_the_one_said(shop: Path, profile: Profile, seed: int) -> None:
    text, sql = asked(seldom.runner_up, profile, profile.entities["rental"], seed)
    place = ("second", "third", "fourth", "fifth").index(re.search("second|third|fourth|fifth", text)[0]) + 1  # type: ignore[index]
    column = "price" if "price" in text else "rental_date"
    most = bool(re.search("highest|largest|latest", text))
    ids = [row[0] for row in rows(shop, f"SELECT rental_id FROM rental ORDER BY {column} {'DESC' if most else ''}")]
    assert rows(shop, sql) == [(ids[place],)]


@pytest.mark.parametrize("seed", range(12))
def test_days_between_two_dates(shop: Path, profile: Profile, seed: int) -> None:
    text, sql = asked(seldom.between_dates, profile, profile.entities["rental"], seed)
    assert "rental date" in text and "return date" in text
    found = rows(shop, sql)
    days = {1: 4.0, 2: None, 3: 1.0, 4: None, 5: 10.0, 6: 7.0}
    if "average" in text:
        assert found == [(5.5,)]
    elif text.startswith("For each"):
        assert dict(found) == days  # type: ignore[arg-type]
    else:
        bound = int(re.search(r"more than (\d+) day", text)[1])  # type: ignore[index]
        longer = [(number,) for number, value in days.items() if value and value > bound]
        assert found == longer or found == [(len(longer),)]


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(DatabaseError, match="a table with rows"):
        seldom_pairs(path, 1)
