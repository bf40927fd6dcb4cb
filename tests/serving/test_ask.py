"""`ask` on the packaged Chinook: with the tiny model what comes back and is refused, with the base model answers."""

from __future__ import annotations

import re
import sqlite3
from importlib import resources
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")

from sqlwright.errors import DatabaseError, DataError, ModelError
from sqlwright.models.adapter import write_prompt_settings
from sqlwright.models.verify import model_hash
from sqlwright.serving.ask import ask

CHINOOK = Path(str(resources.files("sqlwright"))) / "data" / "chinook" / "chinook.sqlite"
TINY = "smollm2-135m-instruct"


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep answers short: the tiny model goes on talking to the limit."""
    monkeypatch.setattr("sqlwright.serving.ask.MAX_TOKENS", 16)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a database of one table and one row."""
    database = tmp_path / "small.sqlite"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE artist (id INTEGER, name TEXT)")
    connection.execute("INSERT INTO artist VALUES (1, 'AC/DC')")
    connection.commit()
    connection.close()
    return database


@pytest.mark.usefixtures("brief")
def test_all_fields_are_there(tiny_model: Path, small: Path, tmp_path: Path) -> None:
    said: list[str] = []
    answered = ask("How many artists are there?", str(small), model=TINY, samples=1, runs=tmp_path, say=said.append)
    assert answered.question == "How many artists are there?"
    assert (answered.model, answered.adapter) == (TINY, None)
    assert answered.seconds > 0
    assert isinstance(answered.rows, list)
    assert answered.truncated is False
    assert answered.sql
    # The tiny model rarely writes SQL that runs: then the error says why, and there are no rows.
    assert bool(answered.error) != bool(answered.columns)
    assert said == [f"Loading {tiny_model.name}"]


@pytest.mark.usefixtures("brief")
def test_others_are_drawn_where_the_likeliest_sql_cannot_be_run(tiny_model: Path, small: Path) -> None:
    said: list[str] = []
    answered = ask("Zzz?", str(small), model=str(tiny_model), samples=3, runs=small.parent, say=said.append)
    assert re.search(r"The likeliest SQL can't be run \(.+\); others vote on it\.", said[-1])
    assert answered.sql and bool(answered.error) != bool(answered.columns)


@pytest.mark.usefixtures("brief")
def test_the_model_given_as_a_file_and_no_file_changed(tiny_model: Path, small: Path) -> None:
    before = small.read_bytes()
    answered = ask("DROP TABLE artist", str(small), model=str(tiny_model), samples=1, runs=small.parent)
    assert answered.model == str(tiny_model)
    assert small.read_bytes() == before
    assert [path.name for path in small.parent.iterdir()] == ["small.sqlite"]


def make(folder: Path, kind: str) -> str:
    path = folder / "database.sqlite"
    if kind == "missing":
        return str(path)
    if kind == "directory":
        path.mkdir()
    if kind == "empty file":
        path.touch()
    if kind == "text file":
        path.write_text("SELECT 1;\n" * 200, encoding="utf-8")
    if kind == "without tables":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE t (a)")
        connection.execute("DROP TABLE t")
        connection.close()
    if kind == "damaged":
        content = bytearray(CHINOOK.read_bytes())
        content[100:4096] = b"\xff" * 3996
        path.write_bytes(content)
    return "postgresql://reader@localhost:1/shop" if kind == "URL" else str(path)


@pytest.mark.parametrize(
    "kind", ["missing", "directory", "empty file", "text file", "without tables", "damaged", "URL"]
)
def test_databases_that_cannot_be_asked(tmp_path: Path, kind: str) -> None:
    database = make(tmp_path, kind)
    with pytest.raises(DatabaseError) as caught:
        ask("How many?", database, model=TINY)
    assert database in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("question", ["", "  \n\t "])
def test_an_empty_question(question: str) -> None:
    with pytest.raises(DataError, match="Expected a question"):
        ask(question, str(CHINOOK))


def test_a_model_that_nobody_has(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="qwen2"):
        ask("How many?", str(CHINOOK), model="qwen2.5")
    with pytest.raises(ModelError, match=r"absent\.gguf"):
        ask("How many?", str(CHINOOK), model=str(tmp_path / "absent.gguf"))
    text = tmp_path / "text.gguf"
    text.write_text("no model at all, only text", encoding="utf-8")
    with pytest.raises(ModelError, match="expected a GGUF file"):
        ask("How many?", str(CHINOOK), model=str(text))


def adapter_for(folder: Path, base: str, base_hash: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter.gguf").write_bytes(b"GGUF" + bytes(100))
    settings = {"style": "compact", "sample_values": 1, "max_schema_tokens": 512}
    write_prompt_settings(folder, settings, base, base_hash)
    return folder


def test_an_adapter_of_another_base_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = adapter_for(tmp_path / "adapter", "another-model", "0" * 64)
    with pytest.raises(ModelError, match=r"trained on another-model .*Give its own base"):
        ask("How many?", str(CHINOOK), model=TINY, adapter=str(folder))
    with pytest.raises(ModelError, match="another-model"):
        ask("How many?", str(CHINOOK), adapter=str(folder))
    with pytest.raises(ModelError, match="expected an adapter"):
        ask("How many?", str(CHINOOK), model=TINY, adapter=str(tmp_path / "absent"))


@pytest.mark.usefixtures("brief")
def test_the_newest_adapter_is_taken_unless_told_otherwise(tiny_model: Path, small: Path, tmp_path: Path) -> None:
    damaged = adapter_for(tmp_path / "runs" / "mine" / "adapter", TINY, model_hash(tiny_model))
    adapter_for(tmp_path / "runs" / "theirs" / "adapter", "another-model", "0" * 64)
    with pytest.raises(ModelError, match=str(damaged)):  # it is taken, and its GGUF file is not one
        ask("How many?", str(small), model=TINY, runs=tmp_path / "runs")
    answered = ask("How many?", str(small), model=TINY, adapter="none", runs=tmp_path / "runs")
    assert answered.adapter is None


@pytest.mark.model
@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("How many artists are there?", [(1,)]),
        ("What is the name of the artist with the id 1?", [("AC/DC",)]),
    ],
)
def test_the_base_model_answers(base_model: Path, small: Path, question: str, rows: list[tuple[object]]) -> None:
    answered = ask(question, str(small), adapter="none")
    assert answered.error == ""
    assert answered.rows == rows


@pytest.mark.model
def test_what_the_schema_cannot_answer_is_called_a_guess(base_model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    shoes = ask("What is the average shoe size of the employees?", str(CHINOOK), runs=tmp_path, say=said.append)
    assert shoes.guess and shoes.confidence is not None and shoes.confidence < 0.4
    assert shoes.unknown == ("shoe", "size")
    assert "This is a guess" in said[-1] and said[-1].endswith("Nothing in the database is known by: shoe, size.")
    artists = ask("How many artists are there?", str(CHINOOK), runs=tmp_path)
    assert artists.rows == [(275,)] and not artists.guess and not artists.unknown
    assert artists.confidence is not None and artists.confidence > 0.7
