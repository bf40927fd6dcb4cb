"""The grammar bound to a schema: fixture pairs, golds of Spider and BIRD, odd names, and what it can say."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
from collections import defaultdict
from pathlib import Path

import pytest
import sqlglot
from grammar_check import matcher, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from sqlwright.databases import Executor, Schema, describe
from sqlwright.databases.schema import Column, Table
from sqlwright.errors import DatabaseError
from sqlwright.sql.grammar import sql_grammar
from sqlwright.sql.names import KEYWORDS
from sqlwright.sql.normalise import normalise

with (Path(__file__).parent / "fixtures" / "grammar.tsv").open(encoding="utf-8", newline="") as _file:
    CASES = list(csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE))

# Golds of Spider that SQLite can't run, and so no grammar need accept: an ORDER BY before INTERSECT, a missing table.
NOT_SQL = {
    "SELECT document_name FROM documents GROUP BY document_type_code ORDER BY count(*) DESC LIMIT 3 INTERSECT SELECT "
    "document_name FROM documents GROUP BY document_structure_code ORDER BY count(*) DESC LIMIT 3",
    "SELECT T1.company_name FROM Third_Party_Companies AS T1 JOIN Maintenance_Contracts AS T2 ON T1.company_id  =  "
    "T2.maintenance_contract_company_id JOIN Ref_Company_Types AS T3 ON T1.company_type_code  =  "
    "T3.company_type_code ORDER BY T2.contract_end_date DESC LIMIT 1",
}
# Golds of BIRD mini-dev whose SELECT names what only the FROM behind it makes.
AHEAD = {197, 198, 349, 1028, 1032, 1058, 1092}


def schema_of(tables: dict[str, list[str]], views: dict[str, list[str]] | None = None) -> Schema:
    made, seen = (
        tuple(Table(name, tuple(Column(column, "") for column in columns)) for name, columns in part.items())
        for part in (tables, views or {})
    )
    return Schema("made", "made", made, seen)


SCHEMA = schema_of(
    {
        "singer": ["id", "name", "age", "Home Town"],
        "concert": ["id", "singer_id", "year"],
        "Order Details": ["order", "name"],
    },
    {"oldies": ["x"]},
)
PLAIN, AHEAD_TOO, FROM_FIRST = (
    matcher(sql_grammar(SCHEMA, **options)) for options in ({}, {"ahead": True}, {"from_first": True})
)


@pytest.mark.parametrize("case", CASES, ids=[f"{case['why']}: {case['sql'][:40]}" for case in CASES])
def test_pairs(case: dict[str, str]) -> None:
    kind = case["accepted"].removeprefix("not ")
    found = {"ahead": AHEAD_TOO, "from first": FROM_FIRST}.get(kind, PLAIN)
    rest = refused(found, case["sql"].replace("\\n", "\n"))
    assert bool(rest) == (case["accepted"] == "no" or case["accepted"].startswith("not ")), rest


def test_every_gold_of_spider(spider_root: Path) -> None:
    golds = spider_golds(spider_root)
    assert sum(map(len, golds.values())) == 4545
    assert check_spider(spider_root, golds) == NOT_SQL


def spider_golds(root: Path) -> dict[str, list[str]]:
    """Return the different golds of the training and development questions, by database."""
    golds: dict[str, set[str]] = defaultdict(set)
    for name in ("train_spider.json", "dev.json"):
        for question in json.loads((root / name).read_text(encoding="utf-8")):
            golds[question["db_id"]].add(question["query"])
    return {name: sorted(own) for name, own in golds.items()}


def check_spider(root: Path, golds: dict[str, list[str]]) -> set[str]:
    """Check that golds are accepted as typed and as models learn them; return those that aren't, and needn't be."""
    wrong, known = [], set()
    with Executor(1) as executor:
        for name, own in golds.items():
            schema = describe(root / "database" / name / f"{name}.sqlite", 0, executor=executor)
            found = matcher(sql_grammar(schema))
            names = [one for table in schema.tables for one in (table.name, *(column.name for column in table.columns))]
            for gold in own:
                rests = {text: refused(found, text) for text in (gold, normalise(gold, names))}
                if any(rests.values()):
                    known.add(gold) if gold in NOT_SQL else wrong.append((name, rests))
    assert not wrong, wrong[:5]
    return known


def test_golds_of_bird(archive) -> None:  # type: ignore[no-untyped-def]
    """All 500; the databases aren't public data here, so a schema is what the golds name."""
    questions = json.loads((archive("bird") / "bird" / "mini_dev_sqlite.json").read_text(encoding="utf-8"))
    assert len(questions) == 500
    refusals, wrong = set(), []
    for name, schema in bird_schemas(questions).items():
        plain, ahead = matcher(sql_grammar(schema)), matcher(sql_grammar(schema, ahead=True))
        names = [one for table in schema.tables for one in (table.name, *(column.name for column in table.columns))]
        for question in questions:
            if question["db_id"] == name:
                for text in (question["SQL"], normalise(question["SQL"], names)):
                    if refused(plain, text):
                        refusals.add(question["question_id"])
                    if rest := refused(ahead, text):
                        wrong.append((text, rest))
    assert not wrong, wrong[:5]
    assert refusals == AHEAD


