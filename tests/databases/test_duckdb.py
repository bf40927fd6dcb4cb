"""DuckDB: attacks on a file leave no trace, what reads runs, and limits hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from catalogue import problems

from sqlwright.databases import Executor, Limits

duckdb = pytest.importorskip("duckdb", reason="needs DuckDB: pip install '.[duckdb]'")
ATTACKS = Path(__file__).parent / "attacks" / "duckdb"


@pytest.fixture
def attacked(tmp_path: Path) -> Path:
    path = tmp_path / "attacked.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute((ATTACKS / "database.sql").read_text(encoding="utf-8"))
    return path


def test_attacks(attacked: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    wrong = problems(ATTACKS / "attacks.jsonl", attacked, tmp_path, "SELECT name FROM singer ORDER BY id LIMIT 1")
    assert not wrong, "\n" + "\n".join(wrong)
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()} == before


def test_a_file_is_found_by_its_ending_or_by_a_url(attacked: Path, tmp_path: Path) -> None:
    with Executor(workers=1) as executor:
        for place in (attacked, str(attacked), f"duckdb://{attacked}"):
            assert executor.run(place, "SELECT count(*) FROM singer").rows == [(4,)]
        outcome = executor.run(tmp_path / "none.duckdb", "SELECT 1")
    assert "can't be read as a DuckDB database" in outcome.message
    assert not (tmp_path / "none.duckdb").exists()


def test_results_are_cut_at_the_limits(attacked: Path) -> None:
    with Executor(workers=1) as executor:
        outcome = executor.run(attacked, "FROM range(900)", limits=Limits(rows=7))
        assert (outcome.truncated, outcome.rows) == (True, [(n,) for n in range(7)])
        assert not executor.run(attacked, "FROM range(900)", limits=Limits(rows=900)).truncated
