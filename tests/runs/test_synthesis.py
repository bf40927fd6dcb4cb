"""`synthesize` as a whole: by rules alone, and the real loop with the tiny model, stopped and continued."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sqlwright.databases import Executor
from sqlwright.datasets import READERS, check_golds, package_path
from sqlwright.datasets.synthesis.sample import Pair
from sqlwright.errors import DatabaseError, DataError
from sqlwright.runs import round_trip, synthesis
from sqlwright.runs.reporter import Silent
from sqlwright.runs.synthesis import synthesise_file

CHINOOK = package_path("chinook/chinook.sqlite")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_by_rules_alone_prepare_reads_what_was_written(tmp_path: Path) -> None:
    out = tmp_path / "made.jsonl"
    found = synthesise_file(CHINOOK, out, questions=20, seed=1, use_model=False)
    assert (found.accepted, found.unanswerable, found.partial) == (20, 2, False)
    assert sum(found.hardness.values()) == sum(found.category.values()) == 20
    assert found.counts["accepted"] >= 20
    with Executor(workers=1) as executor:
        dataset = check_golds(READERS["jsonl"](list(found.files)), executor)
    assert dataset.dropped == ()
    assert len(dataset.questions) == 22
    assert set(dataset.databases) == {"chinook"}
    assert sum(question.category == "unanswerable" for question in dataset.questions) == 2


def test_the_same_command_writes_the_same_file(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for out in (first, second):
        synthesise_file(CHINOOK, out, questions=10, use_model=False)
    assert first.read_bytes() == second.read_bytes()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="found no such file"):
        synthesise_file(tmp_path / "none.sqlite", tmp_path / "out.jsonl", use_model=False)
    with pytest.raises(DataError, match="folder that exists"):
        synthesise_file(CHINOOK, tmp_path / "nowhere" / "out.jsonl", use_model=False)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("How many singers come from France?", "How many singers come from France?"),
        ('"Which singers are French, from France?"', "Which singers are French, from France?"),
        ("How many singers come from abroad?", ""),
        ("SELECT count(*) FROM singer WHERE country = 'France'", ""),
        ("How many singers are from France?\n\nQuestion: And more?", "How many singers are from France?"),
        ("How many singers are in France?", ""),
        ("", ""),
    ],
)
def test_a_wording_keeps_the_values_and_is_no_code(text: str, kept: str) -> None:
    rule = "How many singers are in France?"
    pair = Pair("SELECT count(*) FROM singer WHERE country = 'France'", (rule,), "where", "easy", "counted")
    assert round_trip.usable(text, pair) == kept


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a database of one table, with batches and answers made small: the tiny model goes on to the limit."""
    monkeypatch.setattr(synthesis, "BATCH", 4)
    monkeypatch.setattr(synthesis, "TRIES", 8)
    # The tiny model says nothing of use; that it says it again is what counts.
    (tmp_path / "rewordings.tsv").write_text("Show all singers.\tWho sings?\n", encoding="utf-8")
    monkeypatch.setattr(round_trip, "package_path", lambda _: tmp_path / "rewordings.tsv")
    monkeypatch.setattr(round_trip, "_REWORDED_TOKENS", 8)
    monkeypatch.setattr(round_trip, "MAX_TOKENS", 12)
    monkeypatch.setattr(synthesis, "choose_engine", lambda *_, **__: "gguf")  # it starts faster
    monkeypatch.setattr(round_trip, "MAX_TOKENS", 12)
    monkeypatch.setattr(round_trip, "_REWORDED_TOKENS", 12)
    path = tmp_path / "small.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INTEGER);"
        "INSERT INTO singer VALUES (1, 'Ann', 'France', 30), (2, 'Bob', 'France', 41), (3, 'Cleo', 'Peru', 25),"
        "(4, 'Dan', 'Peru', 52), (5, 'Eve', 'Peru', 38), (6, 'Flo', 'Chad', 29);"
    )
    connection.close()
    return path


class StopsAfter(Silent):
    """Interrupts the work at the n-th report of progress, as Ctrl-C would."""

    def __init__(self, reports: int) -> None:
        self.left = reports

    def progress(self, label: str, done: int, total: int, note: str = "", curve: Any = (), unit: str = "") -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_with_a_model_it_continues_to_the_result_of_an_undisturbed_run(small: Path, short_model: Path) -> None:
    pytest.importorskip("xllamacpp")
    make: Callable[..., Any] = lambda out, reporter=None: synthesise_file(  # noqa: E731
        small, small.with_name(out), questions=1, model=str(short_model), reporter=reporter
    )
    whole = make("whole.jsonl")
    assert whole.counts["tried by the model"] == len(lines(small.with_name("whole.jsonl.journal"))) - 1 > 4
    assert whole.accepted == min(1, whole.counts["led back in either wording"])
    with pytest.raises(KeyboardInterrupt):
        make("parts.jsonl", StopsAfter(5))
    journal = small.with_name("parts.jsonl.journal")
    begun = len(lines(journal))
    assert begun == 5, "one batch is done, the second was begun"
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"sql": "SELECT na')  # a torn line
    continued = make("parts.jsonl")
    assert continued.counts == whole.counts
    held = [lines(path) for path in (journal, small.with_name("whole.jsonl.journal"))]
    took = [sum(line.pop("seconds") for line in own[1:]) for own in held]
    assert held[0] == held[1]
    assert continued.seconds > took[0] > 0, "what the interrupted call took is counted"
    assert small.with_name("parts.jsonl").read_bytes() == small.with_name("whole.jsonl").read_bytes()
    with pytest.raises(DataError, match="Choose another --out"):
        synthesise_file(small, small.with_name("parts.jsonl"), questions=1, seed=9, model=str(short_model))
