"""Parquet: the columns of the JSON lines; without pyarrow the error says how to get it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sqlwright.datasets import READERS
from sqlwright.errors import DataError

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402 - only where pyarrow is there


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_rows_arrive(shops: Path, tmp_path: Path) -> None:
    good = {"question": "Läden?", "sql": ["SELECT 1", "SELECT 2"], "database": "shops", "evidence": "all"}
    rows = [good, {**good, "question": None}, {**good, "database": "nowhere"}, {**good, "sql": [], "question": "B?"}]
    path = write(tmp_path / "q.parquet", [{**row, "history": [["A?", "SELECT 0"]]} for row in rows])
    dataset = READERS["parquet"]([path], shops)
    (question,) = dataset.questions
    assert (question.text, question.golds, question.evidence) == ("Läden?", ("SELECT 1", "SELECT 2"), "all")
    assert (question.history, question.source) == ((("A?", "SELECT 0"),), "q.parquet#0")
    assert [(d.where, d.kind) for d in dataset.dropped] == [
        (f"{path}#1", "missing key"),
        (f"{path}#2", "unknown database"),
        (f"{path}#3", "empty value"),
    ]


def test_columns_that_are_missing_and_files_that_are_damaged(shops: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "q.parquet", [{"question": "A?", "database": "shops"}])
    with pytest.raises(DataError, match="expected a column for sql, found the columns question, database"):
        READERS["parquet"]([path], shops)
    assert READERS["parquet"]([path], shops, need_golds=False).questions[0].golds == ()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="found a damaged one"):
        READERS["parquet"]([path], shops)


def test_without_pyarrow(shops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "q.parquet", [{"question": "A?", "database": "shops", "sql": "SELECT 1"}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'sqlwright\[parquet\]'"):
        READERS["parquet"]([path], shops)
