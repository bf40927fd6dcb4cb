"""Which adapter a recipe starts from: the one that ships where nothing is trained, and its prompts with it."""

from __future__ import annotations

import json
import re
import shutil
from importlib import resources
from pathlib import Path

import pytest

from sqlwright import pipeline
from sqlwright.recipe_file import read_recipe
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.reporter import Silent
from sqlwright.runs.run import Run

QUICKSTART = Path(str(resources.files("sqlwright"))) / "data" / "quickstart"
ASKED = '[data]\nformat = "spider"\nevaluate = ["package:quickstart/evaluate.json"]\n'
ASKED += 'databases = "package:quickstart/database"\ntables = "package:quickstart/tables.json"\n'
TRAINED = ASKED.replace("evaluate =", 'train = ["package:quickstart/train.json"]\nevaluate =')
SHIPPED = json.loads((QUICKSTART.parent / "adapter" / "prompt.json").read_text(encoding="utf-8"))


def settled(tmp_path: Path, text: str) -> Run:
    path = tmp_path / "my.toml"
    path.write_text('name = "my"\n' + text, encoding="utf-8")
    return Run(read_recipe(path), path, RunFolder(tmp_path / "runs" / "my"), Silent())


@pytest.mark.parametrize(
    ("text", "adapter", "noted"),
    [
        (ASKED, "shipped", "adapter that ships answers"),
        (ASKED + "[prompt]\nmatched_values = 4\n", "shipped", "adapter that ships answers"),
        (TRAINED + "[train]\nepochs = 0\n", "shipped", "adapter that ships answers"),
        (ASKED + '[prompt]\nstyle = "ddl"\n', "none", 'set in .prompt. style = "compact"'),
        (ASKED + '[model]\nbase = "smollm2-135m-instruct"\n', "none", "^$"),
        (ASKED + '[model]\nadapter = "none"\n', "none", "^$"),
        (ASKED + '[prefer]\nmethod = "dpo"\n', "none", "^$"),
        (TRAINED, "none", "^$"),
    ],
)
def test_auto_is_the_adapter_that_ships_where_nothing_is_trained(
    tmp_path: Path, text: str, adapter: str, noted: str
) -> None:
    run = settled(tmp_path, text)
    assert run.recipe.model.adapter == adapter
    assert re.search(noted, run.adapter_note)
    own = adapter == "shipped"
    assert (run.recipe.prompt.max_schema_tokens == SHIPPED["max_schema_tokens"]) is own
    assert (run.recipe.prompt.matched_values == SHIPPED["matched_values"]) is own


@pytest.mark.parametrize("section", [ASKED, TRAINED])
def test_an_adapter_brings_its_prompts(tmp_path: Path, section: str) -> None:
    text = section + '[model]\nadapter = "shipped"\n[prompt]\nsample_values = 1\n'
    found = settled(tmp_path, text).recipe.prompt.model_dump()
    # What the recipe says stays, for the run to refuse it.
    assert found == {name: SHIPPED[name] for name in found} | {"sample_values": 1}


def test_an_adapter_that_is_not_there_yet_stops_no_earlier_stage(tmp_path: Path) -> None:
    assert settled(tmp_path, TRAINED + '[model]\nadapter = "runs/other"\n').recipe.model.adapter == "runs/other"


def test_what_an_adapter_answers_depends_on_neither_its_card_nor_its_confidence(tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(QUICKSTART.parent / "adapter", own)
    text = ASKED + f'[model]\nadapter = "{own.as_posix()}"\n'
    before = settled(tmp_path, text).adapter_inputs
    assert before == settled(tmp_path, ASKED).adapter_inputs, "the same adapter in another place"
    (own / "README.md").write_text("Another card.", encoding="utf-8")
    (own / "confidence.json").unlink()
    assert settled(tmp_path, text).adapter_inputs == before
    (own / "prompt.json").write_text(json.dumps(SHIPPED | {"sample_values": 1}), encoding="utf-8")
    prompts = settled(tmp_path, text).adapter_inputs
    assert prompts != before
    with (own / "adapter.gguf").open("ab") as file:
        file.write(b"\0")
    assert settled(tmp_path, text).adapter_inputs not in (before, prompts)


class Heard(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.usefixtures("base_model")
def test_predict_takes_the_adapter_that_ships(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('name = "my"\n' + ASKED.replace("[data]\n", "[data]\nmax_evaluate = 1\n"), encoding="utf-8")
    heard = Heard()
    pipeline.run(read_recipe(path), path, tmp_path / "runs", heard, only="evaluate")
    folder = RunFolder(tmp_path / "runs" / "my")
    assert list(json.loads(folder.report.read_text(encoding="utf-8"))["scores"]) == ["adapter"]
    assert read_recipe(folder.recipe).model.adapter == "shipped"
    assert any("adapter that ships" in said for said in heard.said)
