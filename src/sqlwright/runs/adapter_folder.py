"""An adapter of a run on disk: PEFT's files, the prompt settings it belongs to, and the GGUF file that serves it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlwright.models import adapter as adapter_files
from sqlwright.models.adapter import write_prompt_settings, write_shots
from sqlwright.runs.run import Run


def write_adapter(run: Run, model: Any, target: Path, weights: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Write what a model has learned to the adapter folder `target`, whole or not at all.

    `adapter.gguf` or, where the kind is none that an adapter can hold, `model.gguf` with the trained `weights`; PEFT's
    files, where it has any; and the prompts it was trained with.
    """
    from sqlwright.export.gguf_adapter import write_gguf_adapter
    from sqlwright.export.merged import write_trained
    from sqlwright.training.kinds import PLAIN, WHOLE

    kind = run.recipe.train.kind
    aside = target.with_name(f"{target.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    if kind not in PLAIN:
        model.peft_config["default"].base_model_name_or_path = run.recipe.model.base
        # Without this, PEFT asks the hub whether the base model has other embeddings.
        model.save_pretrained(str(aside), save_embedding_layers=False)
    theta = run.recipe.model.rope_theta
    settings = run.recipe.prompt.model_dump(mode="json") | ({"rope_theta": theta} if theta else {})
    write_prompt_settings(aside, settings, run.recipe.model.base, run.model_hash)
    write_shots(aside, run.shots)
    if kind in WHOLE:
        write_trained(run.model_path, weights, aside / adapter_files.WHOLE, rope_theta=theta)
    elif not run.model_path.is_dir():
        write_gguf_adapter(aside, run.model_path, aside / adapter_files.LORA, theta)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
