"""The prompt styles: their text for a schema full of odd names is held in fixtures/STYLE.txt, read by a person."""

from __future__ import annotations

import re
import sqlite3
from importlib import resources
from pathlib import Path

import pytest

from sqlwright.databases import Column, ForeignKey, Schema, Table, describe
from sqlwright.prompts import STYLES, schema_text
from sqlwright.sql.names import quoted

FIXTURES = Path(__file__).parent / "fixtures"
DATA = Path(str(resources.files("sqlwright"))) / "data"
PACKAGED = sorted(DATA.rglob("*.sqlite"))


@pytest.mark.parametrize("name", STYLES)
def test_style_as_in_its_fixture(library: Path, name: str) -> None:
    style = STYLES[name]
    text = schema_text(describe(library, 2), style, 10**6, len)
    asked = style.ask("How many  books\nare there?", "a book\n has a title")
    expected = (FIXTURES / f"{name}.txt").read_text(encoding="utf-8")
    assert f"{style.instruction}\n\n{text.text}\n\n{asked}\n" == expected
    assert text.omitted == ()


@pytest.mark.parametrize("name", STYLES)
def test_a_question_without_evidence_says_nothing_of_it(name: str) -> None:
    style = STYLES[name]
    assert style.ask("Who?", " \n") == style.ask("Who?", "")
    assert style.ask("Who?", "").count("Who?") == 1
    assert "7 = Sunday" in style.ask("Who?", "7 = Sunday")


@pytest.mark.parametrize("name", STYLES)
def test_values_stand_behind_the_question(name: str) -> None:
    asked = STYLES[name].ask("Who\n?", "a hint", ["singer.Country = 'France'", "city.Name = 'Nice'"])
    assert "singer.Country = 'France'; city.Name = 'Nice'" in asked
    assert asked.index("Who ?") < asked.index("France")


@pytest.mark.parametrize("name", ["compact", "ddl"])
@pytest.mark.parametrize("path", [None, *PACKAGED], ids=lambda path: path.stem if path else "library")
def test_ddl_is_sql_that_makes_the_same_columns_and_keys(library: Path, path: Path | None, name: str) -> None:
    found = path or library
    schema = describe(found, 3)
    made = sqlite3.connect(":memory:")
    made.executescript(schema_text(schema, STYLES[name], 10**6, len).text)
    for table in schema.tables:
        columns = made.execute(f"PRAGMA table_info({quoted(table.name)})").fetchall()
        assert [row[1] for row in columns] == [column.name for column in table.columns]
        # The compact style leaves lengths out: VARCHAR for VARCHAR(80).
        kinds = [
            re.sub(r"\s*\(.*\)", "", column.type) if name == "compact" else column.type for column in table.columns
        ]
        # SQLite spells the types it knows in capitals.
        assert [row[2].upper() for row in columns] == [kind.upper() for kind in kinds]
        keys = sorted((row[5], row[1]) for row in columns if row[5])
        assert tuple(column for _, column in keys) == table.primary_key
        foreign = {(row[3], row[2]) for row in made.execute(f"PRAGMA foreign_key_list({quoted(table.name)})")}
        assert foreign == {(column, key.table) for key in table.foreign_keys for column in key.columns}
    made.close()


@pytest.mark.parametrize("value", ["*/", "it's */ '; DROP TABLE x; --", "/* */ */", "'", "**/"])
def test_no_value_closes_its_comment(value: str) -> None:
    schema = Schema("s", "", (Table("t", (Column("a", "TEXT", samples=(value,)), Column("b", "TEXT"))),))
    text = schema_text(schema, STYLES["compact"], 10**6, len).text
    assert text.count("*/") == 1
    made = sqlite3.connect(":memory:")
    made.executescript(text)
    assert len(made.execute("PRAGMA table_info(t)").fetchall()) == 2
    made.close()


@pytest.mark.parametrize(
    "name", ["plain", "_x1", "Ünï", "two words", "1st", "select", "Order", 'a"b', "", "a.b", "x-y"]
)
def test_a_quoted_name_is_read_back_as_it_was(name: str) -> None:
    made = sqlite3.connect(":memory:")
    made.execute(f"CREATE TABLE t ({quoted(name)} TEXT, other INTEGER)")
    assert made.execute("PRAGMA table_info(t)").fetchone()[1] == name
    made.close()
    assert (quoted(name) == name) == bool(re.fullmatch(r"plain|_x1", name))


def test_every_keyword_of_sqlite_can_be_a_column() -> None:
    made = sqlite3.connect(":memory:")
    refused = []
    for name in (FIXTURES / "keywords.txt").read_text(encoding="utf-8").split():
        try:
            made.execute(f'CREATE TABLE "t {name}" ({quoted(name)} TEXT)')
            made.execute(f'SELECT {quoted(name)} FROM "t {name}" WHERE {quoted(name)} = 1').fetchall()
            made.execute(f"CREATE TABLE {quoted(name)} (a)")
        except sqlite3.Error:
            refused.append(name)
    made.close()
    assert refused == []


def test_a_key_to_a_table_without_one_names_the_table_only() -> None:
    schema = Schema("s", "", (Table("t", (Column("a", "INT"),), foreign_keys=(ForeignKey(("a",), "gone", ()),)),))
    assert "a INT REFERENCES gone)" in schema_text(schema, STYLES["compact"], 100, len).text
    assert "FOREIGN KEY (a) REFERENCES gone\n" in schema_text(schema, STYLES["ddl"], 100, len).text
    assert "a of t refers to gone." in schema_text(schema, STYLES["prose"], 100, len).text
