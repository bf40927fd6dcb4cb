"""The text files of the official scorer: what is read, and what each malformed file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlwright.errors import DataError
from sqlwright.evaluation.spider_files import read_gold_file, read_pairs, read_prediction_file

GOLD = "SELECT a\tone\nSELECT b\ttwo\n"
DIALOGUES = "SELECT a\tone\nSELECT b\tone\n\nSELECT c\ttwo\n"


@pytest.fixture
def predictions_of(tmp_path: Path):  # type: ignore[no-untyped-def]
    def read(gold: str | bytes, predictions: str | bytes) -> list[str]:
        for name, content in (("gold.sql", gold), ("predictions.sql", predictions)):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return [pair.prediction for pair in read_pairs(tmp_path / "gold.sql", tmp_path / "predictions.sql")]

    return read


@pytest.mark.parametrize(
    ("gold", "predictions", "expected"),
    [
        (GOLD, "SELECT 1\nSELECT 2\n", ["SELECT 1", "SELECT 2"]),
        (GOLD, "SELECT 1\nSELECT 2", ["SELECT 1", "SELECT 2"]),
        (GOLD, "SELECT 1\tone\nSELECT 2\ttwo\n", ["SELECT 1", "SELECT 2"]),
        (GOLD, "\ufeffSELECT 1\r\nSELECT 2\r\n", ["SELECT 1", "SELECT 2"]),
        (GOLD.replace("\n", "\r\n"), "SELECT 1\rSELECT 2\n", ["SELECT 1", "SELECT 2"]),
        ("\ufeff" + GOLD, "SELECT 1\nSELECT 2\n\n\n", ["SELECT 1", "SELECT 2"]),
        (GOLD + "\n\n", "SELECT 1\nSELECT 2\n", ["SELECT 1", "SELECT 2"]),
        ("\n" + GOLD, "\nSELECT 1\nSELECT 2\n", ["SELECT 1", "SELECT 2"]),
        (GOLD, "\nSELECT 2\n", ["", "SELECT 2"]),
        (GOLD, "SELECT 1\n\n", ["SELECT 1", ""]),
        (GOLD, "SELECT 'a\u2028b'\nSELECT 2\n", ["SELECT 'a\u2028b'", "SELECT 2"]),
        (DIALOGUES, "SELECT 1\nSELECT 2\n\nSELECT 3\n", ["SELECT 1", "SELECT 2", "SELECT 3"]),
        (DIALOGUES, "SELECT 1\n\n\nSELECT 3\n", ["SELECT 1", "", "SELECT 3"]),
        (DIALOGUES, "\nSELECT 1\nSELECT 2\n\n\nSELECT 3", ["SELECT 1", "SELECT 2", "SELECT 3"]),
    ],
)
def test_predictions(predictions_of, gold: str, predictions: str, expected: list[str]) -> None:  # type: ignore[no-untyped-def]
    assert predictions_of(gold, predictions) == expected


@pytest.mark.parametrize(
    ("gold", "predictions", "message"),
    [
        (GOLD, "SELECT 1\n", r"predictions\.sql:2: expected 2 lines.*line 2"),
        (GOLD, "", r"predictions\.sql:1: expected 2 lines"),
        (GOLD, "SELECT 1\nSELECT 2\nSELECT 3\n", r"predictions\.sql:3: expected 2 lines.*'SELECT 3'"),
        (GOLD, b"SELECT 1\n\xff\n", r"predictions\.sql:2: .*UTF-8.*0xff"),
        (GOLD, b"SQLite format 3\x00", r"binary"),
        ("SELECT a\n", "SELECT 1\n", r"gold\.sql:1: .*TAB"),
        ("SELECT a\tone\nSELECT\tb FROM t\n", "SELECT 1\n", r"gold\.sql:2: .*TAB"),
        ("\tone\n", "SELECT 1\n", r"gold\.sql:1"),
        ("SELECT a\t../one\n", "SELECT 1\n", r"gold\.sql:1"),
        ("\n\n", "SELECT 1\n", "empty"),
        (DIALOGUES, "SELECT 1\nSELECT 2\nSELECT 3\n", r"predictions\.sql:1: expected session 1 with 2"),
        (DIALOGUES, "SELECT 1\nSELECT 2\n", r"predictions\.sql:3: expected session 2 with 1"),
        (DIALOGUES, "SELECT 1\nSELECT 2\n\nSELECT 3\n\nSELECT 4\n", r"predictions\.sql:6: expected 2 sessions"),
    ],
)
def test_what_is_wrong_is_told(predictions_of, gold: str, predictions: str | bytes, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=message):
        predictions_of(gold, predictions)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.sql"):
        read_gold_file(tmp_path / "absent.sql")


def test_sessions_and_turns(tmp_path: Path) -> None:
    (tmp_path / "gold.sql").write_text(DIALOGUES)
    golds = read_gold_file(tmp_path / "gold.sql")
    assert [(gold.session, gold.turn, gold.line) for gold in golds] == [(1, 1, 1), (1, 2, 2), (2, 1, 4)]


def test_a_tab_in_the_gold_sql_is_kept(tmp_path: Path) -> None:
    (tmp_path / "gold.sql").write_text("SELECT\ta FROM t\tone\n")
    assert read_gold_file(tmp_path / "gold.sql")[0][:2] == ("SELECT\ta FROM t", "one")


def test_golds_of_spider(spider_root: Path) -> None:
    golds = read_gold_file(spider_root / "dev_gold.sql")
    assert len(golds) == 1034
    assert {gold.session for gold in golds} == {1}
    assert read_prediction_file(spider_root / "dev_gold.sql", golds) == [gold.gold for gold in golds]
