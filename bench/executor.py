"""What safety costs: the executor against unguarded `sqlite3`, both with a fresh connection for every query.

Prints, from one run, microseconds a query of both and of `map` (medians of rounds that take turns).
Exits with 1 when the difference is 1 ms or more.

    python bench/executor.py DATABASE [--sql "SELECT ..."] [--queries 500] [--workers 2]
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sqlwright.databases import Executor

ROUNDS = 9


def unguarded(database: Path, sql: str) -> list[object]:
    connection = sqlite3.connect(database)
    connection.text_factory = lambda raw: raw.decode(errors="ignore")
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def microseconds(call: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("database", type=Path)
    parser.add_argument("--sql", default="SELECT name FROM sqlite_master")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    database, sql, queries = options.database, options.sql, options.queries

    start = time.perf_counter()
    with Executor(workers=options.workers) as executor:
        cold = executor.run(database, sql).require()
        started = time.perf_counter() - start
        if cold.rows != unguarded(database, sql):
            print("the rows differ from those of an unguarded connection", file=sys.stderr)
            return 1
        each = queries // ROUNDS + 1
        plain, guarded, mapped = [], [], []
        for _ in range(ROUNDS):
            plain.append(microseconds(lambda: unguarded(database, sql), each))
            guarded.append(microseconds(lambda: executor.run(database, sql), each))
            jobs = [(database, sql)] * each
            mapped.append(microseconds(lambda jobs=jobs: list(executor.map(jobs)), 1) / each)  # type: ignore[misc]
    base, safe, many = map(statistics.median, (plain, guarded, mapped))
    print(f"first query, worker started   {started * 1000:8.1f} ms")
    print(f"unguarded connection          {base:8.0f} µs a query")
    print(f"executor, one at a time       {safe:8.0f} µs a query   {safe / base:.2f}x, +{safe - base:.0f} µs")
    print(f"executor, map, {options.workers} workers      {many:8.0f} µs a query   {many / base:.2f}x")
    return 0 if safe - base < 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
