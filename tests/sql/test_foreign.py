"""Queries for other engines in SQLite's words: they can't be run as they are, and find what they ask for afterwards."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from sqlwright.sql.foreign import in_sqlite

LINES = (Path(__file__).parent / "fixtures" / "foreign.tsv").read_text(encoding="utf-8").splitlines()[1:]
TABLE = """
    CREATE TABLE t (s TEXT, d TEXT, ts TEXT, a REAL, b INT, n INT, y INT);
    INSERT INTO t VALUES ('Abc', '2026-11-20', '2026-11-20 10:00:00', 2.5, 3, NULL, 1);
    INSERT INTO t VALUES ('xbz', '2025-01-02', '2025-01-02 11:00:00', 4, 0, 7, 1);
"""


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition("\t")[0])
def test_what_it_asks_for_is_found(line: str) -> None:
    sql, _, rows = line.partition("\t")
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLE)
    with pytest.raises(sqlite3.Error):
        connection.execute(sql).fetchall()
    assert [list(row) for row in connection.execute(in_sqlite(sql))] == json.loads(rows)
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT s, a / b FROM t WHERE s LIKE 'A%' ORDER BY a DESC LIMIT 1",
        "SELECT STRFTIME('%Y', d), SUBSTR(s, 1, 2), IIF(a > 1, 1, 0) FROM t",
        "SELECT MEDIAN(a) FROM t",
        "SELECT s FROM t WHERE s ~",
        "not SQL at all",
    ],
)
def test_what_is_no_other_engines_stays(sql: str) -> None:
    assert in_sqlite(sql) == sql
