"""sql-eval's golds: alternatives and choices of columns, as the original expands them and without its faults."""

from __future__ import annotations

import json

import pytest
from reading import FILES

from sqlwright.datasets.sql_eval_golds import fixed_golds, official_golds
from sqlwright.errors import DataError


@pytest.mark.parametrize("case", json.loads((FILES / "sql_eval_golds.json").read_text()), ids=lambda c: c["why"])
def test_golds_are_expanded(case: dict[str, object]) -> None:
    query = str(case["query"])
    assert official_golds(query) == case["official"]
    assert fixed_golds(query) == case["fixed"]


def test_hopeless_golds_are_errors() -> None:
    with pytest.raises(DataError, match=r"before \{\}, found none"):
        fixed_golds("SELECT a FROM t GROUP BY {}")
    with pytest.raises(DataError, match="at most 4096 queries, found 1048575"):
        fixed_golds("SELECT {" + ", ".join(f"c{i}" for i in range(20)) + "} FROM t")
