"""Any text is survived, and any value comes back as it is."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlwright.databases import Executor, Limits

WORDS = """
SELECT WITH RECURSIVE AS FROM WHERE JOIN UNION ALL DELETE INSERT INTO UPDATE SET DROP TABLE CREATE TEMP VIEW
ATTACH PRAGMA VACUUM BEGIN COMMIT EXPLAIN VALUES RETURNING REPLACE t x 1 'a' " ' ( ) , ; -- /* */ * =
"""
statements = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([*WORDS.split(), "\n"]), max_size=14).map(" ".join),
    st.sampled_from(["DELETE FROM t", "DROP TABLE t", "CREATE TABLE u (x)", "SELECT x FROM t"]).flatmap(
        lambda sql: st.integers(0, len(sql)).flatmap(
            lambda at: st.text(max_size=3).map(lambda noise: sql[:at] + noise + sql[at:])
        )
    ),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=30),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (7)")
    connection.close()
    return path


@pytest.fixture(scope="module")
def shared() -> Iterator[Executor]:
    with Executor(workers=1, limits=Limits(seconds=5)) as executor:
        yield executor


@given(sql=statements)
@settings(max_examples=400)
def test_any_text_is_survived(shared: Executor, small: Path, sql: str) -> None:
    before = hashlib.sha256(small.read_bytes()).digest()
    outcome = shared.run(small, sql)
    assert outcome.ok == (outcome.error_class == "")
    assert shared.run(small, "SELECT x FROM t").rows == [(7,)]
    assert hashlib.sha256(small.read_bytes()).digest() == before
    assert list(small.parent.iterdir()) == [small]


@given(rows=st.lists(st.tuples(values, values), min_size=1, max_size=5))
@settings(max_examples=60)
def test_any_value_comes_back_as_it_is(
    shared: Executor, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, object]]
) -> None:
    path = tmp_path_factory.mktemp("values") / "values.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE v (a, b)")
    connection.executemany("INSERT INTO v VALUES (?, ?)", rows)
    connection.commit()
    connection.close()
    found = shared.run(path, "SELECT a, b FROM v ORDER BY rowid").require().rows
    assert found == rows
    assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in rows]
