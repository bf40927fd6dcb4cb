"""A description says what the database holds, in the database's own spelling."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from sqlwright.databases import ForeignKey, Table, describe, sample_values
from sqlwright.errors import DatabaseError

SCRIPT = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")


@pytest.fixture
def atlas(tmp_path: Path) -> Path:
    path = tmp_path / "atlas.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCRIPT)
    connection.close()
    return path


@pytest.fixture
def tables(atlas: Path) -> dict[str, Table]:
    return {table.name: table for table in describe(atlas).tables}


def test_tables_come_in_the_order_they_were_made(atlas: Path) -> None:
    schema = describe(atlas)
    assert schema.name == "atlas" and schema.path == str(atlas)
    names = [table.name for table in schema.tables]
    assert names == ["Country", "city", "two words", "visit", "counter", "search"]
    assert [table.rows for table in schema.tables] == [3, 5, 0, 0, 0, 0]
    assert schema.tables[0].create_sql.startswith("CREATE TABLE Country (Code TEXT")


def test_columns(tables: dict[str, Table]) -> None:
    shown = [(c.name, c.type, c.not_null, c.primary_key) for c in tables["Country"].columns]
    assert shown == [
        ("Code", "TEXT", False, True),
        ("Name", "TEXT", True, False),
        ("Founded", "DATE", False, False),
        ("Area", "REAL", False, False),
    ]
    assert [c.name for c in tables["city"].columns] == ["id", "country_code", "name", "note", "twice"]
    assert [c.name for c in tables["search"].columns] == ["body"]


def test_keys(tables: dict[str, Table]) -> None:
    assert tables["two words"].primary_key == ("a", "b")
    assert tables["search"].primary_key == ()
    assert tables["city"].foreign_keys == (ForeignKey(("country_code",), "Country", ("Code",)),)
    assert tables["visit"].foreign_keys == (
        ForeignKey(("city_id",), "city", ("id",)),
        ForeignKey(("x", "y"), "two words", ("a", "b")),
        ForeignKey(("gone",), "nowhere", ()),
    )


def test_views_are_apart_and_a_broken_one_has_no_columns(atlas: Path) -> None:
    french, broken = describe(atlas).views
    assert [c.name for c in french.columns] == ["city_name", "id"] and french.rows is None
    assert broken.name == "broken" and broken.columns == ()


def test_samples_are_short_distinct_texts(atlas: Path) -> None:
    assert sample_values(atlas) == {
        "Country": {
            "Code": ("FR", "PL"),
            "Name": ("France", "Poland"),
            "Founded": ("0843-08-10", "0966-04-14"),
        },
        "city": {
            "country_code": ("FR", "PL"),
            "name": ("Paris", "Łódź"),
            "note": ("the capital of France and its…",),
        },
    }
    assert sample_values(atlas, per_column=3)["city"]["name"] == ("Paris", "Łódź", "Nowy Sącz")
    assert sample_values(atlas, per_column=0) == {}


def test_describing_changes_nothing(atlas: Path) -> None:
    before = atlas.read_bytes()
    describe(atlas)
    assert atlas.read_bytes() == before
    assert list(atlas.parent.iterdir()) == [atlas]


def test_bad_files_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("hello", encoding="utf-8")
    (tmp_path / "empty.sqlite").touch()
    for name, said in {
        "text.sqlite": "another kind",
        "empty.sqlite": "empty",
        "no.sqlite": "No such",
    }.items():
        with pytest.raises(DatabaseError, match=said):
            describe(tmp_path / name)


def test_a_large_table_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "large.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (name TEXT)")
    rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000001) SELECT 'same' FROM c"
    connection.execute(f"INSERT INTO t {rows}")
    connection.commit()
    connection.close()
    start = time.monotonic()
    (table,) = describe(path).tables
    assert time.monotonic() - start < 2
    assert table.rows is None and table.columns[0].samples == ("same",)


def test_threads_may_describe(atlas: Path) -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(describe(atlas))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(repr, found))) == 1


def test_spiders_databases_are_described_as_its_own_tables_file_does(spider_root: Path) -> None:
    # The file knows one table that the database lacks, and lists SQLite's own table of three others.
    for entry in json.loads((spider_root / "tables.json").read_text(encoding="utf-8")):
        path = spider_root / "database" / entry["db_id"] / f"{entry['db_id']}.sqlite"
        if not path.exists() or entry["db_id"] == "college_1":
            continue
        names = entry["table_names_original"]
        expected = {
            (names[table].lower(), column.lower())
            for table, column in entry["column_names_original"]
            if table >= 0 and names[table] != "sqlite_sequence"
        }
        tables = describe(path, samples=0).tables
        assert {(t.name.lower(), c.name.lower()) for t in tables for c in t.columns} == expected, path
