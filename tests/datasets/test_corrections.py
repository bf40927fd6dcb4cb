"""Corrections: what a line holds, what is refused, and several processes that write at once and are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import pytest

from sqlwright.databases import Executor
from sqlwright.datasets import add_correction, check_golds, read_jsonl
from sqlwright.datasets.corrections import database_reference
from sqlwright.errors import DatabaseError, DataError

CHINOOK = Path(str(resources.files("sqlwright"))) / "data" / "chinook" / "chinook.sqlite"
RIGHT = "SELECT count(*) FROM Artist"
WRITER = """
import sys
from pathlib import Path
from sqlwright.databases import Executor
from sqlwright.datasets import add_correction
path, database, first, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with Executor(workers=1) as executor:
    for number in range(first, last):
        found = add_correction(f"Is it {number}?", database, wrong="SELECT 0", sql=f"SELECT {number + 1}", path=path,
                               executor=executor)
        print(found.id, int(found.added), flush=True)
"""


def lines_of(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_correction_is_a_question_that_prepare_reads(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "corrections.jsonl"
    found = add_correction("How many artists?", CHINOOK, wrong="SELECT 275", sql=f" {RIGHT};\n", path=path)
    assert found.added
    assert lines_of(path) == [
        {
            "id": found.id,
            "database": str(CHINOOK),
            "question": "How many artists?",
            "sql": RIGHT,
            "wrong": "SELECT 275",
        }
    ]
    dataset = read_jsonl([path])
    with Executor(workers=1) as executor:
        dataset = check_golds(dataset, executor)
    assert dataset.dropped == ()
    assert [(q.id, q.text, q.golds, q.database) for q in dataset.questions] == [
        (found.id, "How many artists?", (RIGHT,), "chinook")
    ]


def test_the_same_again_is_stored_once_and_another_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    with Executor(workers=1) as executor:

        def add(sql: str, wrong: str = "SELECT 275") -> bool:
            return add_correction("How many?", CHINOOK, wrong=wrong, sql=sql, path=path, executor=executor).added

        assert [add(RIGHT), add(RIGHT), add(f"{RIGHT};"), add("SELECT count(Name) FROM Artist"), add(RIGHT, "?")] == [
            True,
            False,
            False,
            True,
            True,
        ]
    assert len({line["id"] for line in lines_of(path)}) == 3


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT shoe FROM Artist", "no such column: shoe"),
        ("SELEC 1", "syntax error"),
        ("DELETE FROM Artist", "doesn't run"),
        ("SELECT 1; SELECT 2", "doesn't run"),
    ],
)
def test_sql_that_does_not_run_is_refused_with_the_reason(tmp_path: Path, sql: str, reason: str) -> None:
    path = tmp_path / "corrections.jsonl"
    with pytest.raises(DatabaseError, match=reason) as caught:
        add_correction("How many?", CHINOOK, wrong="SELECT 1", sql=sql, path=path)
    assert "Nothing was stored" in str(caught.value)
    assert not path.exists()


def test_what_corrects_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    for question, wrong, sql, reason in (
        (" ", "SELECT 1", RIGHT, "question"),
        ("How many?", "SELECT 1", " ; ", "corrected SQL"),
        ("How many?", RIGHT, f"{RIGHT} ;", "differs"),
        ("How \udc80 many?", "SELECT 1", RIGHT, "UTF-8"),
    ):
        with pytest.raises(DataError, match=reason):
            add_correction(question, CHINOOK, wrong=wrong, sql=sql, path=path)
    assert not path.exists()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be stored"):
        add_correction("How many?", CHINOOK, wrong="SELECT 1", sql=RIGHT, path=tmp_path)


def test_a_disk_that_is_full_in_the_middle_of_a_line_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n{WRITER}"
    words = [sys.executable, "-c", limited, str(path), str(CHINOOK), "0", "100"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "the correction can't be stored" in done.stderr
    assert [line["id"] for line in lines_of(path)] == [line.split()[0] for line in done.stdout.splitlines()]
    assert 700 < path.stat().st_size <= 1000


def test_no_password_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert database_reference("postgresql://ann:secret@localhost/shop") == "postgresql://ann@localhost/shop"
    assert database_reference("duckdb://shop.duckdb") == str(tmp_path / "shop.duckdb")
    assert database_reference("shop.sqlite") == str(tmp_path / "shop.sqlite")


@pytest.mark.parametrize("left", ['{"id": "torn", "question": "How ma', '{"id": "whole", "question": "Who?"}'])
def test_a_line_without_its_end_stays_and_spoils_no_other(tmp_path: Path, left: str) -> None:
    path = tmp_path / "corrections.jsonl"
    path.write_text(left, encoding="utf-8")
    add_correction("How many?", CHINOOK, wrong="SELECT 1", sql=RIGHT, path=path)
    kept = path.read_text(encoding="utf-8").splitlines()
    assert kept[0] == left
    assert json.loads(kept[1])["sql"] == RIGHT
    dataset = read_jsonl([path])
    assert len(dataset.questions) == 1
    assert len(dataset.dropped) == 1


def test_processes_that_write_at_once_and_are_killed_lose_and_double_nothing(tmp_path: Path) -> None:
    database = tmp_path / "small.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE t (a)")
    path = tmp_path / "corrections.jsonl"
    # The ranges overlap: numbers 10 to 39 are written by two or three processes each.
    ranges = [(0, 30), (10, 40), (20, 50), (0, 400), (100, 500)]
    logs = [tmp_path / f"log.{place}" for place in range(len(ranges))]
    processes = []
    for log, (first, last) in zip(logs, ranges, strict=True):
        with log.open("wb") as out:
            words = [sys.executable, "-c", WRITER, str(path), str(database), str(first), str(last)]
            processes.append(subprocess.Popen(words, stdout=out, start_new_session=True))
    victims = processes[3:]
    deadline = time.monotonic() + 60
    while path.stat().st_size < 4000 if path.exists() else time.monotonic() < deadline:
        time.sleep(0.01)
    for victim in victims:
        time.sleep(random.random() / 10)
        os.killpg(victim.pid, signal.SIGKILL)
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, -9, -9]

    # A process killed within a write leaves the beginning of a line, here as in its log.
    stored = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    identities = [line["id"] for line in stored]
    assert len(identities) == len(set(identities))
    said = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines(keepends=True)]
    acknowledged = [line.split() for line in said if line.endswith("\n")]
    assert {identity for identity, _ in acknowledged} <= set(identities)
    # A killed writer may have stored one correction more than it could say, never less.
    added = sum(int(new) for _, new in acknowledged)
    assert added <= len(stored) <= added + len(victims)
    assert {f"Is it {number}?" for number in range(50)} <= {line["question"] for line in stored}
    again = add_correction("Is it 7?", database, wrong="SELECT 0", sql="SELECT 8", path=path)
    assert not again.added
