"""A run's own answers are a prediction file to each benchmark of SQL, in the questions' order."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlwright.errors import DataError
from sqlwright.evaluation.bird import read_bird_predictions
from sqlwright.evaluation.spider_files import read_gold_file, read_prediction_file
from sqlwright.evaluation.sql_eval import read_sql_eval_predictions
from sqlwright.records import Completion, write_records

SQL = ["SELECT 'a\tb'\nFROM t", "", "SELECT 'a\u2028b'"]


@pytest.fixture
def completions(tmp_path: Path) -> Path:
    path = tmp_path / "completions.jsonl"
    rows = [Completion(str(i), "one", "```sql", sql, tokens=1, seconds=0.1) for i, sql in enumerate(SQL)]
    write_records(path, rows)
    return path


def test_they_are_read_whole_and_in_order(completions: Path, tmp_path: Path) -> None:
    (tmp_path / "gold.sql").write_text("SELECT a\tone\nSELECT b\tone\n\nSELECT c\ttwo\n")
    assert read_sql_eval_predictions(completions) == SQL
    assert read_bird_predictions(completions, 3) == SQL
    assert read_prediction_file(completions, read_gold_file(tmp_path / "gold.sql")) == SQL


def test_other_lines_and_counts_are_refused(completions: Path, tmp_path: Path) -> None:
    (tmp_path / "gold.sql").write_text("SELECT a\tone\n")
    with pytest.raises(DataError, match="expected 1 predictions, one for each of the golds, found 3"):
        read_prediction_file(completions, read_gold_file(tmp_path / "gold.sql"))
    with pytest.raises(DataError, match="at most 2 predictions"):
        read_bird_predictions(completions, 2)
    completions.write_text('{"sql": "SELECT 1"}\n{"query": "SELECT 1"}\n')
    with pytest.raises(DataError, match=r"completions\.jsonl:2: expected text under 'sql'"):
        read_sql_eval_predictions(completions)
