"""Years and months that were written as their first day; functions of other engines."""

from __future__ import annotations

import pytest

from sqlwright.sql.foreign import in_sqlite
from sqlwright.sql.periods import whole_periods


@pytest.mark.parametrize(
    ("sql", "question", "expected"),
    [
        ("SELECT a FROM t WHERE day = '1997-01-01'", "What was in 1997?", "SELECT a FROM t WHERE day LIKE '1997%'"),
        ("SELECT a FROM t WHERE day='1997'", "What was in 1997?", "SELECT a FROM t WHERE day LIKE '1997%'"),
        ("SELECT a FROM t WHERE day = '1997-05-01'", "In May 1997?", "SELECT a FROM t WHERE day LIKE '1997-05%'"),
        ("SELECT a FROM t WHERE day = '1997-01-01'", "January 1997?", "SELECT a FROM t WHERE day LIKE '1997-01%'"),
        ("SELECT a FROM t WHERE day = '1997-05-01'", "On 1 May 1997?", None),
        ("SELECT a FROM t WHERE day = '1997-05-01'", "On 1997-05-01?", None),
        ("SELECT a FROM t WHERE day > '1997-01-01'", "After 1997?", None),
        ("SELECT a FROM t WHERE day = '1997-01-01'", "What was last year?", None),
    ],
)
def test_a_first_day_stands_for_its_period(sql: str, question: str, expected: str | None) -> None:
    assert whole_periods(sql, question) == (expected or sql)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT DATE_FORMAT(d, '%Y-%m') FROM t", "SELECT STRFTIME('%Y-%m', d) FROM t"),
        ("SELECT TO_CHAR(d, 'YYYY') FROM t", "SELECT STRFTIME('%Y', d) FROM t"),
        ("SELECT a FROM t WHERE MONTH(d) = 3", "SELECT a FROM t WHERE CAST(STRFTIME('%m', d) AS INTEGER) = 3"),
        ("SELECT CONCAT(a, ' ', b) FROM t", "SELECT a || ' ' || b FROM t"),
        ("SELECT  count(*)  FROM t", "SELECT  count(*)  FROM t"),
        ("SELECT YEAR( FROM t", "SELECT YEAR( FROM t"),
    ],
)
def test_functions_of_other_engines(sql: str, expected: str) -> None:
    assert in_sqlite(sql) == expected
