"""A recipe that is done in seconds with a model of few layers: some of the quickstart's questions, short schemas."""

from __future__ import annotations

from pathlib import Path

RECIPE = """
name = "NAME"
[model]
base = "BASE"
[data]
train = ["package:quickstart/train.json"]
evaluate = ["package:quickstart/evaluate.json"]
databases = "package:quickstart/database"
max_train = TRAINED
max_evaluate = 2
[prompt]
sample_values = 0
max_schema_tokens = 64
[train]
learning_rate = 1e-3
rank = 2
questions_per_step = 3
questions_per_sequence = 3
tokens_per_batch = 512
MORE
[predict]
baseline = false
max_tokens = 6
[evaluate]
metrics = ["robust"]
[export]
check_prompts = 0
"""


def write_recipe(folder: Path, name: str, base: Path, trained: int, more: str = "") -> Path:
    """Write the recipe `NAME.toml` for so many training questions; `more` are further lines of [train]."""
    text = (
        RECIPE.replace("NAME", name).replace("BASE", str(base)).replace("TRAINED", str(trained)).replace("MORE", more)
    )
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path
