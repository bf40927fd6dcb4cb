"""Leaks between training and evaluation: what is one, what is normal, and that Spider's official split has none."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

from sqlwright.datasets import columns_by_table, package_path, read_spider
from sqlwright.datasets.leaks import SAME_SCHEMA, Leaks, Tables, find_leaks, likeness, refuse_leaks
from sqlwright.errors import DataError
from sqlwright.records import Question

SHOPS = {"shop": ("id", "name", "town"), "sale": ("id", "shop_id", "price", "day")}
RENAMED = {"SALE": ("ID", "Shop_Id", "Price", "Day"), "Shop": ("Id", "Name", "Town")}
ZOO = {"animal": ("id", "name"), "cage": ("id", "size")}
SCHEMAS: dict[str, Tables] = {"shops": SHOPS, "kiosks": RENAMED, "zoo": ZOO}


def question(database: str, text: str, *golds: str, where: str = "") -> Question:
    return Question(id=f"{database}{text}", database=database, text=text, golds=golds, source=where or f"{database}:1")


def leaks(train: list[Question], evaluate: list[Question]) -> list[tuple[str, str]]:
    return [(leak.name, leak.evaluate) for leak in find_leaks(train, evaluate, SCHEMAS).found]


def test_likeness_of_schemas_survives_another_name_case_and_order() -> None:
    assert likeness(SHOPS, RENAMED) == 1.0
    assert likeness(SHOPS, {**SHOPS, "log": ("id",)}) == 1.0
    assert likeness(SHOPS, ZOO) == 0.0
    assert likeness({"shop": SHOPS["shop"]}, {"shop": ("id", "name")}) == 1.0
    assert likeness({"shop": ("id", "name", "town", "size")}, {"shop": ("id", "name", "street", "owner")}) == 0.5
    assert likeness({}, {}) == 0.0


def test_the_same_schema_under_another_name() -> None:
    assert leaks(
        [question("shops", "A?", "SELECT id FROM sale")], [question("kiosks", "B?", "SELECT Name FROM Shop")]
    ) == [("schema:kiosks", "kiosks")]
    assert (
        leaks([question("zoo", "A?", "SELECT id FROM cage")], [question("kiosks", "B?", "SELECT Name FROM Shop")]) == []
    )


def test_the_look_up_of_schemas_finds_what_comparing_all_finds() -> None:
    chance = random.Random(3)
    schemas: dict[str, Tables] = {}
    for number in range(120):
        columns = chance.sample(range(14), chance.randint(1, 13))
        schemas[f"db{number}"] = {"t": [f"c{column}" for column in columns]}
    names = list(schemas)
    train = [question(name, f"{name}?") for name in names[:60]]
    found = find_leaks(train, [question(name, f"{name}?") for name in names[60:]], schemas).found
    expected = {(a, b) for a in names[:60] for b in names[60:] if likeness(schemas[a], schemas[b]) >= SAME_SCHEMA}
    assert {(leak.train, leak.evaluate) for leak in found if leak.kind == "schema"} == expected
    assert 10 < len(expected) < 3000


def test_questions_about_no_database_leak_by_their_text_alone() -> None:
    train = [question("", "Tell of a game.", "inform(name[Portal])", where="t")]
    evaluate = [
        question("", "tell of a game", "request(name)", where="a"),
        question("", "Ask for a game.", "inform(name[Portal])", where="b"),
    ]
    found = find_leaks(train, evaluate, SCHEMAS)
    assert [(leak.name, leak.evaluate) for leak in found.found] == [("question:*", "a")]
    assert (found.same_questions, found.skeletons) == (0, 0)


def test_one_database_in_both_parts_is_no_leak_by_itself() -> None:
    assert (
        leaks([question("shops", "A?", "SELECT id FROM sale")], [question("shops", "B?", "SELECT name FROM shop")])
        == []
    )


def test_the_same_question_on_the_same_schema() -> None:
    train = [question("shops", "Which shops are in Bern?", "SELECT name FROM shop WHERE town = 'Bern'")]
    evaluate = [
        question("shops", "which shops are in Bern", "SELECT id FROM shop", where="a"),
        question("kiosks", "Which shops are in Bern?", "SELECT Id FROM Shop", where="b"),
        question("zoo", "Which shops are in Bern?", "SELECT id FROM cage", where="c"),
        question("shops", "Which shops are in Basel?", "SELECT id FROM shop", where="d"),
    ]
    assert leaks(train, evaluate) == [("question:shops", "a"), ("schema:kiosks", "kiosks"), ("question:kiosks", "b")]
    assert find_leaks(train, evaluate, SCHEMAS).same_questions == 1, "the one about the zoo"


def test_an_earlier_turn_makes_another_question() -> None:
    first = Question("1", "shops", "And in Bern?", ("SELECT id FROM shop",), history=(("Which shops?", "SELECT 1"),))
    second = Question(
        "2", "shops", "And in Bern?", ("SELECT price FROM sale",), history=(("Which sales?", "SELECT 1"),)
    )
    assert leaks([first], [second]) == []
    assert leaks([first], [first]) == [("question:shops", "")]


def test_sql_that_differs_in_values_only() -> None:
    train = [question("shops", "A?", "SELECT T1.name FROM shop AS T1 WHERE T1.town = 'Bern'")]
    evaluate = [
        question("shops", "B?", 'select name from Shop where town="Basel"', where="a"),
        question("shops", "C?", "SELECT 1", "SELECT name FROM shop WHERE town = 'Chur'", where="b"),
        question("shops", "D?", "SELECT name FROM shop WHERE town != 'Bern'", where="c"),
        question("shops", "E?", "SELECT name FROM shop WHERE id = 3", where="d"),
        question("kiosks", "F?", "SELECT Name FROM Shop WHERE Town = 'Bern'", where="e"),
        question("zoo", "G?", "SELECT name FROM animal WHERE id = 3", where="f"),
    ]
    found = find_leaks(train, evaluate, SCHEMAS)
    assert [(leak.name, leak.evaluate) for leak in found.found] == [
        ("sql:shops", "a"),
        ("sql:shops", "b"),
        ("schema:kiosks", "kiosks"),
        ("sql:kiosks", "e"),
    ]
    assert (found.questions, found.same_questions, found.skeletons) == (6, 0, 5)


def test_leaks_are_refused_unless_accepted_by_name() -> None:
    train = [question("shops", f"{n}?", f"SELECT {n} FROM shop", where=f"t:{n}") for n in range(12)]
    evaluate = [question("kiosks", f"{n}?", f"SELECT {n} FROM shop", where=f"e:{n}") for n in range(12)]
    found = find_leaks(train, evaluate, SCHEMAS).found
    with pytest.raises(DataError, match="found 13 leaks") as refused:
        refuse_leaks(found, ["question:shops", "sql:*"], "cleaning.json")
    message = str(refused.value)
    assert message.count("\n  - ") == 10
    assert "and 3 more, listed in cleaning.json" in message
    assert "e:0 asks what t:0 asks: 0?" in message
    assert 'data.accept_leaks = ["schema:kiosks", "question:kiosks"]' in message
    with pytest.raises(DataError, match=r"found 1 leak:(.|\n)*schema:kiosks(.|\n)*100%"):
        refuse_leaks(found, ["question:kiosks"], "cleaning.json")
    assert refuse_leaks(found, ["schema:*", "question:kiosks"], "cleaning.json") == found
    assert refuse_leaks((), [], "cleaning.json") == ()


def read_part(*files: Path) -> tuple[list[Question], dict[str, Tables]]:
    dataset = read_spider(files)
    return list(dataset.questions), {name: columns_by_table(path) for name, path in dataset.databases.items()}


def test_the_quickstart_has_no_leak() -> None:
    train, learned = read_part(package_path("quickstart/train.json"))
    evaluate, asked = read_part(package_path("quickstart/evaluate.json"))
    assert find_leaks(train, evaluate, learned | asked).found == ()


def described(root: Path) -> dict[str, Tables]:
    """Return the schemas that Spider's tables.json describes: quicker to read than 166 databases."""
    schemas: dict[str, Tables] = {}
    for entry in json.loads((root / "tables.json").read_text(encoding="utf-8")):
        names = entry["table_names_original"]
        columns = [(names[table], column) for table, column in entry["column_names_original"] if table >= 0]
        schemas[entry["db_id"]] = {name: [column for table, column in columns if table == name] for name in names}
    return schemas


def test_the_official_split_of_spider_has_no_leak(spider_root: Path) -> None:
    schemas = described(spider_root)
    train, dev = (read_spider([spider_root / f"{part}.json"]).questions for part in ("train_spider", "dev"))
    assert find_leaks(train, dev, schemas) == Leaks((), questions=1034, same_questions=6, skeletons=881)
    sides = ({question.database for question in part} for part in (train, dev))
    assert max(likeness(schemas[a], schemas[b]) for a, b in itertools.product(*sides)) < 0.7


def test_spider_split_by_question_leaks(spider_root: Path) -> None:
    """The split that Spider's authors warn of: questions of one database on both sides."""
    dev = read_spider([spider_root / "dev.json"]).questions
    found = find_leaks(dev[::2], dev[1::2], described(spider_root)).found
    assert len(found) > 400
    assert {leak.kind for leak in found} == {"sql"}
