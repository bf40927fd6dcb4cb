"""Categories told from SQL, against those that sql-eval's authors gave (fixtures/README.md says from where)."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sqlwright.sql.category import CATEGORIES, category


@pytest.mark.parametrize(("database", "right", "total"), [("academic", 23, 28), ("advising", 21, 24)])
def test_agreement_with_sql_eval(database: str, right: int, total: int) -> None:
    """The order of the marks was chosen on `academic` only."""
    with (Path(__file__).parent / "fixtures/sql_eval_categories.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    own = [row for row in rows if row["database"] == database]
    assert {row["category"] for row in rows} == set(CATEGORIES)
    assert (sum(category(row["sql"]) == row["category"] for row in own), len(own)) == (right, total)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_agreement_with_the_clauses_that_sql_eval_names(archive: Callable[[str], Path], dialect: str) -> None:
    """The basic questions are named after the clauses of their golds: the category has to be among them."""
    path = archive("sql-eval-basic") / "sql-eval" / f"instruct_basic_{dialect}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    parts = {"group_by": "group", "order_by": "order", "table_join": "join", "date": "date"}
    found = Counter(parts.get(category(row["query"], dialect) or "", "none") in row["query_category"] for row in rows)
    assert found == {True: 38, False: 2}  # both of basic_join_distinct: one has no join, one compares a date


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT name FROM shop WHERE town = 'Bern'", "where"),
        ("SELECT price / 100.0 FROM shop", None),
        ("SELECT count(*) FROM shop", None),
        ("SELECT name FROM shop WHERE times > 3", "where"),
        ("SELECT name FROM shop WHERE created_at >= '2024-01-01'", "date"),
        ("SELECT name FROM shop WHERE name > 'M'", "where"),
        ("SELECT a FROM t UNION SELECT b FROM u ORDER BY 1 LIMIT 3", "order_by"),
        ("DELETE FROM shop", None),
        ("no SQL", None),
    ],
)
def test_category(sql: str, expected: str | None) -> None:
    assert category(sql) == expected
