"""sql-eval: official verdicts against recorded ones of the original on pandas, golds, and whole files."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import Server, make_postgres_database

from sqlwright.datasets.sql_eval_golds import fixed_golds, official_golds
from sqlwright.errors import DatabaseError, DataError
from sqlwright.evaluation.sql_eval import read_sql_eval_golds, read_sql_eval_predictions, score_sql_eval
from sqlwright.evaluation.sql_eval_frames import FrameError, exact_match, make_frame, subset_match

FIXTURES = Path(__file__).parent / "fixtures"


def official_verdict(case: dict[str, object]) -> str:
    gold, predicted = (make_frame(*case[side]) for side in ("gold", "predicted"))  # type: ignore[misc]
    question, category = str(case["question"]), str(case["category"])
    try:
        if exact_match(gold, predicted, category, question, str(case["gold_sql"]), str(case["sql"])):
            return "exact"
        return "subset" if subset_match(gold, predicted, category, question) else "wrong"
    except FrameError:
        return "error"


def test_verdicts_of_the_original_on_pandas() -> None:
    """500 random pairs, judged by the original's functions on pandas 2.2.3 and numpy 2.2.6."""
    lines = (FIXTURES / "sql_eval_pandas.jsonl").read_text().splitlines()
    cases = [json.loads(line) for line in lines]
    assert len(cases) == 500
    assert [c for c in cases if official_verdict(c) != c["verdict"]] == []
    assert {c["verdict"] for c in cases} == {"exact", "subset", "wrong", "error"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    connection = sqlite3.connect(tmp_path / "city.sqlite")
    connection.executescript((FIXTURES / "city.sql").read_text())
    connection.close()
    return tmp_path


def write(folder: Path, rows: list[tuple[str, str, str, str]]) -> tuple[Path, Path]:
    """Write rows of (category, question, gold, prediction)."""
    gold, predicted = folder / "gold.csv", folder / "predicted.csv"
    with gold.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["db_name", "query_category", "question", "query"])
        writer.writerows(("city", *row[:3]) for row in rows)
    with predicted.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["generated_query"])
        writer.writerows([row[3]] for row in rows)
    return gold, predicted


def test_the_modes_differ_on_the_known_faults_only(folder: Path) -> None:
    names = "SELECT name FROM city"
    rows = [
        ("ratio", "the same", names, names),
        ("ratio", "a column more", names, "SELECT country, name FROM city"),
        ("ratio", "any choice", "SELECT {name, country} FROM city", "SELECT country, name FROM city"),
        ("ratio", "one row and none", "SELECT name FROM city LIMIT 1", "SELECT name FROM city LIMIT 0"),
        ("ratio", "broadcast", "SELECT 1", "SELECT 1 FROM city"),
        ("ratio", "repeated rows", "SELECT country FROM city", "SELECT DISTINCT country FROM city"),
        ("ratio", "float noise", "SELECT 3, 0.3", "SELECT 3, 0.1 + 0.2"),
        ("ratio", "two groups", "SELECT {name}, {country} FROM city", "SELECT name, country FROM city"),
        ("ratio", "a failing alternative", f"SELECT x FROM y; {names}", names),
        ("order_by", "list", f"{names} ORDER BY people DESC", f"{names} ORDER BY people"),
        ("ratio", "wrong column", names, "SELECT country FROM city"),
        ("ratio", "no SQL", names, "sorry"),
    ]
    found = score_sql_eval(*write(folder, rows), folder)
    verdicts = [(item["official_exact"], item["official"], item["fixed_exact"], item["fixed"]) for item in found.items]
    assert verdicts == [
        (True, True, True, True),
        (False, True, False, True),
        (True, True, True, True),
        (True, True, False, False),
        (True, True, False, False),
        (True, True, False, False),
        (False, True, True, True),
        (False, False, True, True),
        (False, False, True, True),
        (True, True, False, False),
        (False, False, False, False),
        (False, False, False, False),
    ]
    assert found.notes == ("the modes differ on 6 questions: 3, 4, 5, 7, 8, 9",)
    assert [item["reason"] for item in found.items[-3:]] == ["wrong_order", "wrong_rows", "unparsable"]
    assert found.reports["official"].reasons["gold_failed"] == 2
    assert found.reports["fixed"].by["category"]["order_by"].total == 1
    table = found.table()
    assert "official_exact" in table
    assert "the modes differ on 6 questions" in table
    assert len(json.loads(found.to_json())["items"]) == 12


