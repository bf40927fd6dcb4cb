"""A curriculum through all stages: adapters after each phase, their scores side by side, kill -9 between phases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from needs import needs

pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

from small_recipe import write_recipe

from sqlwright import pipeline
from sqlwright.errors import RecipeError
from sqlwright.models.adapter import read_adapter
from sqlwright.recipe import Phase
from sqlwright.recipe_file import read_recipe

needs("peft")

PHASES = (
    'phases = [{hardness = ["easy", "medium"], epochs = 0.5}, {hardness = ["hard", "extra"], learning_rate = 2e-3}]'
)


@pytest.fixture
def recipe(short_model: Path, tmp_path: Path) -> Path:
    return write_recipe(tmp_path, "curriculum", short_model, 12, PHASES)


def test_each_phase_has_its_adapter_and_its_scores(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run(read_recipe(recipe), recipe, tmp_path)
    folder = tmp_path / "curriculum"
    assert [path.name for path in (folder / "phases").iterdir()] == ["1"]
    first, last = (read_adapter(path).weights.read_bytes() for path in (folder / "phases" / "1", folder))
    assert first != last
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert list(report["scores"]) == ["after phase 1", "after fine-tuning"]
    assert all(one["robust"]["overall"]["total"] == 2 for one in report["scores"].values())
    assert "after phase 1" in (folder / "report.html").read_text(encoding="utf-8")
    # Killed when the first phase had just ended: the same command comes to the same.
    from sqlwright.runs.stages import train

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    again = [f"name={name}" for name in ("again",)]
    with monkeypatch.context() as patch:
        patch.setattr(train, "write_adapter", stop)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(read_recipe(recipe, again), recipe, tmp_path, only="train")
    pipeline.run(read_recipe(recipe, again), recipe, tmp_path, only="train")
    assert read_adapter(tmp_path / "again").weights.read_bytes() == last
    assert read_adapter(tmp_path / "again" / "phases" / "1").weights.read_bytes() == first


def test_a_recipe_is_written_and_read_with_its_phases(recipe: Path, tmp_path: Path) -> None:
    found = read_recipe(recipe)
    assert found.train.phases == (
        Phase(hardness=("easy", "medium"), epochs=0.5),
        Phase(hardness=("hard", "extra"), learning_rate=2e-3),
    )
    pipeline.run(found, recipe, tmp_path, only="prepare")
    decided = read_recipe(recipe, ["model.adapter=none"])
    assert found.model.adapter == "auto"
    assert read_recipe(tmp_path / "curriculum" / "recipe.toml") == decided
    with pytest.raises(RecipeError, match=r"unknown setting `train\.phases\.hardnes`"):
        read_recipe(recipe, ['train.phases=[{hardnes = ["easy"]}]'])
    with pytest.raises(RecipeError, match=r"`train\.phases\.hardness` = 'eesy'"):
        read_recipe(recipe, ['train.phases=[{hardness = ["eesy"]}]'])


def test_a_plan_counts_the_phases(recipe: Path, tmp_path: Path) -> None:
    whole = pipeline.plan(read_recipe(recipe, ["train.phases=[]", "data.max_train=24"]), recipe, tmp_path)
    both = pipeline.plan(read_recipe(recipe, ["data.max_train=24"]), recipe, tmp_path)
    assert 0 < both.steps < whole.steps
    assert [name for name, _ in both.stages][2:4] == ["predict.phases", "predict"]
