"""`prepare` with the benchmarks' formats: questions without a database, dialogues, schemas that come along."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from sqlwright import pipeline
from sqlwright.errors import RecipeError
from sqlwright.recipe import FormatName
from sqlwright.recipe_file import read_recipe
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.reporter import Silent
from sqlwright.runs.run import Run
from sqlwright.runs.stages import prepare

FILES = Path(__file__).resolve().parents[1] / "datasets" / "files"


class Heard(Silent):
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files in published formats and their database, under the name BIRD gives the folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(FILES / "published", tmp_path, dirs_exist_ok=True)
    shutil.copytree(FILES / "wikisql", tmp_path, dirs_exist_ok=True)
    (tmp_path / "dev_databases" / "shops").mkdir(parents=True)
    connection = sqlite3.connect(tmp_path / "dev_databases" / "shops" / "shops.sqlite")
    connection.execute("CREATE TABLE shop (name TEXT, town TEXT)")
    connection.close()
    return tmp_path


def prepared(place: Path, kind: str, name: str) -> tuple[Run, list[str]]:
    path = place / "my.toml"
    path.write_text(f'name = "r"\n[data]\nformat = "{kind}"\ntrain = ["{name}"]\nvalidation_databases = 0\n')
    recipe, heard = read_recipe(path), Heard()
    pipeline.run(recipe, path, place / "runs", heard, only="prepare")
    return Run(recipe, path, RunFolder(place / "runs" / "r"), heard), heard.said


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (
            "bird",
            "bird.json",
            "2 questions on 1 database, 3 left out (unknown database 1, missing key 1, wrong type 1)",
        ),
        ("cspider", "cspider.json", "2 questions on 1 database, 1 left out (empty value 1)"),
        ("sparc", "dialogues.json", "4 questions on 1 database, 5 left out"),
        ("cosql", "dialogues.json", "4 questions on 1 database, 5 left out"),
        ("sql-eval", "sql_eval.csv", "2 questions on 1 database, 3 left out (bad gold 2, wrong number of cells 1)"),
        ("create-table-context", "create_table_context.json", "3 questions on 2 databases, 6 left out"),
        ("wikisql", "dev.jsonl", "7 questions on 2 databases, 8 left out"),
        ("viggo", "viggo.csv", "2 questions, 2 left out (bad gold 1, empty value 1)"),
        ("humaneval", "humaneval.jsonl", "1 question, 3 left out"),
        ("infilling", "infilling.jsonl", "1 question, 1 left out (missing key 1)"),
        ("mbpp", "mbpp.jsonl", "1 question, 2 left out"),
    ],
)
def test_each_format_is_prepared_and_says_what_it_left_out(place: Path, kind: str, name: str, said: str) -> None:
    run, heard = prepared(place, kind, name)
    assert any(line.startswith(f"train: {said}") for line in heard), heard
    questions = run.questions("train")
    assert len(questions) == run.folder.facts("prepare")["train"] == int(said.partition(" ")[0])
    assert {question.database for question in questions} - {""} == set(run.databases)
    assert all(path.is_file() for path in run.databases.values())
    left_out = json.loads((run.folder.path / "dropped.json").read_text(encoding="utf-8"))
    assert len(left_out) == run.folder.facts("prepare")["dropped"] > 0
    assert run.folder.changed("prepare", prepare.inputs(run)) == []


def test_every_format_of_the_recipe_has_a_reader() -> None:
    from typing import get_args

    from sqlwright.datasets import READERS

    assert set(get_args(FormatName)) == set(READERS)


def test_changed_tables_are_noticed(place: Path) -> None:
    run, _ = prepared(place, "wikisql", "dev.jsonl")
    tables = place / "dev.tables.jsonl"
    tables.write_text(tables.read_text(encoding="utf-8").replace("Banana", "Cherry"), encoding="utf-8")
    assert [one.partition(" changed")[0] for one in run.folder.changed("prepare", prepare.inputs(run))] == [
        "question files"
    ]
    run, _ = prepared(place, "bird", "bird.json")
    with sqlite3.connect(place / "dev_databases" / "shops" / "shops.sqlite") as connection:
        connection.execute("CREATE TABLE other (a)")
    assert [one.partition(" changed")[0] for one in run.folder.changed("prepare", prepare.inputs(run))] == ["databases"]


def test_general_data_beside_the_questions(place: Path) -> None:
    """A share of programs beside text-to-SQL questions, as Code Llama's instruction tuning rehearses what it knew."""
    path = place / "my.toml"
    path.write_text(
        'name = "r"\n[data]\nformat = "bird"\ntrain = ["bird.json", "mbpp:mbpp.jsonl"]\nweights = [1, 2]\n'
        "validation_databases = 0\n"
    )
    recipe = read_recipe(path)
    pipeline.run(recipe, path, place / "runs", Silent(), only="prepare")
    run = Run(recipe, path, RunFolder(place / "runs" / "r"), Silent())
    about = [question.database for question in run.questions("train")]
    assert about.count("") == 2 and len(about) == 4
    with pytest.raises(RecipeError, match=r"data\.weights: expected one for each of the 2 files .* found 1"):
        pipeline.run(read_recipe(path, ["data.weights=[1]"]), path, place / "runs", Silent(), only="prepare")
