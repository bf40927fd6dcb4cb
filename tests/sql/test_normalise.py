"""Gold SQL in one spelling: fixture pairs, and the same rows and official verdicts on real golds."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from sqlwright.databases import Executor, describe
from sqlwright.evaluation.spider import score_spider
from sqlwright.sql.normalise import normalise

with (Path(__file__).parent / "fixtures" / "normalise.tsv").open(encoding="utf-8", newline="") as _file:
    CASES = list(csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", CASES, ids=[case["why"] for case in CASES])
def test_pairs(case: dict[str, str]) -> None:
    assert normalise(case["sql"], ["t", "T", "u", "Name", "x", "y"]) == case["normalised"]


@pytest.mark.parametrize("case", CASES, ids=[case["why"] for case in CASES])
def test_a_second_time_changes_nothing(case: dict[str, str]) -> None:
    assert normalise(case["normalised"], ["t", "T", "u", "Name", "x", "y"]) == case["normalised"]


def test_real_golds_keep_their_rows_and_verdicts(spider_root: Path) -> None:
    """Every official verdict on the normalised gold is right, but for golds that fail by themselves."""
    questions = json.loads((spider_root / "train_spider.json").read_text(encoding="utf-8"))
    golds = sorted({(question["db_id"], question["query"]) for question in questions})
    chosen = random.Random(0).sample(golds, 600)
    names: dict[str, list[str]] = {}
    with Executor(2) as executor:
        for database, _ in chosen:
            if database not in names:
                path = spider_root / "database" / database / f"{database}.sqlite"
                schema = describe(path, 0, executor=executor)
                names[database] = [n for table in schema.tables for n in (table.name, *(c.name for c in table.columns))]
        result = score_spider(
            [(gold, database, normalise(gold, names[database])) for database, gold in chosen],
            databases=spider_root / "database",
            tables=spider_root / "tables.json",
            executor=executor,
        )
    # The official scorer's rewriting of "value" in predictions breaks names such as value_points; it is not ours.
    wrong = [
        item
        for item in result.items
        if item.reason != "gold_failed"
        and "value" not in item.gold
        and not (item.ex and item.ex_keep_distinct and item.em)
    ]
    assert not wrong, [(item.gold, item.prediction, item.reason, item.em_reason) for item in wrong[:5]]
