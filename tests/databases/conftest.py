"""A folder with the database that attacks are run on, and things they should not reach."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlwright.databases import Executor, Limits

ATTACKS = Path(__file__).parent / "attacks"


def make_database(path: Path, script: str) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "secret.txt").write_text("secret", encoding="utf-8")
    make_database(folder / "other.sqlite", "CREATE TABLE other (x); INSERT INTO other VALUES (1)")
    return make_database(folder / "singer.sqlite", (ATTACKS / "database.sql").read_text(encoding="utf-8"))


@pytest.fixture
def executor() -> Iterator[Executor]:
    with Executor(workers=2, limits=Limits(seconds=10)) as executor:
        yield executor
