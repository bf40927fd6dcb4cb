"""The packaged slice: what it promises about itself, and that its script makes it again byte by byte."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sqlwright.databases import Executor, describe
from sqlwright.datasets import check_golds, package_path, read_spider, schema_overlap, with_hardness
from sqlwright.records import HARDNESS

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "make_quickstart.py"


def test_the_numbers_of_the_slice() -> None:
    train = read_spider([package_path("quickstart/train.json")])
    evaluation = read_spider([package_path("quickstart/evaluate.json")])
    assert Counter(Counter(q.database for q in train.questions).values()) == {12: 20}
    assert Counter(Counter(q.database for q in evaluation.questions).values()) == {10: 6}
    assert not train.dropped
    assert not evaluation.dropped
    assert set(train.databases).isdisjoint(evaluation.databases)
    assert train.tables is not None
    described = {entry["db_id"] for entry in json.loads(train.tables.read_text())}
    assert described == set(train.databases) | set(evaluation.databases)
    assert {q.hardness for q in with_hardness(evaluation).questions} == set(HARDNESS)
    assert {q.hardness for q in with_hardness(train).questions} == set(HARDNESS)


def test_every_gold_runs_and_returns_rows() -> None:
    dataset = read_spider([package_path("quickstart/train.json"), package_path("quickstart/evaluate.json")])
    with Executor(workers=2) as executor:
        assert not check_golds(dataset, executor).dropped
        jobs = [(dataset.databases[q.database], q.golds[0]) for q in dataset.questions]
        assert all(outcome.rows for outcome in executor.map(jobs))


def test_no_schema_stands_on_both_sides() -> None:
    sides = []
    for name in ("train", "evaluate"):
        databases = read_spider([package_path(f"quickstart/{name}.json")]).databases
        sides.append([[t.name for t in describe(path, samples=0).tables] for path in databases.values()])
    assert max(schema_overlap(a, b) for a, b in itertools.product(*sides)) < 0.5


def test_package_data_is_small_and_carries_its_licences() -> None:
    for name, words in (("quickstart", "CC BY-SA 4.0"), ("chinook", "Luis Rocha")):
        folder = package_path(f"{name}/LICENCE.md").parent
        assert words in (folder / "LICENCE.md").read_text()
        assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 2_500_000
    assert len(describe(package_path("chinook/chinook.sqlite"), samples=0).tables) == 11


def test_the_slice_is_rebuilt_byte_by_byte(spider_root: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), str(spider_root), str(tmp_path)], check=True, timeout=60)
    shipped = package_path("quickstart")
    made = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    kept = {p.relative_to(shipped): p.read_bytes() for p in shipped.rglob("*") if p.is_file()}
    kept.pop(Path("LICENCE.md"))
    assert made == kept


def test_no_question_of_spider_dev_and_no_schema_of_it(spider_root: Path) -> None:
    dev = {entry["question"] for entry in json.loads((spider_root / "dev.json").read_text())}
    tables = {e["db_id"]: e["table_names_original"] for e in json.loads((spider_root / "tables.json").read_text())}
    dev_databases = {entry["db_id"] for entry in json.loads((spider_root / "dev.json").read_text())}
    for name in ("train", "evaluate"):
        dataset = read_spider([package_path(f"quickstart/{name}.json")])
        assert dev.isdisjoint(q.text for q in dataset.questions)
        for database, other in itertools.product(dataset.databases, dev_databases):
            assert schema_overlap(tables[database], tables[other]) < 0.5, (database, other)
