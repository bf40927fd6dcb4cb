"""WikiSQL: SQL from its form gives what the official scorer computes on the published kind of database."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from reading import FILES, dropped

from sqlwright.databases import Executor, describe
from sqlwright.datasets import READERS, Dataset, check_golds
from sqlwright.errors import DataError

WIKISQL = FILES / "wikisql"


def make_published_database(path: Path) -> None:
    """Write the tables as the benchmark does: columns `col0`, `col1` …, all text in lower case."""
    connection = sqlite3.connect(path)
    for line in (WIKISQL / "dev.tables.jsonl").read_text(encoding="utf-8").splitlines()[:2]:
        table = json.loads(line)
        name = "table_" + table["id"].replace("-", "_")
        columns = ", ".join(f"col{index} {kind}" for index, kind in enumerate(table["types"]))
        connection.execute(f"CREATE TABLE {name} ({columns})")
        for row in table["rows"]:
            cells = [cell.lower() if isinstance(cell, str) else cell for cell in row]
            connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", cells)
    connection.commit()
    connection.close()


def official_result(path: Path, question: dict[str, Any]) -> list[Any]:
    """Return what the official scorer computes: values in lower case, numbers read from text."""
    form, table = question["sql"], "table_" + question["table_id"].replace("-", "_")
    connection = sqlite3.connect(path)
    kinds = [row[2].lower() for row in connection.execute(f"PRAGMA table_info({table})")]
    function = ("", "MAX", "MIN", "COUNT", "SUM", "AVG")[form["agg"]]
    wheres, values = [], []
    for column, operator, value in form["conds"]:
        wheres.append(f"col{column} {'=><'[operator]} ?")
        plain = lower(value)
        values.append(float(plain.replace(",", "")) if kinds[column] == "real" and isinstance(plain, str) else plain)
    where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
    rows = connection.execute(f"SELECT {function}(col{form['sel']}) FROM {table}{where}", values).fetchall()
    connection.close()
    return sorted((row[0] for row in rows), key=str)


def lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def read(folder: Path) -> Dataset:
    return READERS["wikisql"]([folder / "dev.jsonl"])


def test_results_are_the_official_ones(cache: Path, tmp_path: Path) -> None:
    make_published_database(tmp_path / "official.db")
    dataset = read(WIKISQL)
    published = [json.loads(line) for line in (WIKISQL / "dev.jsonl").read_text(encoding="utf-8").splitlines()[:7]]
    assert [q.text for q in dataset.questions] == [question["question"].strip() for question in published]
    with Executor(workers=1) as executor:
        assert len(check_golds(dataset, executor).questions) == 7
        for question, raw in zip(dataset.questions, published, strict=True):
            rows = executor.run(dataset.databases[question.database], question.golds[0]).rows
            ours = sorted((lower(row[0]) for row in rows), key=str)
            assert ours == official_result(tmp_path / "official.db", raw), question.golds
            assert ours not in ([], [None]), "each of these questions has an answer"


def test_sql_is_made_with_the_headers_and_the_tables_spelling(cache: Path) -> None:
    dataset = read(WIKISQL)
    golds = [q.golds[0] for q in dataset.questions]
    assert golds[0] == """SELECT "Notes" FROM table_1_1000_1 WHERE "State/territory" = 'South Australia'"""
    assert golds[1] == 'SELECT COUNT("State/territory") FROM table_1_1000_1 WHERE "No." > 20'
    assert golds[3].endswith("""WHERE "State/territory" = 'Île-de-France' AND "No." < 100""")
    schema = describe(dataset.databases[dataset.questions[5].database], 0)
    assert [column.name for column in schema.tables[0].columns] == ["Name", "Points", "name 2", "col3"]
    assert len(dataset.databases) == 2


def test_what_is_malformed_is_named_by_line(cache: Path) -> None:
    file = WIKISQL / "dev.jsonl"
    assert dropped(read(WIKISQL), file) == [
        (f"{WIKISQL / 'dev.tables.jsonl'}:4", "bad JSON"),
        (":8", "unknown table"),
        (":9", "bad query"),
        (":10", "bad query"),
        (":11", "bad query"),
        (":12", "bad table"),
        (":13", "bad query"),
        (":14", "bad JSON"),
    ]


def test_rows_and_whole_tables_from_the_published_database(cache: Path, tmp_path: Path) -> None:
    shutil.copy(WIKISQL / "dev.jsonl", tmp_path)
    with pytest.raises(DataError, match=r"expected dev\.tables\.jsonl or dev\.db beside it"):
        read(tmp_path)
    make_published_database(tmp_path / "dev.db")
    bare = read(tmp_path)
    assert [q.golds[0] for q in bare.questions][
        5
    ] == """SELECT AVG("col1") FROM table_2_2000_7 WHERE "col0" = 'o''brien'"""
    tables = [json.loads(line) for line in (WIKISQL / "dev.tables.jsonl").read_text(encoding="utf-8").splitlines()[:2]]
    lines = [json.dumps({key: value for key, value in table.items() if key != "rows"}) for table in tables]
    (tmp_path / "dev.tables.jsonl").write_text("\n".join(lines), encoding="utf-8")
    named = read(tmp_path)
    assert '"Points"' in named.questions[5].golds[0]
    with Executor(workers=1) as executor:
        for one in (bare, named):
            rows = executor.run(one.databases[one.questions[5].database], one.questions[5].golds[0]).rows
            assert rows == [(4.0,)]
