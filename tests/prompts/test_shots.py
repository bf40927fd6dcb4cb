"""Few-shot by retrieval: masked questions, what is chosen, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlwright.databases import Column, Schema, Table
from sqlwright.datasets import READERS, package_path
from sqlwright.prompts import TARGETS, Shot, make_shots
from sqlwright.prompts.shots import ShotIndex, mask
from sqlwright.records import Question
from sqlwright.sql.skeleton import skeleton

SCHEMA = Schema("shop", "", (Table("customers", (Column("customerName", "TEXT"), Column("home_town", "TEXT"))),))
FIXTURES = Path(__file__).parent / "fixtures"
MASKED = [line.split("\t") for line in (FIXTURES / "masked.tsv").read_text(encoding="utf-8").splitlines()[1:]]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_names_and_values_are_masked(text: str, masked: str) -> None:
    assert mask(text, SCHEMA) == masked


def shot(number: int, text: str, sql: str, database: str = "shop") -> Shot:
    return Shot(str(number), database, text, sql, mask(text, SCHEMA))


SHOTS = [
    shot(1, "How many customers are there?", "SELECT COUNT(*) FROM customers"),
    shot(2, "Count the customers.", "SELECT COUNT(*) FROM customers"),
    shot(3, "Which customers live in the town Oslo?", "SELECT customerName FROM customers WHERE home_town = 'Oslo'"),
    shot(4, "How many customers live in Rome?", "SELECT COUNT(*) FROM customers WHERE home_town = 'Rome'"),
    shot(5, "How many singers live in Paris?", "SELECT COUNT(*) FROM singer WHERE city = 'Paris'", "music"),
    shot(
        6,
        "Order towns by their number of customers.",
        "SELECT home_town FROM customers GROUP BY home_town ORDER BY COUNT(*)",
    ),
    shot(
        7,
        "Which town has the fewest customers?",
        "SELECT home_town FROM customers GROUP BY home_town ORDER BY COUNT(*) LIMIT 1",
    ),
]


def ids(question: Question, most: int = 9) -> list[str]:
    return [one.id for one in ShotIndex(SHOTS).choose(question, SCHEMA, most)]


def test_the_likest_question_comes_last() -> None:
    assert ids(Question("x", "other", "How many customers live in Madrid?"), 2)[-1] in ("4", "5")
    assert ids(Question("x", "other", "Which town has the most customers?"), 1) == ["7"]


def test_a_question_never_gets_itself_nor_its_own_text_nor_its_own_sql() -> None:
    assert "1" not in ids(Question("1", "shop", SHOTS[0].text))
    assert "2" not in ids(Question("1", "shop", SHOTS[0].text)), "another wording of the same training question"
    assert "3" not in ids(Question("new", "shop", "which customers live in the town OSLO")), "its text under another id"
    assert "3" in ids(Question("new", "elsewhere", "Which customers live in the town Oslo?"))


def test_the_golds_of_a_question_that_is_asked_are_never_looked_at() -> None:
    asked = Question("x", "shop", "How many customers live in Rome or Oslo?")
    assert ids(asked) == ids(Question("x", "shop", asked.text, golds=(SHOTS[3].sql,)))


def test_one_query_is_shown_once() -> None:
    chosen = ids(Question("x", "other", "How many customers are there in all?"))
    assert len({"1", "2"} & set(chosen)) == 1


def test_nothing_alike_gives_nothing() -> None:
    assert ids(Question("x", "shop", "Zzz?")) == []
    assert ShotIndex([]).choose(Question("x", "shop", "How many?"), SCHEMA, 3) == []


def test_real_questions_get_queries_that_are_built_alike_more_often_than_by_chance() -> None:
    root = package_path("quickstart")
    train = READERS["spider"]([root / "train.json"], root / "database")
    evaluate = READERS["spider"]([root / "evaluate.json"], root / "database")
    shots = make_shots(train.questions, train.databases, TARGETS["plain"])
    assert {one.id for one in shots} <= {question.id for question in train.questions}
    index = ShotIndex(shots)
    schemas = {name: Schema(name, "", ()) for name in evaluate.databases}
    wanted = [skeleton(question.golds[0]) for question in evaluate.questions]
    chosen = [index.choose(question, schemas[question.database], 1) for question in evaluate.questions]
    hits = sum(bool(one) and skeleton(one[0].sql) == built for one, built in zip(chosen, wanted, strict=True))
    built = [skeleton(one.sql) for one in shots]
    by_chance = sum(built.count(one) / len(built) for one in wanted)
    assert hits > 2 * by_chance
