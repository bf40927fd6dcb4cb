"""Columns qualified by their table: fixture pairs, and real golds keep rows and official verdicts."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from sqlwright.databases import Executor, describe
from sqlwright.evaluation.spider import score_spider
from sqlwright.sql.normalise import normalise
from sqlwright.sql.qualify import qualify_columns

TABLES = {"singer": ["id", "name", "country", "teacher"], "concert": ["singer", "title", "year"]}
with (Path(__file__).parent / "fixtures" / "qualify.tsv").open(encoding="utf-8", newline="") as _file:
    CASES = list(csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", CASES, ids=[case["why"] for case in CASES])
def test_pairs(case: dict[str, str]) -> None:
    assert qualify_columns(case["sql"], TABLES) == case["qualified"]


@pytest.mark.parametrize("case", CASES, ids=[case["why"] for case in CASES])
def test_a_second_time_changes_nothing(case: dict[str, str]) -> None:
    assert qualify_columns(case["qualified"], TABLES) == case["qualified"]


def test_real_golds_keep_their_rows_and_verdicts(spider_root: Path) -> None:
    questions = json.loads((spider_root / "train_spider.json").read_text(encoding="utf-8"))
    chosen = random.Random(1).sample(sorted({(one["db_id"], one["query"]) for one in questions}), 600)
    tables: dict[str, dict[str, list[str]]] = {}
    pairs, changed = [], 0
    with Executor(2) as executor:
        for database, gold in chosen:
            if database not in tables:
                schema = describe(spider_root / "database" / database / f"{database}.sqlite", 0, executor=executor)
                tables[database] = {table.name: [column.name for column in table.columns] for table in schema.tables}
            own = tables[database]
            plain = normalise(gold, [*own, *(column for columns in own.values() for column in columns)])
            qualified = qualify_columns(plain, own)
            changed += qualified != plain
            pairs.append((gold, database, qualified))
        result = score_spider(
            pairs, databases=spider_root / "database", tables=spider_root / "tables.json", executor=executor
        )
    # Spider's scorer reads every "value" in a prediction as 1, and an alias as global to the whole query.
    wrong = [one for one in result.items if not one.ex and one.reason != "gold_failed" and "value" not in one.gold]
    assert not wrong, [(one.gold, one.prediction, one.detail) for one in wrong[:5]]
    assert sum(not one.em for one in result.items) <= 6
    assert changed > 0.9 * len(chosen)
