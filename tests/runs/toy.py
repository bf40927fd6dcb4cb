"""A toy database with questions about it, for learning from a model's own answers."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

SCHEMA = """
CREATE TABLE animal (name TEXT, legs INTEGER, weight REAL);
INSERT INTO animal VALUES ('ant', 6, 0.01), ('cat', 4, 4.5), ('crow', 2, 0.5), ('dog', 4, 20.0), ('eel', 0, 3.0);
CREATE TABLE keeper (name TEXT, age INTEGER);
INSERT INTO keeper VALUES ('Ann', 30), ('Bob', 50), ('Cid', 41);
"""
PAIRS = (
    ("How many animals are there?", "SELECT count(*) FROM animal"),
    ("How many keepers are there?", "SELECT count(*) FROM keeper"),
    ("What are the names of the animals?", "SELECT name FROM animal"),
    ("What are the names of the keepers?", "SELECT name FROM keeper"),
    ("What is the highest weight of an animal?", "SELECT max(weight) FROM animal"),
    ("What is the highest age of a keeper?", "SELECT max(age) FROM keeper"),
)
RECIPE = """
name = "toy"
seed = 1

[model]
base = "{base}"
dtype = "float32"
device = "cpu"
threads = 1

[data]
format = "jsonl"
train = ["toy.jsonl"]
databases = "database"
validation_databases = 0

[prompt]
sample_values = 0

[train]
epochs = {epochs}
learning_rate = 5e-3
rank = 8
questions_per_step = 6
questions_per_sequence = 6

[predict]
engine = "torch"
max_tokens = 12

[evaluate]
workers = 1
"""


def write_toy(folder: Path, model: Path, epochs: int) -> Path:
    """Write database, questions and recipe into the folder, and return the recipe's path."""
    (folder / "database").mkdir()
    with sqlite3.connect(folder / "database" / "zoo.sqlite") as connection:
        connection.executescript(SCHEMA)
    lines = [json.dumps({"id": f"q{n}", "database": "zoo", "question": q, "sql": s}) for n, (q, s) in enumerate(PAIRS)]
    (folder / "toy.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = folder / "toy.toml"
    recipe.write_text(RECIPE.format(base=model, epochs=epochs), encoding="utf-8")
    return recipe
