"""Descriptions that benchmarks publish beside a database: BIRD's CSV files and sql-eval's metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sqlwright.databases.published import LENGTH, published_notes

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
