"""The plan: what a run would do and cost, without doing it."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from sqlwright import pipeline
from sqlwright.recipe_file import read_recipe
from sqlwright.records import Prompt
from sqlwright.runs.plan import CLOSE, OPEN, marked

QUICKSTART = Path(str(resources.files("sqlwright"))) / "data" / "quickstart"
RECIPE = """
name = "planned"
[model]
base = "smollm2-135m-instruct"
[data]
train = ["package:quickstart/train.json"]
evaluate = ["package:quickstart/evaluate.json"]
databases = "package:quickstart/database"
[prompt]
max_schema_tokens = 300
"""


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "planned.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_a_plan_counts_and_writes_nothing(recipe_path: Path, tiny_model: Path) -> None:
    runs = recipe_path.parent / "runs"
    plan = pipeline.plan(read_recipe(recipe_path), recipe_path, runs)
    assert not runs.exists()
    files = {
        part: json.loads((QUICKSTART / f"{part}.json").read_text(encoding="utf-8")) for part in ("train", "evaluate")
    }
    databases = {part: len({question["db_id"] for question in own}) for part, own in files.items()}
    assert plan.questions["train"] + plan.questions["validation"] == len(files["train"])
    assert plan.questions["evaluate"] == len(files["evaluate"])
    assert plan.databases == {"train": databases["train"] - 1, "validation": 1, "evaluate": databases["evaluate"]}
    assert [name for name, _ in plan.stages] == [
        "prepare",
        "train",
        "predict.base",
        "predict",
        "evaluate",
        "export",
    ]
    assert plan.stages[0][1] == ["it has not run yet"]
    assert all(reasons for _, reasons in plan.stages)
    assert plan.steps == pytest.approx(plan.questions["train"] / 24, abs=2)
    # Schemas over the budget are cut question by question, so that fewer questions share one.
    assert plan.tokens_learned < plan.tokens_packed < plan.tokens_unpacked / 2
    assert set(plan.minutes) == {"train", "predict.base", "predict", "export"}
    assert all(minutes > 0 for minutes in plan.minutes.values())
    assert 600 < plan.memory_mb < 8000
    assert len(plan.schemas_cut) >= 1
    shown, _, rest = plan.prompt.partition(OPEN)
    assert "CREATE TABLE" in shown
    assert rest.endswith(CLOSE)
    assert rest.upper().startswith("SELECT")
    json.dumps(plan.to_json())
    text = plan.text()
    assert f"{plan.questions['train']} questions, {plan.databases['train']} databases" in text
    assert f"{plan.tokens_packed:,} tokens packed" in text
    assert all(f"cut: {name}" in text for name in plan.schemas_cut)


@pytest.mark.parametrize("override", ["seed=0", "data.max_train=40"])
def test_the_plan_trains_exactly_what_training_does(
    recipe_path: Path, tiny_model: Path, override: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts are those of the plan that training makes from prepared questions."""
    from sqlwright.training import rehearsal

    monkeypatch.setattr(rehearsal, "rehearse", lambda *_: rehearsal.Pace(0.0, 0.0, 0.0, 0.0))
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.runs.folder import RunFolder
    from sqlwright.runs.reporter import Silent
    from sqlwright.runs.run import Run
    from sqlwright.runs.stages.train import prompts_of
    from sqlwright.training.packing import encode
    from sqlwright.training.trainer import make_plan

    recipe = read_recipe(recipe_path, [override])
    planned = pipeline.plan(recipe, recipe_path, recipe_path.parent)
    pipeline.run(recipe, recipe_path, recipe_path.parent, only="prepare")
    run = Run(recipe, recipe_path, RunFolder(recipe_path.parent / "planned"), Silent())
    tokenizer = load_tokenizer(tiny_model)
    parts = [encode(prompts_of(run, part, tokenizer), tokenizer, 2) for part in ("train", "validation")]
    made = make_plan(*parts, recipe.train, recipe.seed)
    assert (planned.steps, planned.tokens_packed) == (len(made.steps), made.tokens)
    again = pipeline.plan(recipe, recipe_path, recipe_path.parent)
    assert again.stages[0] == ("prepare", [])
    assert again.stages[1] == ("train", ["it has not run yet"])
    assert "prepare" in again.text()
    assert "up to date" in again.text()


def test_a_recipe_that_does_not_train_plans_no_training(recipe_path: Path, tiny_model: Path) -> None:
    recipe = read_recipe(recipe_path, ["train.epochs=0", "data.max_evaluate=5", "data.max_train=20"])
    plan = pipeline.plan(recipe, recipe_path, recipe_path.parent)
    assert (plan.steps, plan.tokens_packed, plan.memory_mb) == (0, 0, 0.0)
    assert plan.questions["evaluate"] == 5
    assert "predict.base" not in dict(plan.stages)
    assert "Training" not in plan.text()


def test_marks_stand_around_the_target() -> None:
    prompt = Prompt("1", "db", "schema ", "question ", "SELECT 1")
    assert marked(prompt) == f"schema question {OPEN}SELECT 1{CLOSE}"
