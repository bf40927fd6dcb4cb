"""A schema over the budget: what the question is about stays, joining tables stay, and what goes is named."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from sqlwright.databases import Column, ForeignKey, Schema, Table, describe
from sqlwright.prompts import STYLES, cut_notes, schema_text
from sqlwright.prompts.fit import FittedSchema
from sqlwright.records import Prompt

CHINOOK = Path(str(resources.files("sqlwright"))) / "data" / "chinook" / "chinook.sqlite"


def count(text: str) -> int:
    """Return a number of tokens like a tokenizer's: words, runs of space, single signs."""
    return len(re.findall(r"\w+|\s+|[^\w\s]", text))


@pytest.fixture(scope="module")
def chinook() -> Schema:
    return describe(CHINOOK, 0)


@pytest.mark.parametrize(
    ("question", "tables"),
    [
        ("How many tracks have the media type MPEG?", {"Track", "MediaType"}),
        ("Which employees report to nobody?", {"Employee"}),
        ("What is the total of all invoices per billing country?", {"Invoice"}),
        ("In which playlists is a track?", {"Playlist", "PlaylistTrack", "Track"}),
        ("List the genres.", {"Genre"}),
    ],
)
def test_the_tables_of_the_question_stay(chinook: Schema, question: str, tables: set[str]) -> None:
    for style in STYLES.values():
        whole = count(schema_text(chinook, style, 10**6, count).text)
        cut = schema_text(chinook, style, whole // 2, count, question)
        assert not tables & set(cut.omitted), style.name
        text, _, named = cut.text.partition("\n-- not shown: ")
        assert count(text) <= whole // 2
        assert named and all(name in cut.omitted for name in named.split(" and ")[0].split(", "))


def test_a_table_that_joins_two_of_the_question_stays() -> None:
    def entity(name: str, *more: str) -> Table:
        return Table(name, (Column("id", "INT"), *(Column(one, "TEXT") for one in more)), ("id",))

    link = Table(
        "zz",
        (Column("a", "INT"), Column("b", "INT")),
        foreign_keys=(ForeignKey(("a",), "pupil", ("id",)), ForeignKey(("b",), "teacher", ("id",))),
    )
    others = [entity(f"other{i}", "x", "y") for i in range(8)]
    schema = Schema("school", "", (*others, entity("pupil", "age"), entity("teacher", "salary"), link))
    style = STYLES["compact"]
    budget = count(schema_text(Schema("school", "", schema.tables[-3:]), style, 10**6, count).text) + 2
    cut = schema_text(schema, style, budget, count, "What is the salary of each pupil's teacher?")
    assert set(cut.omitted) == {table.name for table in others}


def test_a_wide_table_keeps_its_key_and_the_columns_of_the_question() -> None:
    wide = Table("patient", tuple(Column(f"field_{i}", "TEXT") for i in range(200)), ("field_150",))
    wide = Table("patient", (*wide.columns, Column("blood_pressure", "REAL")), ("field_150",))
    schema = Schema("clinic", "", (Table("ward", (Column("id", "INT"),)), wide))
    cut = schema_text(schema, STYLES["ddl"], 80, count, "What is the average blood pressure?")
    shown = cut.text.partition("\n-- not shown: ")[0]
    assert "blood_pressure" in shown and "field_150 TEXT" in shown and "PRIMARY KEY (field_150)" in shown
    assert count(shown) <= 80
    assert len(cut.omitted) > 150
    assert all(f"{name.partition('.')[2]} TEXT" not in shown for name in cut.omitted if "." in name)


def test_questions_about_the_same_tables_share_their_prefix(chinook: Schema) -> None:
    fitted = FittedSchema(chinook, STYLES["compact"], 150, count)
    texts = {fitted.text(question).text for question in ("How many genres are there?", "List each genre.", "GENRES?")}
    assert len(texts) == 1
    assert fitted.text("Which artists are there?").text not in texts


def test_words_of_descriptions_and_values_count() -> None:
    tables = tuple(
        Table(f"t{i}", (Column("c", "TEXT", samples=("Norway",) if i == 4 else ()),), description="births" * (i == 5))
        for i in range(9)
    )
    schema = Schema("s", "", tables)
    assert "t4 (c" in schema_text(schema, STYLES["compact"], 30, count, "people from norway").text
    assert "t5 (c" in schema_text(schema, STYLES["compact"], 30, count, "the number of births").text
    assert "t0 (c" in schema_text(schema, STYLES["compact"], 30, count, "").text


def test_cuts_are_summed_up_by_database() -> None:
    prompts = [
        Prompt("1", "a", "", "s", omitted=("x", "y")),
        Prompt("2", "a", "", "s", omitted=("x",)),
        Prompt("3", "b", "", "s"),
    ]
    assert cut_notes(prompts) == ["a: schema over prompt.max_schema_tokens, left out: x, y (1)"]
