from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

FILES = Path(__file__).parent / "files"


@pytest.fixture
def shops(tmp_path: Path) -> Path:
    """Return a folder of databases with one database, shops: three shops in two towns."""
    root = tmp_path / "databases"
    (root / "shops").mkdir(parents=True)
    with sqlite3.connect(root / "shops" / "shops.sqlite") as connection:
        connection.execute("CREATE TABLE shop (name TEXT, town TEXT)")
        connection.executemany("INSERT INTO shop VALUES (?, ?)", [("A", "Bern"), ("B", "Bern"), ("C", "Basel")])
    connection.close()
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in which databases are made, in the place of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
