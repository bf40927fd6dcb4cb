"""`describe`: what it writes and prints, and that it never overwrites anyone's work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_notes_are_written_beside_the_database(sqlwright: Callable[..., Any], shop: Path) -> None:
    database = shop / "database" / "shop" / "shop.sqlite"
    notes = database.with_name("shop.sqlwright.yaml")
    ended = sqlwright("describe", database)
    assert (ended.code, ended.out) == (0, f"{notes}\n")
    assert "tables" in ended.err and "keys inferred" in ended.err
    written = notes.read_text(encoding="utf-8")
    assert written.startswith("# What SQLWright tells models about shop")
    notes.write_text("# mine", encoding="utf-8")
    ended = sqlwright("describe", database)
    assert (ended.code, ended.out) == (3, "")
    assert "--force" in ended.err
    assert notes.read_text(encoding="utf-8") == "# mine"
    assert sqlwright("describe", database, "--force").code == 0
    assert notes.read_text(encoding="utf-8") == written


def test_one_json_document(sqlwright: Callable[..., Any], shop: Path) -> None:
    ended = sqlwright("describe", shop / "database" / "farm" / "farm.sqlite", "--json")
    found = ended.json()
    assert ended.err == ""
    assert set(found) == {"notes", "tables", "inferred_keys", "partial"}
    for table in found["tables"].values():
        for column in table["columns"].values():
            assert set(column) == {"type", "distinct", "nulls", "smallest", "largest", "samples"}


def test_a_file_that_is_no_database(sqlwright: Callable[..., Any], tmp_path: Path) -> None:
    ended = sqlwright("describe", tmp_path / "none.sqlite")
    assert ended.code == 4
    assert list(tmp_path.iterdir()) == []
