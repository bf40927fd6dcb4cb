"""The command line run in this process (fast) and as the real command (for signals, pipes and terminals)."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sqlwright.cli.app import run

COMMAND = [sys.executable, "-c", "from sqlwright.cli import main; main()"]
FIXTURES = Path(__file__).parent / "fixtures"


class Ended(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON document on stdout; strict: NaN and Infinity are no JSON."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.fixture
def sqlwright(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return a function that runs the command line with these words in this process."""

    def call(*words: object) -> Ended:
        capsys.readouterr()
        code = run([str(word) for word in words])
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture
def command() -> Callable[..., Ended]:
    """Return a function that runs the real command in a process of its own."""

    def call(*words: object, **options: Any) -> Ended:
        done = subprocess.run(
            [*COMMAND, *(str(word) for word in words)], capture_output=True, text=True, timeout=60, **options
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a folder in Spider's layout: database/shop, database/farm, tables.json, gold.sql, predictions.sql."""
    for name in ("shop", "farm"):
        folder = tmp_path / "database" / name
        folder.mkdir(parents=True)
        with sqlite3.connect(folder / f"{name}.sqlite") as connection:
            connection.executescript((FIXTURES / f"{name}.sql").read_text(encoding="utf-8"))
        connection.close()
    for name in ("tables.json", "gold.sql", "predictions.sql"):
        (tmp_path / name).write_bytes((FIXTURES / name).read_bytes())
    return tmp_path
