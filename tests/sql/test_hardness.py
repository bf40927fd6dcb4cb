"""Hardness as the official scorer counts it: the cases of fixtures/hardness.tsv, checked against the original."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sqlwright.sql.hardness import hardness
from sqlwright.sql.spider_grammar import parse_spider
from sqlwright.sql.spider_words import SpiderSyntaxError

CONCERTS = {
    "stadium": ("stadium_id", "location", "name", "capacity", "highest", "lowest", "average"),
    "singer": ("singer_id", "name", "country", "song_name", "song_release_year", "age", "is_male"),
    "concert": ("concert_id", "concert_name", "theme", "stadium_id", "year"),
    "singer_in_concert": ("concert_id", "singer_id"),
}


def read_cases() -> list[dict[str, str]]:
    with (Path(__file__).parent / "fixtures/hardness.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case["sql"])
def test_hardness(case: dict[str, str]) -> None:
    try:
        found = str(hardness(parse_spider(case["sql"], CONCERTS)))
    except SpiderSyntaxError:
        found = "unknown"
    assert found == case["hardness"], case["why"]
