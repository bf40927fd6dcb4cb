"""Both engines hold the tiny model to the grammar of a schema; without one nothing changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llguidance")

from sqlwright.databases import Schema, describe
from sqlwright.databases.schema import Column, Table
from sqlwright.errors import ModelError
from sqlwright.models.engines import Engine, open_engine
from sqlwright.models.gguf import Answer, GgufEngine
from sqlwright.sql.extract import extract_sql
from sqlwright.sql.grammar import sql_grammar

SCRIPTS = {
    "concerts": "CREATE TABLE singer (id INTEGER, name TEXT, country TEXT, age INTEGER); "
    'CREATE TABLE concert (id INTEGER, "singer id" INTEGER, year INTEGER);',
    "cities": "CREATE TABLE city (id INTEGER, name TEXT, area REAL);",
}
SHOTS = "\n\nQuestion: How many rivers are there?\nSQL: SELECT count(*) FROM river\n\n"
QUESTIONS = ("How many singers are there?", "Average salary of the players:")
SUFFIXES = [f"Question: {text}\nSQL:" for text in QUESTIONS]
MOST = 24


@pytest.fixture(scope="module", params=["gguf", "torch"])
def engine(request: pytest.FixtureRequest, tiny_model: Path) -> Iterator[Engine]:
    pytest.importorskip({"gguf": "xllamacpp", "torch": "torch"}[request.param])
    with open_engine(request.param, tiny_model, context=256, parallel=8, device="cpu", dtype="float32") as opened:
        yield opened


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("databases")
    for name, script in SCRIPTS.items():
        connection = sqlite3.connect(folder / f"{name}.sqlite")
        connection.executescript(script)
        connection.close()
    return {name: folder / f"{name}.sqlite" for name in SCRIPTS}


def ask(engine: Any, databases: dict[str, Path], held: bool) -> dict[str, list[Answer]]:
    """Return the answers by database, up to the end of the line: the tiny model goes on with questions of its own."""
    return {
        name: engine.answer(
            SCRIPTS[name] + SHOTS, SUFFIXES, MOST, stop=("\n",), grammar=sql_grammar(describe(path, 0)) if held else ""
        )
        for name, path in databases.items()
    }


def test_what_is_written_is_sql_about_the_schema(engine: Any, databases: dict[str, Path]) -> None:
    free = ask(engine, databases, held=False)
    held = ask(engine, databases, held=True)
    ended = 0
    for name, path in databases.items():
        connection = sqlite3.connect(path)
        for answer in held[name]:
            if len(answer.tokens) < MOST:
                try:
                    connection.execute(extract_sql(answer.text))
                except sqlite3.Error as error:
                    kind, _, column = str(error).partition(": ")
                    if kind == "incomplete input":  # cut off at a line's end within the statement
                        continue
                    # Which columns the FROM has is what the grammar can't tell.
                    assert kind in ("no such column", "ambiguous column name"), (answer.text, error)
                    assert column.rpartition(".")[2].lower() in SCRIPTS[name].lower(), (answer.text, error)
                ended += 1
        connection.close()
    assert ended, held
    assert [one.text for own in free.values() for one in own] != [one.text for own in held.values() for one in own]
    again = ask(engine, databases, held=False)
    assert [one.tokens for own in again.values() for one in own] == [one.tokens for own in free.values() for one in own]


def test_a_wave_has_a_grammar_for_each_prefix(engine: Any, databases: dict[str, Path]) -> None:
    name, path = next(iter(databases.items()))
    wave = [(SCRIPTS[name] + SHOTS, SUFFIXES[1:]), ("Sing a song:\n", ["La la"])]
    (held,), (free,) = engine.answer_wave(wave, 6, grammars=[sql_grammar(describe(path, 0)), ""])
    assert "select".startswith(held.text.strip().lower()[:6])
    assert not free.text.strip().lower().startswith("select")


def test_drawn_answers_are_held_too(engine: Any, databases: dict[str, Path]) -> None:
    name, path = next(iter(databases.items()))
    wave = [(SCRIPTS[name] + SHOTS, SUFFIXES[:1])]
    (several,) = engine.sample_wave(wave, 8, 4, 1.5, 1, grammars=[sql_grammar(describe(path, 0))])[0]
    assert len(several) == 4
    for answer in several:
        assert answer.text.strip().lower()[:4] in ("sele", "with", "```", "```s"), answer.text


def test_what_is_no_grammar_is_refused(engine: Any) -> None:
    if isinstance(engine, GgufEngine):
        pytest.skip("llama.cpp answers freely where llguidance can't read a grammar")
    with pytest.raises(ModelError, match="Expected a grammar for llguidance"):
        engine.answer("a", ["b"], 4, grammar="%llguidance {}\nstart: nothing")


def test_a_large_schema_is_held_too(engine: Any) -> None:
    tables = [Table(f"table_{i}", tuple(Column(f"column_{i}_{j}", "") for j in range(20))) for i in range(25)]
    grammar = sql_grammar(Schema("large", "large", tuple(tables)))
    (answer,) = engine.answer("Sing a song:\n", ["La la"], 3, grammar=grammar)
    assert answer.text.strip()[:1].lower() in ("s", "w", "`"), answer.text
