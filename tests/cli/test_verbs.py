"""The small verbs: models, recipe, doctor, runs, and ask up to where it needs a model."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from sqlwright.errors import ModelError
from sqlwright.evaluation.statistics import report
from sqlwright.models.verify import find_model
from sqlwright.recipe import settings
from sqlwright.recipe_file import read_recipe
from sqlwright.records import Completion, Question, Verdict, write_records

CHINOOK = Path(str(resources.files("sqlwright"))) / "data" / "chinook" / "chinook.sqlite"


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models."""
    folder = tmp_path / "models"
    monkeypatch.setenv("SQLWRIGHT_MODELS", str(folder))
    return folder


def test_models_list(sqlwright: Callable[..., Any], no_models: Path) -> None:
    ended = sqlwright("models", "list")
    assert ended.code == 0
    assert "qwen2.5-coder-0.5b-instruct  491 MB" in ended.out
    document = sqlwright("models", "list", "--json").json()
    assert {model["state"] for model in document["models"]} == {"no"}
    assert document["folder"] == str(no_models)


def test_models_pull_of_an_unknown_name_ends_with_5(sqlwright: Callable[..., Any], no_models: Path) -> None:
    ended = sqlwright("models", "pull", "qwen2.5-coder")
    assert ended.code == 5
    assert "Did you mean 'qwen2.5-coder-0.5b-instruct'?" in ended.err


def test_models_verify(sqlwright: Callable[..., Any], no_models: Path, tmp_path: Path) -> None:
    assert sqlwright("models", "verify", "smollm2-135m-instruct").code == 5
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    assert sqlwright("models", "verify", own).code == 0
    no_models.mkdir()
    wrong = no_models / "SmolLM2-135M-Instruct.Q4_1.gguf"
    named = sqlwright("models", "list", "--json").json()["models"][1]["path"]
    wrong = Path(named)
    wrong.write_bytes(b"GGUF")
    ended = sqlwright("models", "verify", "smollm2-135m-instruct")
    assert ended.code == 1
    assert "Replace it with: sqlwright models pull smollm2-135m-instruct" in ended.out
    assert sqlwright("models", "verify", "smollm2-135m-instruct", "--json").json()["correct"] is False


def test_doctor_names_what_is_missing_and_its_cure(sqlwright: Callable[..., Any], no_models: Path) -> None:
    ended = sqlwright("doctor")
    assert ended.code == 1
    assert "sqlwright models pull qwen2.5-coder-0.5b-instruct" in ended.out
    document = sqlwright("doctor", "--json").json()
    assert document["ok"] is False
    names = {check["name"] for check in document["checks"]}
    assert {"python", "CPU cores", "memory", "GPU", "xllamacpp", "torch", "model folder"} <= names
    assert all(check["cure"] for check in document["checks"] if check["good"] is False)


def test_recipe_list_and_copy(sqlwright: Callable[..., Any], tmp_path: Path) -> None:
    listed = sqlwright("recipe", "list", "--json").json()
    assert "quickstart" in {recipe["name"] for recipe in listed}
    assert all(recipe["about"] for recipe in listed)
    target = tmp_path / "mine.toml"
    ended = sqlwright("recipe", "copy", "quickstart", target)
    assert (ended.code, ended.out) == (0, f"{target}\n")
    (path,) = (recipe["path"] for recipe in listed if recipe["name"] == "quickstart")
    assert target.read_text(encoding="utf-8") == Path(path).read_text(encoding="utf-8")
    again = sqlwright("recipe", "copy", "quickstart", target)
    assert again.code == 2
    assert "expected a new file" in again.err


def test_every_shipped_recipe_is_right_and_printed_complete(sqlwright: Callable[..., Any], tmp_path: Path) -> None:
    for recipe in sqlwright("recipe", "list", "--json").json():
        ended = sqlwright("recipe", "check", recipe["path"], "--set", "train.epochs=3")
        assert ended.code == 0
        assert tomllib.loads(ended.out)["train"]["epochs"] == 3
        complete = tmp_path / "complete.toml"
        complete.write_text(ended.out, encoding="utf-8")
        assert read_recipe(complete).train.epochs == 3


