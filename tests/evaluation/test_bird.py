"""BIRD's metrics on hand-worked results, and whole files scored on real databases."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sqlwright.databases import Executor
from sqlwright.errors import DataError
from sqlwright.evaluation.bird import (
    execution_match,
    mean_ratio,
    read_bird_golds,
    read_bird_predictions,
    reward,
    score_bird,
    soft_f1,
    time_pair,
)

FIXTURES = Path(__file__).parent / "fixtures"
RESULTS = json.loads((FIXTURES / "bird_results.json").read_text())


@pytest.mark.parametrize("case", RESULTS, ids=lambda case: case["why"])
def test_hand_worked_results(case: dict[str, list[list[object]]]) -> None:
    gold, predicted = ([tuple(row) for row in case[side]] for side in ("gold", "predicted"))
    assert execution_match(gold, predicted) == case["ex"]
    assert soft_f1(gold, predicted) == pytest.approx(case["soft_f1"])


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0, 0), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.999, 0.75), (1, 1), (1.99, 1), (2, 1.25), (50, 1.25)],
)
def test_rewards(ratio: float, expected: float) -> None:
    assert reward(ratio) == expected


def test_outliers_are_left_out_of_the_mean_ratio() -> None:
    assert mean_ratio([1.0, 1.2] * 10 + [50.0]) == pytest.approx(1.1)
    assert mean_ratio([2.0, 2.0]) == 2.0
    assert mean_ratio([3.0]) == 3.0


def test_timings_have_a_spread_and_fail_as_a_whole() -> None:
    taken: Iterator[float] = iter([1.0, 2.0, 1.0, 3.0, 1.0, 4.0])
    timing = time_pair(lambda sql: next(taken), "gold", "predicted", 3)
    assert timing is not None
    assert (timing.repetitions, timing.ratio, timing.low, timing.high) == (3, 3.0, 2.5, 3.5)
    assert timing.spread == pytest.approx(math.sqrt(2 / 3))
    assert time_pair(lambda sql: None, "gold", "predicted", 3) is None
    slow = time_pair(lambda sql: 4.0, "gold", "predicted", 100)
    assert slow is not None
    assert (slow.repetitions, slow.ratio, slow.spread) == (2, 1.0, 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "city"
    path.mkdir()
    connection = sqlite3.connect(path / "city.sqlite")
    connection.executescript((FIXTURES / "city.sql").read_text())
    connection.close()
    return tmp_path


GOLDS = [
    ("SELECT name FROM city", "simple"),
    ("SELECT DISTINCT country FROM city", "simple"),
    ("SELECT name, people FROM city", "moderate"),
    ("SELECT name FROM nowhere", "challenging"),
    ("SELECT name FROM city WHERE people < 0", "challenging"),
    ("SELECT name FROM city", "challenging"),
]
PREDICTIONS = [
    "SELECT name FROM city ORDER BY people",
    "SELECT country FROM city",
    "SELECT people, name FROM city",
    "SELECT name FROM city",
    " ",
]


def write(folder: Path, predictions: list[object]) -> tuple[Path, Path]:
    gold, predicted = folder / "gold.json", folder / "predicted.json"
    gold.write_text(json.dumps([{"SQL": s, "db_id": "city", "difficulty": d} for s, d in GOLDS]))
    predicted.write_text(json.dumps({str(i): p for i, p in enumerate(predictions)}))
    return gold, predicted


def test_a_file_is_scored_by_difficulty(folder: Path) -> None:
    gold, predicted = write(folder, [f"{sql}\t----- bird -----\tcity" for sql in PREDICTIONS])
    found = score_bird(gold, predicted, folder, repetitions=2)
    assert [(item["ex"], item["reason"]) for item in found.items] == [
        (True, ""),
        (True, ""),
        (False, "wrong_rows"),
        (False, "gold_failed"),
        (True, ""),
    ]
    report = found.reports["ex"]
    assert (report.overall.correct, report.overall.total, report.expected) == (3, 5, 6)
    assert report.by["category"]["simple"].value == 1.0
    assert list(report.by["category"]) == ["simple", "moderate", "challenging"]
    # the columns are swapped, yet every cell is found; in the first no row stands in its place
    assert found.items[2]["soft_f1"] == 1.0
    assert found.measures["soft_f1"]["simple"] == 0.5
    assert 0 < found.measures["r_ves_low"]["all"] <= found.measures["r_ves_high"]["all"]
    assert found.items[2]["r_ves"] == 0.0
    assert [item["timings"] for item in found.items] == [2, 2, 0, 0, 0]
    table = found.table()
    assert found.partial
    assert "scored 5 of 6" in table
    assert "challenging" in table
    assert json.loads(found.to_json())["reports"]["ex"]["overall"]["correct"] == 3


def test_predictions_without_a_database_or_text_are_read_as_the_original_does(folder: Path) -> None:
    _, predicted = write(folder, ["SELECT 1", None, "SELECT 2\t----- bird -----\tcity"])
    assert read_bird_predictions(predicted, 3) == ["SELECT 1", " ", "SELECT 2"]


def test_the_sql_form_of_predictions(tmp_path: Path) -> None:
    path = tmp_path / "predicted.sql"
    path.write_text("SELECT 1\n\nSELECT 2\tcity\n")
    assert read_bird_predictions(path, 3) == ["SELECT 1", "", "SELECT 2"]


def test_the_sql_form_of_golds(folder: Path) -> None:
    path = folder / "gold.sql"
    path.write_text("SELECT 1\tcity\nSELECT 2\tcity\n")
    assert [(g.sql, g.database, g.id) for g in read_bird_golds(path)] == [
        ("SELECT 1", "city", "0"),
        ("SELECT 2", "city", "1"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gold.sql", "SELECT 1\tcity\nSELECT 2\n", r"gold\.sql:2: expected `SQL<tab>db_id`"),
        ("gold.json", '[\n{"SQL": "SELECT 1"\n}', r"gold\.json:3: expected a JSON document"),
        ("gold.json", '{"SQL": "SELECT 1"}', r"gold\.json:1: expected a JSON list"),
        ("gold.json", '[{"SQL": "SELECT 1"}]', r"gold\.json, question 1: expected text under 'db_id'"),
        (
            "gold.jsonl",
            '{"SQL": "SELECT 1", "db_id": "a"}\n{"SQL": 3, "db_id": "a"}',
            r"gold\.jsonl:2: .*found 3",
        ),
        ("gold.jsonl", '{"SQL": \n', r"gold\.jsonl:1: expected one JSON object"),
        ("gold.json", '["SELECT 1"]', r"question 1: expected a JSON object, found str"),
    ],
)
def test_malformed_golds(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_bird_golds(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["SELECT 1"]', "expected a JSON object"),
        ('{"0": "a",\n"1" "b"}', r"predicted\.json:2: expected a JSON document"),
        ('{"0": "a", "1": "b", "2": "c"}', "expected at most 2 predictions, found 3"),
        ('{"1": "a", "0": "b"}', "ascending order"),
    ],
)
def test_malformed_predictions(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "predicted.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_bird_predictions(path, 2)


def test_a_missing_database_is_named(folder: Path) -> None:
    gold, predicted = write(folder, ["SELECT 1"])
    gold.write_text('[{"SQL": "SELECT 1", "db_id": "village"}]')
    with pytest.raises(DataError, match="village"):
        score_bird(gold, predicted, folder)


def test_all_golds_of_mini_dev_parse(archive: Callable[[str], Path], tmp_path: Path) -> None:
    """The databases aren't at hand; the engine's parser gets as far as the first table it doesn't know."""
    golds = read_bird_golds(archive("bird") / "bird" / "mini_dev_sqlite.json")
    assert len(golds) == 500
    assert {g.difficulty for g in golds} == {"simple", "moderate", "challenging"}
    empty = tmp_path / "empty.sqlite"
    sqlite3.connect(empty).executescript("VACUUM")
    with Executor(workers=2) as executor:
        classes = [outcome.error_class for outcome in executor.map((empty, gold.sql) for gold in golds)]
    assert set(classes) == {"unknown_table"}
