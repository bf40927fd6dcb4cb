"""Words and structure of Spider's grammar, and that no text brings the parser down."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.sql.spider_grammar import parse_spider
from sqlwright.sql.spider_query import Column, Condition, Expression, Order, Query, Selected
from sqlwright.sql.spider_words import SpiderSyntaxError, english_words, spider_words

SCHEMA = {"t": ("id", "a", "b"), "u": ("id", "c")}
FRAGMENTS = (
    "select from where group by order having limit union intersect and or not in like between as join on t u t1 . "
    "id a b c t1.a * ( ) , = > >= != + - 1 2.5 'x' \" max count( distinct ;"
)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT A FROM T", ["select", "a", "from", "t"]),
        ("a = 'Hi There'", ["a", "=", '"Hi There"']),
        ("a >= 1 AND b != 2", ["a", ">=", "1", "and", "b", "!=", "2"]),
        ("a>1", ["a", ">", "1"]),
        ("a=1", ["a=1"]),
        ("a >=1", ["a", ">", "=1"]),
        ("count(*)", ["count", "(", "*", ")"]),
        ("t1.a,t2.b", ["t1.a", ",", "t2.b"]),
        ("IN (1,2)", ["in", "(", "1,2", ")"]),
        ("FROM t;", ["from", "t", ";"]),
        ("FROM t.", ["from", "t", "."]),
        ("cannot", ["can", "not"]),
        ("`a`", ["`", "a", "`"]),
        ("='x'", ["=__val_1_3__"]),
    ],
)
def test_words(sql: str, words: list[str]) -> None:
    assert spider_words(sql) == words


def test_odd_quotes_are_an_error() -> None:
    with pytest.raises(SpiderSyntaxError, match="quote"):
        spider_words("name = 'it's'")


def test_structure() -> None:
    sql = (
        "SELECT DISTINCT T1.a , count(*) FROM t AS T1 JOIN u ON T1.id = u.id WHERE b NOT IN (1) ORDER BY c DESC LIMIT 3"
    )
    key = Expression("none", Column("none", "t.id", False), None)
    assert parse_spider(sql, SCHEMA) == Query(
        distinct=True,
        select=(
            Selected("none", Expression("none", Column("none", "t.a", False), None)),
            Selected("count", Expression("none", Column("none", "*", False), None)),
        ),
        tables=("t", "u"),
        joins=(Condition(False, "=", key, Column("none", "u.id", False), None),),
        where=(Condition(True, "in", Expression("none", Column("none", "t.b", False), None), 1.0, None),),
        order=Order("desc", (Expression("none", Column("none", "u.c", False), None),)),
        limit=True,
    )


def test_an_alias_is_global_and_the_later_one_wins() -> None:
    sql = "SELECT x.id FROM t AS x WHERE x.id IN (SELECT x.c FROM u AS x)"
    query = parse_spider(sql, SCHEMA)
    assert query.select[0].expression.left.name == "u.id"
    with pytest.raises(SpiderSyntaxError, match=r"x\.a"):
        parse_spider(sql.replace("SELECT x.id", "SELECT x.a"), SCHEMA)


def test_or_behind_a_column_is_swallowed() -> None:
    assert len(parse_spider("SELECT a FROM t WHERE a = b OR b = 2", SCHEMA).where) == 1
    assert len(parse_spider("SELECT a FROM t WHERE a = 1 OR b = 2", SCHEMA).where) == 3


@given(st.lists(st.sampled_from(FRAGMENTS.split()), max_size=40))
def test_any_words_are_parsed_or_refused(words: list[str]) -> None:
    try:
        query = parse_spider(" ".join(words), SCHEMA)
    except SpiderSyntaxError as error:
        assert str(error)
    else:
        assert hash(query) == hash(parse_spider(" ".join(words), SCHEMA))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM (" * 2_000,
        "SELECT a FROM t WHERE a IN (" * 2_000,
        "SELECT a FROM t UNION " * 2_000,
        "SELECT a FROM t WHERE " + "a = 1 AND " * 20_000,
        ". " * 50_000 + "x",
        "." + " " * 100_000 + "x",
        "'" * 100_000,
    ],
    ids=["from", "in", "union", "and", "stops", "spaces", "quotes"],
)
def test_monsters_end_soon(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(SpiderSyntaxError):
        parse_spider(text + " end of it =", SCHEMA)
    assert time.perf_counter() - start < 3


def test_words_of_nothing() -> None:
    assert english_words("") == [] == spider_words("  ")
