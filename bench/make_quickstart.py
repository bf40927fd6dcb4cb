"""Cut the quickstart slice out of Spider, by a rule and a seed: 240 training and 60 evaluation questions.

    python bench/make_quickstart.py SPIDER_FOLDER OUT_FOLDER

The rule, with nothing chosen by looking at a result:

1. Only databases of `train_spider.json`; Spider's dev and test questions stay out, so that the quickstart can
   never leak into a Spider score. Databases that share half of their table names
   with one of Spider dev stay out too.
2. Spider's own SQLite file (not one rebuilt from other sources, as MANIFEST.csv says) of at most 200 KB;
   3 to 8 tables, a row in every table, every gold of the database runs.
3. A question counts if its gold returns at least one row: with an empty gold, many wrong answers look right.
4. `random.Random(SEED)` draws 6 evaluation databases among those with at least 20 such questions, then 20
   training databases among the rest with at least 24, none sharing half of its table names with an evaluation
   database (Spider holds some schemas twice under two names).
5. Per evaluation database 10 questions with 10 different golds, per training database 12 with 12 different golds:
   a model learns to read schemas from many schemas, not from many questions about one.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import sqlite3
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from sqlwright.datasets import schema_overlap

SEED = 20261121
MAX_BYTES = 200 * 1024
TABLES = range(3, 9)
SAME_SCHEMA = 0.5
EVALUATION = {"databases": 6, "questions": 10, "at_least": 20}
TRAINING = {"databases": 20, "questions": 12, "at_least": 24}

Entry = dict[str, Any]


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    train, evaluation = cut(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"{len(train)} training and {len(evaluation)} evaluation questions written to {sys.argv[2]}")


def cut(spider: Path, out: Path) -> tuple[list[Entry], list[Entry]]:
    """Write `train.json`, `evaluate.json`, `tables.json` and `database/` to `out`; return both parts."""
    tables = {entry["db_id"]: entry for entry in _load(spider / "tables.json")}
    names = {db: entry["table_names_original"] for db, entry in tables.items()}
    dev = sorted({entry["db_id"] for entry in _load(spider / "dev.json")})
    pool = {
        db: entries
        for db, entries in usable(spider, names).items()
        if all(schema_overlap(names[db], names[other]) < SAME_SCHEMA for other in dev)
    }
    rng = random.Random(SEED)
    evaluation_dbs = _draw(rng, pool, EVALUATION)
    rest = {
        db: entries
        for db, entries in pool.items()
        if db not in evaluation_dbs
        and all(schema_overlap(names[db], names[other]) < SAME_SCHEMA for other in evaluation_dbs)
    }
    training_dbs = _draw(rng, rest, TRAINING)
    evaluation = [e for db in evaluation_dbs for e in _pick(rng, pool[db], EVALUATION)]
    training = [e for db in training_dbs for e in _pick(rng, pool[db], TRAINING)]
    databases = sorted([*evaluation_dbs, *training_dbs])
    _write(out / "train.json", training)
    _write(out / "evaluate.json", evaluation)
    _write(out / "tables.json", [tables[db] for db in databases])
    for db in databases:
        target = out / "database" / db / f"{db}.sqlite"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_file(spider, db), target)
    return training, evaluation


def usable(spider: Path, names: dict[str, list[str]]) -> dict[str, list[Entry]]:
    """Return the questions that count (rules 2 and 3) by database, in the order of the file."""
    by_database: dict[str, list[Entry]] = defaultdict(list)
    for entry in _load(spider / "train_spider.json"):
        by_database[entry["db_id"]].append(entry)
    with (spider / "MANIFEST.csv").open(encoding="utf-8", newline="") as lines:
        original = {row["db_id"] for row in csv.DictReader(lines) if row["source"].endswith("original sqlite")}
    kept = {}
    for db in sorted(original & by_database.keys()):
        if _file(spider, db).stat().st_size > MAX_BYTES or len(names[db]) not in TABLES:
            continue
        with sqlite3.connect(f"{_file(spider, db).as_uri()}?mode=ro", uri=True) as connection:
            connection.text_factory = bytes  # some text in Spider's databases is not UTF-8
            if not all(_rows(connection, f'SELECT 1 FROM "{table}" LIMIT 1') for table in names[db]):
                continue
            rows = [_rows(connection, entry["query"]) for entry in by_database[db]]
        connection.close()
        if None not in rows:
            kept[db] = [entry for entry, count in zip(by_database[db], rows, strict=True) if count]
    return kept


def _rows(connection: sqlite3.Connection, sql: str) -> int | None:
    """Return the number of rows, None if the query fails."""
    try:
        return len(connection.execute(sql).fetchall())
    except sqlite3.Error:
        return None


def _draw(rng: random.Random, pool: dict[str, list[Entry]], part: dict[str, int]) -> list[str]:
    names = sorted(db for db, entries in pool.items() if len(entries) >= part["at_least"])
    return sorted(rng.sample(names, part["databases"]))


def _pick(rng: random.Random, entries: list[Entry], part: dict[str, int]) -> list[Entry]:
    order = rng.sample(range(len(entries)), len(entries))
    chosen: list[int] = []
    golds: set[str] = set()
    for index in order:
        gold = " ".join(entries[index]["query"].lower().split())
        if len(chosen) < part["questions"] and gold not in golds:
            chosen.append(index)
            golds.add(gold)
    if len(chosen) < part["questions"]:
        raise SystemExit(f"{entries[0]['db_id']} has only {len(chosen)} different golds")
    return [entries[index] for index in sorted(chosen)]


def _file(spider: Path, db: str) -> Path:
    return (spider / "database" / db / f"{db}.sqlite").resolve()


def _load(path: Path) -> list[Entry]:
    entries: list[Entry] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def _write(path: Path, entries: list[Entry]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
