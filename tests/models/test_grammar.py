"""Both engines hold the tiny model to the grammar of a schema; without one nothing changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("llguidance")

from sqlwright.databases import describe
from sqlwright.errors import ModelError
from sqlwright.models.engines import Engine, open_engine
from sqlwright.models.gguf import Answer
from sqlwright.sql.extract import extract_sql
from sqlwright.sql.grammar import sql_grammar

SCRIPTS = {
    "concerts": "CREATE TABLE singer (id INTEGER, name TEXT, country TEXT, age INTEGER); "
    'CREATE TABLE concert (id INTEGER, "singer id" INTEGER, year INTEGER);',
    "cities": "CREATE TABLE city (id INTEGER, name TEXT, area REAL);",
}
SHOTS = "\n\nQuestion: How many rivers are there?\nSQL: SELECT count(*) FROM river\n\n"
QUESTIONS = ("How many singers are there?", "Names of the singers from France:", "Average salary of the players:")
SUFFIXES = [f"Question: {text}\nSQL:" for text in QUESTIONS]


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


def ask(engine: Engine, databases: dict[str, Path], held: bool) -> list[list[Answer]]:
    wave = [(SCRIPTS[name] + SHOTS, SUFFIXES) for name in databases]
    grammars = [sql_grammar(describe(path, 0)) for path in databases.values()] if held else ["", ""]
    return engine.answer_wave(wave, 48, grammars=grammars, progress=lambda _: None)


def test_what_is_written_is_sql_about_the_schema(engine: Engine, databases: dict[str, Path]) -> None:
    answers = ask(engine, databases, held=True)
    ended = 0
    for path, own in zip(databases.values(), answers, strict=True):
        connection = sqlite3.connect(path)
        for answer in own:
            if answer.ended or len(answer.tokens) < 48:
                ended += 1
                try:
                    connection.execute(extract_sql(answer.text))
                except sqlite3.Error as error:  # which columns the FROM has is what the grammar can't tell
                    kind, _, name = str(error).partition(": ")
                    assert kind in ("no such column", "ambiguous column name"), (answer.text, error)
                    assert name.rpartition(".")[2].lower() in SCRIPTS[path.stem].lower(), (answer.text, error)
        connection.close()
    assert ended >= 3, answers


def test_without_a_grammar_nothing_changes(engine: Engine, databases: dict[str, Path]) -> None:
    free = ask(engine, databases, held=False)
    ask(engine, databases, held=True)
    for name, own in zip(databases, free, strict=True):
        again = engine.answer_wave([(SCRIPTS[name] + SHOTS, SUFFIXES)], 48, progress=lambda _: None)[0]
        assert [one.text for one in again] == [one.text for one in own]
    assert any(extract_sql(one.text) != extract_sql(held.text) for one, held in _pairs(engine, databases, free))


def _pairs(engine: Engine, databases: dict[str, Path], free: list[list[Answer]]) -> Iterator[tuple[Answer, Answer]]:
    for own, held in zip(free, ask(engine, databases, held=True), strict=True):
        yield from zip(own, held, strict=True)


def test_drawn_answers_are_held_too(engine: Engine, databases: dict[str, Path]) -> None:
    name, path = next(iter(databases.items()))
    grammar = sql_grammar(describe(path, 0))
    wave = [(SCRIPTS[name] + SHOTS, SUFFIXES[:1])]
    (several,) = engine.sample_wave(wave, 24, 4, 1.5, 1, grammars=[grammar])[0]
    assert len(several) == 4
    for answer in several:
        assert answer.text.strip().lower()[:4] in ("sele", "with", "```", "```s"), answer.text


def test_what_is_no_grammar_is_refused(engine: Engine) -> None:
    with pytest.raises(ModelError):
        engine.answer_wave([("a", ["b"])], 4, grammars=["%llguidance {}\nstart: nothing"], progress=lambda _: None)
