"""`prepare` with pairs made of the training databases, and questions asked of variants of them."""

from __future__ import annotations

import json
from pathlib import Path

from sqlwright import pipeline
from sqlwright.databases import Executor
from sqlwright.recipe_file import read_recipe
from sqlwright.records import Question, read_records
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.reporter import Silent

RECIPE = """
name = "r"
seed = 2
[data]
format = "spider"
train = ["package:quickstart/train.json"]
evaluate = ["package:quickstart/evaluate.json"]
databases = "package:quickstart/database"
max_train = 60
validation_databases = 2
"""


def prepared(place: Path, settings: str, runs: str) -> tuple[dict[str, list[Question]], dict[str, str], RunFolder]:
    path = place / "my.toml"
    path.write_text(RECIPE + settings, encoding="utf-8")
    pipeline.run(read_recipe(path), path, place / runs, Silent(), only="prepare")
    folder = RunFolder(place / runs / "r")
    names = {"train": "questions.train", "validation": "questions.validation", "evaluate": "questions"}
    parts = {part: list(read_records(folder.path / f"{name}.jsonl", Question)) for part, name in names.items()}
    return parts, json.loads((folder.path / "databases.json").read_text(encoding="utf-8")), folder


def test_pairs_come_to_the_questions_and_variants_take_their_share(tmp_path: Path) -> None:
    plain, _, _ = prepared(tmp_path, "", "plain")
    parts, databases, folder = prepared(tmp_path, "made_pairs = 2\nvariants = 0.5\n", "made")
    assert parts["evaluate"] == plain["evaluate"] and parts["validation"] == plain["validation"]
    given = {one.text for one in plain["train"]}
    own = {one.database for one in plain["train"]}
    added = [one for one in parts["train"] if one.text not in given]
    assert len(parts["train"]) == len(plain["train"]) + len(added)
    assert 0.7 * 2 * len(own) <= len(added) <= 2 * len(own)
    assert {one.database.split("~")[0] for one in added} <= own
    varied = [one for one in parts["train"] if "~" in one.database]
    assert 0.3 * len(parts["train"]) < len(varied) < 0.6 * len(parts["train"])
    assert folder.facts("prepare")["made pairs"] == len(added)
    assert folder.facts("prepare")["variants"] == len({one.database for one in varied})
    with Executor(workers=1) as executor:
        for one in varied:
            assert (folder.path / "databases" / one.database / f"{one.database}.sqlite").is_file()
            assert executor.run(databases[one.database], one.golds[0]).ok


def test_the_same_recipe_makes_the_same_questions(tmp_path: Path) -> None:
    settings = "made_pairs = 1\nvariants = 0.4\n"
    assert prepared(tmp_path, settings, "first")[0] == prepared(tmp_path, settings, "second")[0]
