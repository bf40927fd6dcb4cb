"""What a reader of a report wants to know of a run: model, data, training, speed, machine, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import suppress

from sqlwright import __version__
from sqlwright.errors import ModelError
from sqlwright.models.llama_server import build_of, own_program
from sqlwright.runs.run import Run


def run_facts(run: Run) -> Iterator[tuple[str, str, str]]:
    """Yield (group, name, value) for the report, from the recipe, the manifest and the machine."""
    recipe, facts = run.recipe, run.folder.facts
    yield "Model", "base", recipe.model.base
    yield "Model", "SHA-256", run.model_hash
    yield "Model", "prompt style", recipe.prompt.style
    if run.adapter:
        yield "Model", "adapter it starts from", run.recipe.model.adapter
    if run.learns:
        learned = recipe.train
        yield "Model", "adapter", f"LoRA, rank {learned.rank}, alpha {learned.alpha:g}, {learned.targets}"
    for name, value in facts("prepare").items():
        if name not in ("tables", "databases"):
            yield "Data", name, str(value)
    for name, value in facts("train").items():
        yield "Training", name, " → ".join(map(str, value)) if isinstance(value, list) else str(value)
    for name, value in facts("prefer").items():
        yield "Preference", name, " → ".join(map(str, value)) if isinstance(value, list) else str(value)
    yield "Training", "learning rate", f"{recipe.train.learning_rate:g}"
    yield "Training", "seed", str(recipe.seed)
    for stage, when in (("predict.base", "before"), ("predict", "after"), ("predict.best", "best")):
        for name, value in facts(stage).items():
            yield "Prediction", f"{name}, {when}", str(value)
    yield "Machine", "processor", f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}"
    yield "Machine", "system", f"{platform.system()} {platform.release()}"
    yield "Versions", "sqlwright", __version__
    yield "Versions", "python", platform.python_version()
    for package in ("torch", "transformers", "peft", "xllamacpp", "sqlglot"):
        try:
            yield "Versions", package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    with suppress(ModelError):
        program = own_program()
        if program:
            yield "Versions", "llama-server, in place of xllamacpp", build_of(program)
