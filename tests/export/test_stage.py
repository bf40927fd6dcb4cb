"""The stage `export`: a check that fails leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from needs import needs

pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

from sqlwright import pipeline
from sqlwright.errors import ModelError
from sqlwright.export.gguf_adapter import write_gguf_adapter
from sqlwright.models.adapter import write_prompt_settings
from sqlwright.recipe_file import read_recipe
from sqlwright.runs.folder import RunFolder
from sqlwright.runs.reporter import Silent
from sqlwright.runs.run import Run
from sqlwright.runs.stages import export

needs("peft")

RECIPE = """
name = "r"
[model]
base = "smollm2-135m-instruct"
[data]
train = ["package:quickstart/train.json"]
evaluate = ["package:quickstart/evaluate.json"]
databases = "package:quickstart/database"
max_evaluate = 3
[prompt]
sample_values = 0
max_schema_tokens = 96
[predict]
max_tokens = 8
[export]
check_prompts = 2
"""


def test_an_adapter_that_answers_otherwise_than_the_trained_one_is_not_exported(
    tiny_model: Path, random_adapter: Path, tmp_path: Path
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE, encoding="utf-8")
    recipe = read_recipe(path)
    pipeline.run(recipe, path, tmp_path, only="prepare")
    run = Run(recipe, path, RunFolder(tmp_path / "r"), Silent())
    adapter = run.folder.adapter
    shutil.copytree(random_adapter, adapter)
    write_prompt_settings(adapter, recipe.prompt.model_dump(mode="json"), recipe.model.base, run.model_hash)
    # The GGUF file is that of an adapter with another scale: what goes wrong in a conversion that went wrong.
    config = adapter / "adapter_config.json"
    right = config.read_text(encoding="utf-8")
    config.write_text(right.replace('"lora_alpha": 16', '"lora_alpha": 64'), encoding="utf-8")
    write_gguf_adapter(adapter, tiny_model, adapter / "adapter.gguf")
    config.write_text(right, encoding="utf-8")
    with pytest.raises(ModelError, match="The export is not kept"):
        export.execute(run, False)
    assert not (run.folder.path / "export").exists()
    assert not (run.folder.path / "export.partial").exists()


def test_other_scores_need_a_new_card_and_no_new_check(
    tiny_model: Path, random_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE, encoding="utf-8")
    recipe = read_recipe(path)
    run = Run(recipe, path, RunFolder(tmp_path / "r"), Silent())
    shutil.copytree(random_adapter, run.folder.adapter)
    write_prompt_settings(run.folder.adapter, recipe.prompt.model_dump(mode="json"), recipe.model.base, run.model_hash)
    write_gguf_adapter(run.folder.adapter, tiny_model, run.folder.adapter / "adapter.gguf")
    checks = []
    monkeypatch.setattr(export, "_check", lambda *_: checks.append(1) or {"checked": 20, "agree": 19})
    before = export.inputs(run)
    export.execute(run, False)
    score = {"overall": {"value": 0.5, "low": 0.25, "high": 0.75, "total": 4}, "expected": 4}
    run.folder.report.write_text(json.dumps({"scores": {"after": {"ex": score}}, "seconds": 3}), encoding="utf-8")
    assert export.inputs(run) != before
    export.execute(run, False)
    card = (run.folder.path / "export" / "README.md").read_text(encoding="utf-8")
    assert "| after | ex | 0.500 | 0.250 to 0.750 | 4 of 4 |" in card
    assert "19 of 20 greedy answers agree" in card
    assert len(checks) == 1
    check = run.folder.path / "export" / export.CHECK
    check.write_text(check.read_text(encoding="utf-8").replace("19", "20"), encoding="utf-8")
    export.execute(run, False)
    assert len(checks) == 2, "figures that were edited don't count"
