"""Descriptions that benchmarks publish beside a database: BIRD's CSV files and sql-eval's metadata."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from sqlwright.databases.notes import describe_with_notes, notes_path
from sqlwright.databases.published import LENGTH, is_published, published_notes

HEADER = "original_column_name,column_name,column_description,data_format,value_description\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / "database_description" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_birds_files(tmp_path: Path) -> None:
    long = "word " * 100
    rows = [
        "CDSCode,,CDSCode,integer,",
        "Academic Year,Academic Year,the year of the  results,integer,",
        'County Name,County Name,,text,"commonsense:\n1 = north, 2 = south"',
        "NSLP,NSLP Status.,NSLP Status,text,",
        f"Long,,{long},text,",
        ",no name,at all,text,",
        "",
    ]
    path = write(tmp_path, "frpm.csv", "\ufeff" + HEADER + "\n".join(rows))
    notes = published_notes(tmp_path / "schools.sqlite")
    assert notes.columns == {
        ("frpm", "academic year"): "the year of the results",
        ("frpm", "county name"): "commonsense: 1 = north, 2 = south",
        ("frpm", "nslp"): "NSLP Status",
        ("frpm", "long"): ("word " * 39).strip() + "…",
    }
    assert len(notes.columns["frpm", "long"]) <= LENGTH
    assert [(one.where, one.reason) for one in notes.problems] == [
        (f"{path}:8", "expected the name of a column under original_column_name, found none")
    ]


def test_files_in_another_encoding_and_files_that_are_something_else(tmp_path: Path) -> None:
    write(tmp_path, "Café.csv", (HEADER + "größe,size,size in m²,,\n").encode("cp1252"))
    wrong = write(tmp_path, "wrong.csv", "a,b\n1,2\n")
    notes = published_notes(tmp_path / "x.sqlite")
    assert notes.columns == {("café", "größe"): "size: size in m²"}
    assert [one.where for one in notes.problems] == [f"{wrong}:1"]


def test_descriptions_fill_what_the_notes_leave_open(archive: Callable[[str], Path], tmp_path: Path) -> None:
    folder = archive("sql-eval-basic") / "sql-eval" / "databases"
    for name in ("broker.sqlite", "broker.metadata.json"):
        shutil.copy(folder / name, tmp_path)
    database = tmp_path / "broker.sqlite"
    schema = describe_with_notes(database, 0)
    described = {f"{t.name}.{c.name}": c.description for t in schema.tables for c in t.columns if c.description}
    assert len(described) == 9
    assert described["sbticker.sbtickertype"] == "possible values: stock, etf, mutualfund"
    assert schema.instructions[0] == "sbTicker can be joined to sbDailyPrice on sbTickerId"
    notes_path(database).write_text(
        "instructions: Be exact.\ntables:\n  sbTicker:\n    columns:\n"
        "      sbTickerType: what it is\n      sbTickerName: its name\n"
    )
    noted = describe_with_notes(database, 0)
    columns = {c.name: c.description for t in noted.tables for c in t.columns}
    assert (columns["sbtickertype"], columns["sbtickername"]) == ("what it is", "its name")
    assert columns["sbcuststatus"] == described["sbcustomer.sbcuststatus"]
    assert noted.instructions == ("Be exact.", *schema.instructions)
    assert is_published(tmp_path / "broker.metadata.json")
    assert not is_published(database)


def test_nothing_beside_the_database(tmp_path: Path) -> None:
    notes = published_notes(tmp_path / "x.sqlite")
    assert (notes.columns, notes.glossary, notes.problems) == ({}, [], [])


def test_sql_evals_metadata(archive: Callable[[str], Path]) -> None:
    folder = archive("sql-eval-basic") / "sql-eval" / "databases"
    counts = {}
    for database in sorted(folder.glob("*.sqlite")):
        notes = published_notes(database)
        assert not notes.problems
        counts[database.stem] = (len(notes.columns), len(notes.glossary))
    assert counts == {"broker": (9, 7), "car_dealership": (42, 9), "derm_treatment": (26, 13), "ewallet": (27, 10)}
    notes = published_notes(folder / "ewallet.sqlite")
    assert notes.columns["users", "user_type"] == "possible values: individual, business, admin"
    assert notes.glossary[-1].startswith("Active Merchants Percentage (APM) = ")


def test_metadata_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "x.metadata.json"
    for content, where in (
        ('{"table_metadata": {\n"a": [}', ":2"),
        ("[]", ":1"),
        ('{"table_metadata": {"a": 7}}', ":1"),
    ):
        path.write_text(content)
        assert [one.where for one in published_notes(tmp_path / "x.sqlite").problems] == [f"{path}{where}"]
    path.write_text(json.dumps({"table_metadata": {"a": [7, {"column_name": "b", "column_description": "the b"}]}}))
    notes = published_notes(tmp_path / "x.sqlite")
    assert (notes.columns, len(notes.problems)) == ({("a", "b"): "the b"}, 1)
