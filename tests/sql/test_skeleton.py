"""Templates and skeletons: the cases of fixtures/skeleton.tsv, and what must hold for every gold of Spider dev."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sqlwright.sql.normalise import KEYWORDS
from sqlwright.sql.skeleton import skeleton, template

TABLES = {"singer": ["id", "name", "age", "Country"], "concert": ["cid", "id", "year"]}
NAMES = [*TABLES, *(column for columns in TABLES.values() for column in columns)]


def read_cases() -> list[dict[str, str]]:
    with (Path(__file__).parent / "fixtures/skeleton.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case["sql"])
def test_skeleton_and_template(case: dict[str, str]) -> None:
    assert template(case["sql"], TABLES) == case["template"]
    assert skeleton(case["sql"], NAMES) == case["skeleton"]


def test_only_values_are_lost_in_a_template() -> None:
    assert template("SELECT name FROM singer WHERE age > 3", TABLES) == template(
        "select T1.name from Singer as T1 where T1.age>44", TABLES
    )
    assert template("SELECT name FROM singer WHERE age > 3", TABLES) != template(
        "SELECT name FROM singer WHERE age < 3", TABLES
    )
    assert template("SELECT name FROM singer", TABLES) != template("SELECT country FROM singer", TABLES)


def test_skeletons_of_spider_dev_hold_no_names_and_no_values(spider_root: Path) -> None:
    golds = [entry["query"] for entry in json.loads((spider_root / "dev.json").read_text(encoding="utf-8"))]
    skeletons = [skeleton(gold) for gold in golds]
    assert len(set(skeletons)) == 258
    words = {word for one in skeletons for word in one.split() if word.isalpha()}
    assert words <= KEYWORDS | {"COUNT", "SUM", "AVG", "MIN", "MAX"}
