"""Exact set match: the cases of fixtures/spider_exact_match.tsv, checked against the original, and its keys."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sqlwright.evaluation.spider_exact_match import COMPONENTS, exact_match, key_map
from sqlwright.sql.spider_grammar import parse_spider
from sqlwright.sql.spider_query import EMPTY
from sqlwright.sql.spider_words import SpiderSyntaxError

SCHEMA = {
    "stadium": ("stadium_id", "location", "name", "capacity", "highest", "lowest", "average"),
    "singer": ("singer_id", "name", "country", "song_name", "song_release_year", "age", "is_male"),
    "concert": ("concert_id", "concert_name", "theme", "stadium_id", "year"),
    "singer_in_concert": ("concert_id", "singer_id"),
}
KEYS = {
    "concert.stadium_id": "stadium.stadium_id",
    "stadium.stadium_id": "stadium.stadium_id",
    "singer_in_concert.singer_id": "singer.singer_id",
    "singer.singer_id": "singer.singer_id",
    "singer_in_concert.concert_id": "concert.concert_id",
    "concert.concert_id": "concert.concert_id",
}


def read_cases() -> list[dict[str, str]]:
    with (Path(__file__).parent / "fixtures/spider_exact_match.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case["why"])
def test_exact_match(case: dict[str, str]) -> None:
    gold = parse_spider(case["gold"], SCHEMA)
    try:
        prediction = parse_spider(case["prediction"], SCHEMA)
    except SpiderSyntaxError:
        assert case["expected"] == "unparsable"
        prediction = EMPTY
    correct, parts = exact_match(prediction, gold, KEYS)
    assert correct == (case["expected"] == "1")
    assert tuple(parts) == COMPONENTS
    assert exact_match(gold, gold, KEYS)[0]


def test_two_sub_queries_in_from_compare_as_a_bag() -> None:
    one, other = (
        parse_spider(f"SELECT count(*) FROM (SELECT {a} FROM singer) (SELECT {b} FROM singer)", SCHEMA)
        for a, b in (("name", "age"), ("age", "name"))
    )
    assert one != other
    assert exact_match(one, other, KEYS)[0]


def test_and_or_totals_are_the_wrong_way_round() -> None:
    gold = parse_spider("SELECT name FROM singer WHERE age > 1 AND country = 'x'", SCHEMA)
    part = exact_match(EMPTY, gold, KEYS)[1]["and/or"]
    assert (part.correct, part.in_prediction, part.in_gold) == (False, True, False)


def test_keys_of_the_benchmark(spider_root: Path) -> None:
    entries = {entry["db_id"]: entry for entry in json.loads((spider_root / "tables.json").read_text())}
    assert key_map(entries["concert_singer"]) == KEYS


def test_keys_that_meet_late_are_not_merged() -> None:
    entry = {
        "table_names_original": ["T", "U"],
        "column_names_original": [[-1, "*"], [0, "A"], [0, "B"], [1, "C"], [1, "D"]],
        "foreign_keys": [[1, 2], [3, 4], [2, 3]],
    }
    # The third key joins the first group only; the second group, written later, keeps C and D.
    assert key_map(entry) == {"t.a": "t.a", "t.b": "t.a", "u.c": "u.c", "u.d": "u.c"}
