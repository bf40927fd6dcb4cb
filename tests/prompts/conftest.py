"""A small database with odd names and values."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the SQLite file made from fixtures/library.sql."""
    path = tmp_path_factory.mktemp("library") / "library.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript((FIXTURES / "library.sql").read_text(encoding="utf-8"))
    connection.close()
    return path
