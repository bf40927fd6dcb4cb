"""`ask --correct` with the tiny model: the corrected SQL given, or typed on a real terminal, or refused."""

from __future__ import annotations

import json
import os
import pty
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xllamacpp")

TINY = "smollm2-135m-instruct"
QUESTION = "How many artists are there?"
RIGHT = "SELECT count(*) FROM artist"
# The tiny model talks to the limit; the test needs no long answers.
BRIEF = "import sqlwright.serving.ask as a; a.MAX_TOKENS = 8; from sqlwright.cli import main; main()"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    database = tmp_path / "small.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE artist (id INTEGER, name TEXT)")
        connection.execute("INSERT INTO artist VALUES (1, 'AC/DC')")
    connection.close()
    return database


def test_a_correction_that_is_given_is_stored_and_told(
    sqlwright: Callable[..., Any], tiny_model: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlwright.serving.ask.MAX_TOKENS", 8)
    monkeypatch.chdir(tmp_path)
    words = ["ask", QUESTION, "--database", small, "--model", tiny_model, "--adapter", "none"]
    ended = sqlwright(*words, "--correct", RIGHT, "--json")
    assert ended.code == 0
    document = ended.json()
    stored = json.loads((tmp_path / "corrections.jsonl").read_text(encoding="utf-8"))
    assert document["correction"] == {
        "id": stored["id"],
        "sql": RIGHT,
        "file": "corrections.jsonl",
        "added": True,
    }
    assert (stored["question"], stored["wrong"], stored["sql"]) == (QUESTION, document["sql"], RIGHT)
    refused = sqlwright(*words, "--correct", "SELECT shoe FROM artist", "--corrections", tmp_path / "other.jsonl")
    assert refused.code == 4
    assert "The corrected SQL doesn't run: no such column: shoe" in refused.err
    assert not (tmp_path / "other.jsonl").exists()


def test_without_a_terminal_and_without_sql_nothing_is_loaded(
    command: Callable[..., Any], small: Path, tmp_path: Path
) -> None:
    ended = command("ask", QUESTION, "--database", small, "--correct", cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert ended.code == 2
    assert 'expected --correct "SELECT …", or a terminal' in ended.err
    assert not (tmp_path / "corrections.jsonl").exists()


def test_on_a_terminal_the_sql_is_asked_for_until_it_runs(tiny_model: Path, small: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = ["ask", QUESTION, "--database", str(small), "--model", str(tiny_model), "--adapter", "none", "--correct"]
    process = subprocess.Popen(
        [sys.executable, "-c", BRIEF, *words], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path
    )
    os.close(theirs)
    try:
        read_until(ours, "Corrected SQL")
        os.write(ours, b"SELECT count(*)\nFROM artists;\n")
        said = read_until(ours, "Corrected SQL")
        assert "no such table: artists" in said
        os.write(ours, b"SELECT count(*)\nFROM artist;\n")
        assert "Stored in corrections.jsonl" in read_until(ours, "Stored")
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    stored = json.loads((tmp_path / "corrections.jsonl").read_text(encoding="utf-8"))
    assert stored["sql"] == "SELECT count(*)\nFROM artist"


def read_until(terminal: int, mark: str) -> str:
    """Return what the terminal shows up to the line with the mark."""
    shown = ""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 4096).decode("utf-8", "replace")
            except OSError:  # the program has ended
                break
        elif mark in shown:
            return shown
    assert mark in shown
    return shown
