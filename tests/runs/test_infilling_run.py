"""Infilling through the stages: documents to learn from, the benchmark's gaps to fill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_folders import make_folder
from needs import needs
from reading import PUBLISHED

pytest.importorskip("torch")

from sqlwright import pipeline
from sqlwright.decoding.infill import infill
from sqlwright.models.adapter import read_adapter
from sqlwright.models.engines import open_engine
from sqlwright.models.tokenizer import chat_template
from sqlwright.recipe_file import read_recipe

needs("peft")

RECIPE = """
name = "infilling"
[model]
base = "{base}"
dtype = "float32"
[data]
format = "infilling"
train = ["shop.py"]
evaluate = ["{gaps}"]
validation_databases = 0
[train]
rank = 2
questions_per_step = 2
questions_per_sequence = 2
[predict]
max_tokens = 12
"""


def test_gaps_are_learned_and_filled(tmp_path: Path) -> None:
    marks = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
    base = make_folder(tmp_path / "model", "falcon", marks)
    (tmp_path / "shop.py").write_text("def total(prices):\n    return sum(prices)\n")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace("{base}", str(base)).replace("{gaps}", str(PUBLISHED / "infilling.jsonl")))
    recipe = read_recipe(path)
    planned = pipeline.plan(recipe, path, tmp_path / "runs")
    assert (planned.questions["train"], planned.steps) == (4, 2)
    assert planned.prompt.startswith("<fim_prefix>")
    pipeline.run(recipe, path, tmp_path / "runs", only="predict")
    run = tmp_path / "runs" / "infilling"
    (line,) = (json.loads(text) for text in (run / "completions.jsonl").read_text().splitlines())
    assert line["sql"] == line["text"], "all that was decoded belongs to the gap"
    with open_engine("torch", base, read_adapter(run).weights, context=256, dtype="float32") as engine:
        assert infill(engine, chat_template(base), "def f(x):\n", "    return y\n", 12) == line["text"]
