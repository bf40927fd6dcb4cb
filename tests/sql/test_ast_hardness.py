"""Hardness of SQL outside Spider's grammar (fixtures/ast_hardness.tsv), and its agreement with the official rule."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from sqlwright.sql.ast_hardness import ast_hardness
from sqlwright.sql.hardness import hardness
from sqlwright.sql.spider_grammar import parse_spider
from sqlwright.sql.spider_words import SpiderSyntaxError


def read_cases() -> list[dict[str, str]]:
    with (Path(__file__).parent / "fixtures/ast_hardness.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case["sql"])
def test_ast_hardness(case: dict[str, str]) -> None:
    assert (ast_hardness(case["sql"]) or "unknown") == case["hardness"], case["why"]


def test_other_dialects() -> None:
    sql = "SELECT date_trunc('month', d)::date, sum(x) FILTER (WHERE y) FROM t WHERE d > now() - INTERVAL '1 month'"
    assert ast_hardness(sql, "postgres") == "medium"


def test_deep_nesting_is_no_crash() -> None:
    assert ast_hardness("SELECT " + "(" * 5000 + "1" + ")" * 5000) is None


@pytest.mark.parametrize(("part", "wrong"), [("train_spider", 11), ("dev", 4), ("train_others", 0)])
def test_agreement_with_the_official_rule(spider_root: Path, part: str, wrong: int) -> None:
    entries = json.loads((spider_root / "tables.json").read_text(encoding="utf-8"))
    schemas = {entry["db_id"]: schema(entry) for entry in entries}
    disagreements: Counter[tuple[str, str | None]] = Counter()
    for question in json.loads((spider_root / f"{part}.json").read_text(encoding="utf-8")):
        try:
            official = hardness(parse_spider(question["query"], schemas[question["db_id"]]))
        except SpiderSyntaxError:
            continue
        found = ast_hardness(question["query"])
        disagreements[official, found] += official != found
    assert disagreements.total() == wrong, +disagreements


def schema(entry: dict[str, list[list[str]]]) -> dict[str, tuple[str, ...]]:
    """Return the columns by table of an entry of Spider's tables.json, in lower case."""
    tables: dict[int, list[str]] = {}
    for table, column in entry["column_names_original"]:
        tables.setdefault(int(table), []).append(column.lower())
    return {str(name).lower(): tuple(tables.get(at, ())) for at, name in enumerate(entry["table_names_original"])}
