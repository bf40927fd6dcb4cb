"""The recipes with published settings of others, planned without a network, weights, or a model at hand."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest
from needs import needs

pytest.importorskip("torch")

from sqlwright import pipeline
from sqlwright.models.published import PUBLISHED
from sqlwright.models.snapshot import is_hub_name
from sqlwright.recipe_file import read_recipe

needs("transformers")

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
BY_HUB_NAME = {path.stem: path for path in RECIPES.glob("*.toml") if is_hub_name(read_recipe(path).model.base)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the recipes and, laid out as Spider, some of the quickstart's questions."""
    target = tmp_path_factory.mktemp("published")
    quickstart = Path(str(resources.files("sqlwright"))) / "data" / "quickstart"
    spider = target / "spider"
    shutil.copytree(quickstart / "database", spider / "database")
    shutil.copy(quickstart / "tables.json", spider)
    # Of each hardness some, for the phases of a curriculum.
    train = json.loads((quickstart / "train.json").read_text(encoding="utf-8"))
    parts = {"train_spider": train[:50], "train_others": train[50:60]}
    parts["dev"] = json.loads((quickstart / "evaluate.json").read_text(encoding="utf-8"))[:5]
    for name, questions in parts.items():
        (spider / f"{name}.json").write_text(json.dumps(questions), encoding="utf-8")
    for path in BY_HUB_NAME.values():
        shutil.copy(path, target)
    return target


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("SQLWRIGHT_MODELS", str(tmp_path / "models"))


def test_there_is_one_for_every_family() -> None:
    assert set(BY_HUB_NAME) == {
        "sqlcoder-15b",
        *(f"db-gpt-hub-{base}" for base in ("codellama-7b", "codellama-13b", "llama-2-13b", "qwen-7b", "baichuan2-7b")),
    }
    assert {read_recipe(path).model.base for path in BY_HUB_NAME.values()} <= set(PUBLISHED)


@pytest.mark.parametrize("name", BY_HUB_NAME)
def test_it_is_planned(name: str, folder: Path) -> None:
    path = folder / f"{name}.toml"
    recipe = read_recipe(path)
    planned = pipeline.plan(recipe, path, folder / "runs")
    assert not (folder / "runs").exists()
    assert planned.steps > 0
    assert 0 < planned.tokens_learned < planned.tokens_packed < planned.tokens_unpacked
    weights = PUBLISHED[recipe.model.base].parameters
    assert planned.memory_mb > 2 * weights / 1e6, "two bytes a weight at least"
    assert planned.notes[-1].startswith(f"{recipe.model.base} is not on this machine")


def test_four_bits_take_a_quarter_of_sixteen(folder: Path) -> None:
    path = folder / "db-gpt-hub-codellama-7b.toml"
    memory = [
        pipeline.plan(read_recipe(path, [f"train.kind={kind}"]), path, folder / "runs").memory_mb * 1e6
        for kind in ("lora", "qlora")
    ]
    saved = (memory[0] - memory[1]) / PUBLISHED["codellama/CodeLlama-7b-Instruct-hf"].parameters
    assert 1.4 < saved < 1.5, "but for the embeddings"