def test_recipe_check_reports_all_errors_at_once(sqlwright: Callable[..., Any], tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('[train]\nepoch = 2\nrank = "x"\n', encoding="utf-8")
    ended = sqlwright("recipe", "check", recipe)
    assert ended.code == 2
    assert "2 errors" in ended.err
    assert "r.toml:2" in ended.err
    assert "r.toml:3" in ended.err


def test_recipe_explain_knows_every_setting(sqlwright: Callable[..., Any]) -> None:
    explained = sqlwright("recipe", "explain", "--json").json()
    assert [one["key"] for one in explained] == [key for key, *_ in settings()]
    assert all(one["about"] and one["type"] and "typing" not in one["type"] for one in explained)
    assert "one of auto, cpu, cuda" in sqlwright("recipe", "explain", "model.device").out


def test_plan_needs_a_recipe_that_is_right(sqlwright: Callable[..., Any], tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("seed = -1\n", encoding="utf-8")
    ended = sqlwright("run", recipe, "--plan", "--runs", tmp_path / "runs")
    assert ended.code == 2
    assert not (tmp_path / "runs").exists()


def make_run(folder: Path, right: int) -> None:
    """Write a run folder whose first `right` of ten questions are right."""
    folder.mkdir(parents=True)
    verdicts = [
        Verdict(id=str(n), metric="ex, after fine-tuning", correct=n < right, database="shop", hardness="easy")
        for n in range(10)
    ]
    write_records(folder / "verdicts.jsonl", verdicts)
    scores = json.loads(report(verdicts, "ex, after fine-tuning").to_json())
    values = {"name": folder.name, "notes": ["a note"], "scores": {"after fine-tuning": {"ex": scores}}}
    (folder / "report.json").write_text(json.dumps(values | {"facts": {"model: base": "tiny"}}), encoding="utf-8")
    stages = {"prepare": {"status": "done", "inputs": {}, "outputs": {}}, "train": {"status": "begun", "inputs": {}}}
    (folder / "manifest.json").write_text(json.dumps({"version": 1, "stages": stages}), encoding="utf-8")


def test_runs(sqlwright: Callable[..., Any], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert sqlwright("runs", "list", "--runs", runs).out.startswith("No runs in")
    make_run(runs / "first", 3)
    make_run(runs / "second", 9)
    listed = sqlwright("runs", "list", "--runs", runs, "--json").json()
    assert {run["name"]: run["scores"]["after fine-tuning"]["ex"] for run in listed} == {"first": 0.3, "second": 0.9}
    assert listed[0]["stages"] == {"prepare": "done", "train": "interrupted"}
    assert "0.9000" in sqlwright("runs", "list", "--runs", runs).out
    shown = sqlwright("runs", "show", "second", "--runs", runs)
    assert shown.code == 0
    assert "stages: prepare done, train interrupted" in shown.out
    assert "  easy             0.9000 (" in shown.out
    assert "note: a note" in shown.out
    compared = sqlwright("runs", "compare", "first", "second", "--runs", runs)
    assert compared.code == 0
    assert "second won 6, lost 0; McNemar p = 0.03125 (significant)" in compared.out
    by_path = sqlwright("runs", "compare", runs / "first", runs / "second", "--json").json()
    assert by_path[0]["won"] == ["3", "4", "5", "6", "7", "8"]
    for name in ("first", "second"):
        asked = [Question(id=str(n), database="shop", text=f"Question {n}?", golds=(f"SELECT {n}",)) for n in range(10)]
        write_records(runs / name / "questions.jsonl", asked)
        answers = [Completion(id=str(n), database="shop", text="", sql=f"SELECT '{name} {n}'") for n in range(10)]
        write_records(runs / name / "completions.jsonl", answers)
    page = tmp_path / "page.html"
    assert sqlwright("runs", "compare", "first", "second", "--runs", runs, "--html", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert all(part in text for part in ("second 7", "first 7", "Question 7?", "McNemar"))
    assert sqlwright("runs", "compare", "first", "second", "--runs", runs, "--html", tmp_path).code == 3


def test_damaged_runs_end_with_3(sqlwright: Callable[..., Any], tmp_path: Path) -> None:
    make_run(tmp_path / "a", 3)
    (tmp_path / "a" / "verdicts.jsonl").write_text('{"id": "1"}\n', encoding="utf-8")
    ended = sqlwright("runs", "compare", "a", "a", "--runs", tmp_path)
    assert ended.code == 3
    assert "verdicts.jsonl:1" in ended.err
    (tmp_path / "a" / "report.json").write_text("[", encoding="utf-8")
    assert sqlwright("runs", "show", "a", "--runs", tmp_path).code == 3
    (tmp_path / "a" / "manifest.json").write_text("{}", encoding="utf-8")
    assert sqlwright("runs", "list", "--runs", tmp_path).code == 3


def test_ask_without_a_database_ends_with_4(sqlwright: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    ended = sqlwright("ask", "how many?", "--database", tmp_path / "none.sqlite")
    assert ended.code == 4
    assert "none.sqlite" in ended.err


def test_ask_without_a_model_ends_with_5(sqlwright: Callable[..., Any], no_models: Path) -> None:
    pytest.importorskip("xllamacpp")
    ended = sqlwright("ask", "how many albums are there?", "--database", CHINOOK)
    assert ended.code == 5
    assert "sqlwright models pull qwen2.5-coder-0.5b-instruct" in ended.err


@pytest.mark.model
def test_ask_answers_with_sql_and_rows(sqlwright: Callable[..., Any]) -> None:
    pytest.importorskip("xllamacpp")
    try:
        find_model("qwen2.5-coder-0.5b-instruct")
    except ModelError as error:
        pytest.skip(str(error))
    question = "How many albums are there?"
    ended = sqlwright("ask", question, "--database", CHINOOK, "--adapter", "none", "--json")
    document = ended.json()
    assert ended.code == 0
    assert list(document) == ["question", "sql", "columns", "rows", "truncated", "seconds", "model", "adapter"]
    assert document["question"] == question
    assert document["rows"] == [[347]]
    assert document["adapter"] is None
