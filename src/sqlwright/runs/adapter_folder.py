"""An adapter of a run on disk: PEFT's files, the prompt settings it belongs to, and the GGUF file that serves it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sqlwright.export.gguf_adapter import write_gguf_adapter
from sqlwright.models.adapter import write_prompt_settings, write_shots
from sqlwright.runs.run import Run


def write_adapter(run: Run, model: Any, target: Path) -> None:
    """Write the LoRA matrices of a PEFT model as the adapter's folder `target`, whole or not at all."""
    aside = target.with_name(target.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = run.recipe.model.base
    # Without this, PEFT asks the hub whether the base model has other embeddings.
    model.save_pretrained(str(aside), save_embedding_layers=False)
    write_prompt_settings(aside, run.recipe.prompt.model_dump(mode="json"), run.recipe.model.base, run.model_hash)
    write_shots(aside, run.shots)
    write_gguf_adapter(aside, run.model_path, aside / "adapter.gguf")
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
