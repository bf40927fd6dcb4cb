"""Safety must not over-block: every gold query of Spider gives what an unguarded connection gives."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Limits

# Train queries that SQLite itself can't run on these databases; one of them is the gold of two questions.
FAIL_BY_THEMSELVES = 2


def test_every_gold_of_spider_runs_as_without_guard(spider_root: Path) -> None:
    golds = [
        (str(question["db_id"]), str(question["query"]))
        for name in ("train_spider.json", "dev.json")
        for question in json.loads((spider_root / name).read_text(encoding="utf-8"))
    ]
    assert len(golds) == 8034
    jobs = [(spider_root / "database" / name / f"{name}.sqlite", sql) for name, sql in dict.fromkeys(golds)]
    connections: dict[Path, sqlite3.Connection] = {}
    failed = []
    with Executor(workers=2, limits=Limits(seconds=60)) as executor:
        for (path, sql), outcome in zip(jobs, executor.map(jobs), strict=True):
            if path not in connections:
                connections[path] = sqlite3.connect(path)
                connections[path].text_factory = lambda raw: raw.decode(errors="ignore")
            try:
                cursor = connections[path].execute(sql)
                rows: list[Any] = cursor.fetchall()
            except sqlite3.Error as error:
                assert outcome.status == "error" and outcome.message == str(error), sql
                failed.append(sql)
                continue
            assert outcome.ok and not outcome.truncated, (sql, outcome.message)
            assert outcome.rows == rows, sql
            assert outcome.columns == tuple(entry[0] for entry in cursor.description), sql
    for connection in connections.values():
        connection.close()
    assert len(failed) == FAIL_BY_THEMSELVES