def bird_schemas(questions: list[dict[str, str]]) -> dict[str, Schema]:
    """Return what the golds name, by database: tables, and columns in every table that they may be of."""
    tables: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for question in questions:
        tree = sqlglot.parse_one(question["SQL"], dialect="sqlite")
        own = {one.alias.lower() for kind in (exp.CTE, exp.Alias) for one in tree.find_all(kind)}
        read = {table.alias_or_name.lower(): table.name for table in tree.find_all(exp.Table)}
        read = {alias: name for alias, name in read.items() if name.lower() not in own}
        for column in tree.find_all(exp.Column):
            if column.name and column.name.lower() not in own:
                for name in [read[column.table.lower()]] if column.table.lower() in read else set(read.values()):
                    tables[question["db_id"]][name].add(column.name)
    return {name: schema_of({table: sorted(columns) for table, columns in own.items()}) for name, own in tables.items()}


NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1, max_size=12)
ODD = st.sampled_from(
    ['a"b', "a`b", "a]b", "[a]", "select", "Group", "1st", "a.b", "T1", "ſ", "K", "é", "x y", "/", "\\"]
)


@settings(max_examples=60)
@given(st.lists(NAMES | ODD, min_size=1, max_size=5, unique_by=lambda name: name.encode().lower()), NAMES | ODD)
def test_any_name_can_be_written_as_sqlite_reads_it(columns: list[str], table: str) -> None:
    connection = sqlite3.connect(":memory:")
    in_quotes = ['"' + name.replace('"', '""') + '"' for name in (table, *columns)]
    try:
        connection.execute(f"CREATE TABLE {in_quotes[0]} ({', '.join(in_quotes[1:])})")
    except sqlite3.OperationalError:  # names that begin with sqlite_
        return
    found = matcher(sql_grammar(schema_of({table: columns})))
    for name in columns:
        for written in spellings(name):
            for source in spellings(table):
                sql = f"SELECT {written} FROM {source}"
                assert not refused(found, sql)
                assert [entry[0] for entry in connection.execute(sql).description]
    connection.close()


def spellings(name: str) -> list[str]:
    flipped = "".join(sign.swapcase() if sign.isascii() else sign for sign in name)
    found = ['"' + name.replace('"', '""') + '"', "`" + flipped.replace("`", "``") + "`"]
    if name.isascii() and name.isidentifier() and name.upper() not in KEYWORDS:
        found.append(flipped)
    return [*found, f"[{name}]"] if "]" not in name else found


@settings(max_examples=30)
@given(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.from_regex(r"[a-z_]{1,4}", fullmatch=True))
def test_what_only_begins_like_a_name_is_refused(name: str, more: str) -> None:
    found = matcher(sql_grammar(schema_of({"t": [f"{name}_column"], f"{name}_table": ["x"]})))
    assert not refused(found, f"SELECT {name}_column FROM {name}_table")
    assert refused(found, f"SELECT {name}_column{more} FROM {name}_table")
    assert refused(found, f"SELECT {name}_column FROM {name}_table{more}")


def test_what_it_says_is_sql() -> None:
    """Texts that the grammar draws by chance may name what isn't there by an alias, but SQLite can parse them."""
    connection = sqlite3.connect(":memory:")
    connection.execute('CREATE TABLE singer (id, name, age, "Home Town")')
    connection.execute("CREATE TABLE concert (id, singer_id, year)")
    connection.execute('CREATE TABLE "Order Details" ("order", name)')
    connection.execute("CREATE VIEW oldies AS SELECT name AS x FROM singer")
    drawn = 0
    for seed in range(250):
        sql = by_chance(random.Random(seed))
        if sql and "```" not in sql:
            drawn += 1
            try:
                connection.execute(sql)
            except sqlite3.Error as error:
                assert "near" not in str(error) and "token" not in str(error), (sql, error)
    connection.close()
    assert drawn > 50


def by_chance(source: random.Random) -> str:
    """Return a text that the grammar accepts, an empty one where it didn't end soon."""
    said = bytearray()
    PLAIN.reset()
    while len(said) < 200 and not (PLAIN.is_accepting() and source.random() < 0.3):
        mask = int.from_bytes(PLAIN.compute_bitmask(), "little")
        allowed = [byte for byte in range(256) if mask >> byte & 1]
        if not allowed:
            break
        said.append(source.choice(allowed))
        assert PLAIN.consume_token(said[-1])
    return said.decode(errors="replace") if PLAIN.is_accepting() else ""


def test_a_schema_without_tables_is_refused() -> None:
    with pytest.raises(DatabaseError, match="expected a database with tables"):
        sql_grammar(schema_of({"t": []}))
