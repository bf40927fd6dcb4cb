"""Keys that nobody declared: names and data have to agree."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sqlwright.databases import Executor, describe
from sqlwright.databases.keys import inferred_keys, with_inferred_keys
from sqlwright.databases.notes import describe_with_notes
from sqlwright.decoding import Repairer
from sqlwright.prompts.compact import STYLE

SHOP = """
CREATE TABLE shopCustomers (shopCid INTEGER PRIMARY KEY, shopName TEXT);
CREATE TABLE shopOrders (
    shopOrderId INTEGER PRIMARY KEY, shopCustomerId INTEGER, shopShippingCustomerId INTEGER, shopWeekId INTEGER,
    shopTotal REAL
);
CREATE TABLE shopWeeks (shopWeekId INTEGER PRIMARY KEY);
CREATE TABLE shopOrderNotes (shopOrderId INTEGER PRIMARY KEY, shopNote TEXT);
INSERT INTO shopCustomers VALUES (1, 'Ada'), (2, 'Ben'), (3, 'Cleo');
INSERT INTO shopOrders VALUES (10, 1, 2, 7, 1.5), (11, 3, NULL, 8, 2.5), (12, 3, 3, 9, 3.5);
INSERT INTO shopWeeks VALUES (7), (100);
INSERT INTO shopOrderNotes VALUES (10, 'late');
"""


def made(path: Path, script: str) -> Path:
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    return path


def found(path: Path) -> set[str]:
    return {f"{key.table}.{key.column} = {key.to_table}.{key.to_column}" for key in inferred_keys(describe(path, 0))}


def test_names_and_data_together_make_a_key(tmp_path: Path) -> None:
    # Weeks 8 and 9 are no keys there, so names alone make no key of shopWeekId; notes refer to orders, not the reverse.
    assert found(made(tmp_path / "shop.sqlite", SHOP)) == {
        "shopOrders.shopCustomerId = shopCustomers.shopCid",
        "shopOrders.shopShippingCustomerId = shopCustomers.shopCid",
        "shopOrderNotes.shopOrderId = shopOrders.shopOrderId",
    }


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ("CREATE TABLE city (id INTEGER PRIMARY KEY); CREATE TABLE host (city INTEGER)", {"host.city = city.id"}),
        (
            "CREATE TABLE courses (id INTEGER PRIMARY KEY); CREATE TABLE takes (course_id INTEGER)",
            {"takes.course_id = courses.id"},
        ),
        (
            "CREATE TABLE größe (nr INTEGER PRIMARY KEY); CREATE TABLE schuh (größe INTEGER, grüße INTEGER)",
            {"schuh.größe = größe.nr"},
        ),
        ("CREATE TABLE boxes (nr INTEGER PRIMARY KEY); CREATE TABLE pack (box_no INTEGER)", {"pack.box_no = boxes.nr"}),
        ("CREATE TABLE club (club_id INTEGER); CREATE TABLE game (club_nr INTEGER)", set()),
        (
            "CREATE TABLE club (club_id INTEGER PRIMARY KEY); CREATE TABLE game (club_id_1 INTEGER, club_id_2 INTEGER)",
            {"game.club_id_1 = club.club_id", "game.club_id_2 = club.club_id"},
        ),
        (
            "CREATE TABLE part (part_id INTEGER PRIMARY KEY, parent_part_id INTEGER)",
            {"part.parent_part_id = part.part_id"},
        ),
        ("CREATE TABLE a (name INTEGER PRIMARY KEY); CREATE TABLE b (name INTEGER, type INTEGER)", set()),
        ("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)", set()),
        ("CREATE TABLE a (x INTEGER, y INTEGER, PRIMARY KEY (x, y)); CREATE TABLE b (a_x INTEGER)", set()),
        (
            "CREATE TABLE team (team_id INTEGER PRIMARY KEY); "
            "CREATE TABLE play (team_id INTEGER REFERENCES team (team_id), home_team_id INTEGER)",
            {"play.home_team_id = team.team_id"},
        ),
    ],
)
def test_what_a_column_is_called(tables: str, expected: set[str], tmp_path: Path) -> None:
    path = made(tmp_path / "one.sqlite", tables)
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            width = len(connection.execute(f"PRAGMA table_info({name})").fetchall())
            for value in (1, 2, 3):
                connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * width)})", (value,) * width)
    connection.close()
    assert found(path) == expected


def test_without_rows_nothing_is_inferred(tmp_path: Path) -> None:
    path = made(
        tmp_path / "empty.sqlite", "CREATE TABLE city (id INTEGER PRIMARY KEY); CREATE TABLE host (city_id INTEGER)"
    )
    assert found(path) == set()


@pytest.mark.parametrize("made_of", [SHOP, SHOP.replace(" PRIMARY KEY", "")])
def test_a_duckdb_file_has_the_same_keys(made_of: str, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs DuckDB: pip install '.[duckdb]'")
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(made_of)
    same = made(tmp_path / "shop.sqlite", made_of)
    assert found(path) == found(same) != set()
    for place in (path, f"duckdb://{path}"):
        keys = {table.name: table.foreign_keys for table in describe_with_notes(place).tables}
        assert keys == {table.name: table.foreign_keys for table in describe_with_notes(same).tables}


def test_prompts_and_repair_know_inferred_keys(tmp_path: Path) -> None:
    path = made(tmp_path / "shop.sqlite", SHOP)
    schema = describe_with_notes(path)
    orders = next(table for table in schema.tables if table.name == "shopOrders")
    assert "shopCustomerId INTEGER REFERENCES shopCustomers(shopCid)" in STYLE.table(orders, schema)
    sql = "SELECT shopName, sum(shopTotal) FROM shopOrders GROUP BY shopName ORDER BY 2 DESC"
    with Executor(workers=1) as executor:
        outcome = executor.run(path, sql)
        assert outcome.status == "error"
        repairer = Repairer({"shop": path}, executor)
        _, mended = repairer.mended(sql, outcome, "shop", "What does each customer's name spend in total?")
    assert mended.rows == [("Cleo", 6.0), ("Ada", 1.5)]


def test_notes_have_the_last_word(tmp_path: Path) -> None:
    path = made(tmp_path / "shop.sqlite", SHOP)
    (tmp_path / "shop.sqlwright.yaml").write_text("joins:\n  - shopOrders.shopCustomerId = shopWeeks.shopWeekId\n")
    orders = next(table for table in describe_with_notes(path).tables if table.name == "shopOrders")
    assert [key.table for key in orders.foreign_keys if key.columns == ("shopCustomerId",)] == ["shopWeeks"]


def test_what_cannot_be_read_is_no_evidence(tmp_path: Path) -> None:
    path = made(tmp_path / "shop.sqlite", SHOP)
    schema = describe(path, 0)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE shopCustomers")
    connection.close()
    assert {key.to_table for key in inferred_keys(schema)} == {"shopOrders"}
    assert len(with_inferred_keys(schema).tables) == len(schema.tables)
