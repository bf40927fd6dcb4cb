"""FROM before SELECT: fixture pairs there and back, every Spider gold round trip, and answers that were cut off."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlwright.sql.extract import extract_sql
from sqlwright.sql.from_first import from_first, select_first
from sqlwright.sql.normalise import normalise

with (Path(__file__).parent / "fixtures" / "from_first.tsv").open(encoding="utf-8", newline="") as _file:
    CASES = list(csv.DictReader(_file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_pairs_there_and_back(case: dict[str, str]) -> None:
    assert from_first(case["sql"]) == case["from_first"]
    assert select_first(case["from_first"]) == case["sql"]
    assert extract_sql(case["from_first"]) == case["sql"]


def test_every_spider_gold_comes_back(spider_root: Path) -> None:
    files = [json.loads((spider_root / f"{name}.json").read_text()) for name in ("train_spider", "dev")]
    golds = {normalise(entry["query"], []) for entries in files for entry in entries}
    assert len(golds) > 4000
    for gold in golds:
        turned = from_first(gold)
        assert turned.startswith(("FROM ", "(")) and select_first(turned) == gold
        assert extract_sql(turned) == gold


@given(st.text(alphabet="FROMSELCTWHN()'\" ,;a1=", max_size=60))
def test_nothing_is_lost_from_any_text(text: str) -> None:
    letters = sorted(text.replace(" ", ""))
    assert sorted(select_first(text).replace(" ", "")) == letters
    assert sorted(from_first(text).replace(" ", "")) == letters
