"""Stage `train`: questions in, an adapter out: in PEFT's format, as GGUF, and the prompt settings it belongs to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from sqlwright.errors import DataError
from sqlwright.models.adapter import write_prompt_settings, write_shots
from sqlwright.models.tokenizer import token_ids
from sqlwright.prompts import PromptFormat, build_prompts, cut_notes
from sqlwright.records import Prompt
from sqlwright.runs.folder import hash_path
from sqlwright.runs.run import Run


def inputs(run: Run) -> dict[str, str]:
    """Return what the adapter depends on: model, prompts, training settings, questions, seed."""
    recipe = run.recipe
    values = {f"train.{key}": json.dumps(value) for key, value in recipe.train.model_dump(mode="json").items()}
    # How often progress is saved or measured does not change the result.
    del values["train.checkpoint_every"], values["train.validate_every"]
    values |= run.prompt_inputs
    values |= {"model": run.model_hash, "model.dtype": recipe.model.dtype, "model.device": recipe.model.device}
    values["seed"] = str(recipe.seed)
    for part in ("train", "validation"):
        values[f"{part} questions"] = hash_path(run.part(part))
    return values | run.adapter_inputs | run.database_inputs


def outputs(run: Run) -> list[Path]:
    """Return the adapter's folder, if there is anything to train."""
    return [run.folder.adapter] if trains(run) else []


def trains(run: Run) -> bool:
    """Return whether the recipe asks for training at all."""
    return bool(run.recipe.data.train) and run.recipe.train.epochs > 0


def execute(run: Run, going_on: bool) -> dict[str, Any]:
    """Train, and write `adapter/`; return steps, losses, speed and memory."""
    folder = run.folder
    if not going_on:
        for stale in (folder.path / "checkpoints", folder.adapter):
            shutil.rmtree(stale, ignore_errors=True)
        (folder.path / "metrics.jsonl").unlink(missing_ok=True)
    if not trains(run):
        _ = run.adapter  # said now if it is missing
        return {"steps": 0, "questions": 0}
    import warnings

    import torch

    from sqlwright.export.gguf_adapter import write_gguf_adapter
    from sqlwright.models.device import choose_device, choose_dtype, choose_threads, peak_memory_mb
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.models.weights import load_model
    from sqlwright.training.packing import encode
    from sqlwright.training.trainer import make_plan, train

    # transformers and PEFT disagree on a name; it is theirs to mend and says nothing to the user.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    recipe = run.recipe
    torch.set_num_threads(choose_threads(recipe.model.threads))
    device = choose_device(recipe.model.device)
    dtype = choose_dtype(recipe.model.dtype, device)
    run.reporter.say(
        f"Reading {run.model_path.name} and its tokenizer ({str(dtype).removeprefix('torch.')}, {device})."
    )
    tokenizer = load_tokenizer(run.model_path)
    learned, held_out = (prompts_of(run, part, tokenizer) for part in ("train", "validation"))
    if not learned:
        raise DataError("train: expected training questions, found none left after the validation databases.")
    end = tokenizer.eos_token_id
    plan = make_plan(encode(learned, tokenizer, end), encode(held_out, tokenizer, end), recipe.train, recipe.seed)
    model = load_model(run.model_path, dtype, device)
    run.reporter.say(
        f"Training on {plan.questions} questions in {len(plan.steps)} steps: {plan.tokens:,} tokens packed, "
        f"{sum(len(q.prefix) + len(q.branch) for step in plan.steps for g in step for q in g):,} unpacked."
    )
    result = train(
        model,
        plan,
        recipe.train,
        seed=recipe.seed,
        folder=folder.path,
        progress=lambda done, total, note: run.reporter.progress("train", done, total, note),
        say=run.reporter.say,
        start=run.adapter.weights if run.adapter else None,
    )
    aside = folder.path / "adapter.partial"
    shutil.rmtree(aside, ignore_errors=True)
    result.model.peft_config["default"].base_model_name_or_path = recipe.model.base
    # Without this, PEFT asks the hub whether the base model has other embeddings.
    result.model.save_pretrained(str(aside), save_embedding_layers=False)
    write_prompt_settings(aside, recipe.prompt.model_dump(mode="json"), recipe.model.base, run.model_hash)
    write_shots(aside, run.shots)
    if not run.model_path.is_dir():
        write_gguf_adapter(aside, run.model_path, aside / "adapter.gguf")
    shutil.rmtree(folder.adapter, ignore_errors=True)
    aside.rename(folder.adapter)
    return {
        "steps": result.steps,
        "questions": result.questions,
        "tokens": plan.tokens,
        "seconds": round(result.seconds, 1),
        "questions per second": round(result.questions / max(result.seconds, 1e-9), 3),
        "loss": [round(loss, 4) for loss in (result.losses[0], result.losses[-1])],
        "validation loss": [round(loss, 4) for loss in result.validation_losses],
        "peak memory MB": round(peak_memory_mb(device)),
        "dtype": str(dtype).removeprefix("torch."),
        "device": device,
    }


def prompts_of(run: Run, part: str, tokenizer: Any, fmt: PromptFormat | None = None) -> list[Prompt]:
    """Return the prompts of a part with their targets, in the run's format if no other; a cut schema is said aloud."""

    def count_tokens(text: str) -> int:
        return len(token_ids(tokenizer, text))

    questions = [question for question in run.questions(part) if question.golds]
    prompts = build_prompts(
        questions, run.databases, fmt or run.format, count_tokens, run.target, shots=run.shots, cache=run.value_indexes
    )
    for note in cut_notes(prompts):
        run.reporter.say(note)
    return prompts