def test_all_published_golds_are_right_in_both_modes(archive: Callable[[str], Path], tmp_path: Path) -> None:
    root = archive("sql-eval-basic") / "sql-eval"
    gold = root / "instruct_basic_sqlite.csv"
    predicted = tmp_path / "predicted.json"
    predicted.write_text(json.dumps([official_golds(g.query)[0] for g in read_sql_eval_golds(gold)]))
    found = score_sql_eval(gold, predicted, root / "databases")
    assert [(item["index"], item["official"], item["fixed"]) for item in found.items] == [
        (i, True, True) for i in range(40)
    ]
    assert {name: report.overall.value for name, report in found.reports.items()} == dict.fromkeys(found.reports, 1.0)


def test_all_published_golds_are_right_on_postgres(
    archive: Callable[[str], Path], postgres: Server, tmp_path: Path
) -> None:
    """Golds with the current date find rows relative to 2026-11-21, and none long after: both sides find the same."""
    root = archive("sql-eval-basic") / "sql-eval"
    gold = root / "instruct_basic_postgres.csv"
    golds = read_sql_eval_golds(gold)
    for name in {one.database for one in golds}:
        script = (root / "databases" / f"{name}.postgres.sql").read_text(encoding="utf-8")
        make_postgres_database(postgres, name, script)
    predicted = tmp_path / "predicted.json"
    predicted.write_text(json.dumps([official_golds(one.query)[0] for one in golds]))
    found = score_sql_eval(gold, predicted, postgres.url())
    assert [(item["official"], item["fixed"]) for item in found.items] == [(True, True)] * 40
    assert {name: report.overall.value for name, report in found.reports.items()} == dict.fromkeys(found.reports, 1.0)
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(["DROP TABLE users"] * 20 + ["SELECT 1 AS x"] * 20))
    assert score_sql_eval(gold, wrong, postgres.url()).reports["fixed"].overall.value == 0.0


def test_a_server_without_the_database_is_an_error(folder: Path, postgres: Server) -> None:
    gold, predicted = write(folder, [("ratio", "q", "SELECT 1", "SELECT 1")])
    with pytest.raises(DatabaseError, match='database "city" does not exist'):
        score_sql_eval(gold, predicted, postgres.url())


def test_the_postgres_questions_are_read_and_expanded(archive: Callable[[str], Path]) -> None:
    golds = read_sql_eval_golds(archive("sql-eval-basic") / "sql-eval" / "instruct_basic_postgres.csv")
    assert len(golds) == 40
    assert sum(len(fixed_golds(g.query)) for g in golds) == 41
    assert all(fixed_golds(g.query) == official_golds(g.query) for g in golds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("db_name,question,query\n", r"gold\.csv:1: expected a header with db_name, query_category"),
        ("db_name,query_category,question,query\na,b,c\n", r"gold\.csv:2: expected 4 cells, found 3"),
        (
            'db_name,query_category,question,query\na,b,"c\nd",e\na,b,c,\n',
            r"gold\.csv:4: expected text in .*query",
        ),
        ('db_name,query_category,question,query\na,b,"c"d,e\n', r"gold\.csv:2: expected CSV"),
        ("", r"gold\.csv:1: expected a header .* found none"),
    ],
)
def test_malformed_golds(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gold.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_sql_eval_golds(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "a,b\n1,2\n", r"p\.csv:1: expected a column named generated_query"),
        ("p.json", '{"a": 1}', r"p\.json:1: expected a JSON list"),
        ("p.json", '["a", 3]', r"p\.json, entry 2: expected text, found int"),
        ("p.json", '["a",\n', r"p\.json:2: expected a JSON document"),
    ],
)
def test_malformed_predictions(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_sql_eval_predictions(path)


def test_counts_must_agree(folder: Path) -> None:
    gold, predicted = write(folder, [("ratio", "q", "SELECT 1", "SELECT 1")] * 3)
    predicted = predicted.with_suffix(".sql")
    predicted.write_text("SELECT 1\nSELECT 1\n")
    with pytest.raises(DataError, match=r"predicted\.sql:3: expected 3 predictions"):
        score_sql_eval(gold, predicted, folder)


def test_a_bad_gold_is_named_with_its_line(folder: Path) -> None:
    gold, predicted = write(folder, [("ratio", "q", "SELECT a GROUP BY {}", "SELECT 1")])
    with pytest.raises(DataError, match=r"gold\.csv:2: expected a group"):
        score_sql_eval(gold, predicted, folder)
