"""Stage `train`: questions in, an adapter out: in PEFT's format, as GGUF, and the prompt settings it belongs to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlwright.errors import DataError, RecipeError
from sqlwright.models.tokenizer import token_ids
from sqlwright.prompts import PromptFormat, build_prompts, cut_notes
from sqlwright.recipe import SAME_STEPS, TrainSettings
from sqlwright.records import Prompt
from sqlwright.runs.adapter_folder import write_adapter
from sqlwright.runs.folder import hash_path
from sqlwright.runs.run import Run
from sqlwright.runs.trackers import forget, tracking
from sqlwright.training.estimate import Sizes, Widths, fit_tokens, require_room
from sqlwright.training.ranks import Ranks, join

if TYPE_CHECKING:
    import torch

    from sqlwright.training.packing import Encoded
    from sqlwright.training.trainer import Plan, TrainResult

TRAIN = "train"
"""The stage's name, which rank 0 tells the others when there is something to train."""
_NEWER = ("interpolation", "kind", "phases", "bits")


def inputs(run: Run) -> dict[str, str]:
    """Return what the adapter depends on: model, prompts, training settings, questions, seed."""
    recipe = run.recipe
    settings = recipe.train.model_dump(mode="json")
    # How often progress is saved or measured, and how gradients are computed, does not change the result; a run that
    # was made before the newer settings existed stays up to date while they are off.
    defaults = TrainSettings().model_dump(mode="json")
    without = {"checkpoint_every", "validate_every", *SAME_STEPS} | {
        key for key in _NEWER if settings[key] == defaults[key]
    }
    values = {f"train.{key}": json.dumps(value) for key, value in settings.items() if key not in without}
    values |= run.prompt_inputs
    values |= {"model": run.model_hash, "model.dtype": recipe.model.dtype, "model.device": recipe.model.device}
    values |= {"model.rope_theta": str(recipe.model.rope_theta)} if recipe.model.rope_theta else {}
    values["seed"] = str(recipe.seed)
    for part in ("train", "validation"):
        values[f"{part} questions"] = hash_path(run.part(part))
    return values | run.adapter_inputs | run.database_inputs


def outputs(run: Run) -> list[Path]:
    """Return the adapter's folder, if there is anything to train."""
    return [run.folder.adapter] if run.trains else []


def execute(run: Run, going_on: bool) -> dict[str, Any]:
    """Train, and write `adapter/`; return steps, losses, speed and memory."""
    folder = run.folder
    if not going_on:
        for stale in (folder.path / "checkpoints", folder.phases, folder.adapter):
            shutil.rmtree(stale, ignore_errors=True)
        (folder.path / "metrics.jsonl").unlink(missing_ok=True)
        forget(run)
    if not run.trains:
        _ = run.adapter  # said now if it is missing
        return {"steps": 0, "questions": 0}
    ranks = join()
    with tracking(run) as tracked:
        ranks.tell(TRAIN)
        result, plan, dtype, device = learn(run, ranks, tracked.metrics if tracked else lambda _: None)
    write_adapter(run, result.model, folder.adapter, result.weights)
    from sqlwright.models.device import peak_memory_mb

    return {
        "steps": result.steps,
        "questions": result.questions,
        "tokens": plan.tokens,
        "seconds": round(result.seconds, 1),
        "questions per second": round(result.questions / max(result.seconds, 1e-9), 3),
        "loss": [round(loss, 4) for loss in (result.losses[0], result.losses[-1])],
        "validation loss": [round(loss, 4) for loss in result.validation_losses],
        "peak memory MB": round(peak_memory_mb(device)),
        "dtype": dtype,
        "device": device,
        **({"processes": ranks.world} if ranks.world > 1 else {}),
    }


def learn(
    run: Run, ranks: Ranks, track: Callable[[dict[str, Any]], None] = lambda _: None
) -> tuple[TrainResult, Plan, str, str]:
    """Return the trained model, the plan, the number format and the device; called by all ranks of a run alike.

    `track` is given each line of metrics.
    """
    import warnings

    import torch

    from sqlwright.models.device import choose_device, choose_threads
    from sqlwright.models.weights import load_model
    from sqlwright.training.trainer import train

    # transformers and PEFT disagree on a name; it is theirs to mend and says nothing to the user.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    recipe, folder = run.recipe, run.folder
    _check_kind(run)
    _check_sharding(run, ranks)
    torch.set_num_threads(recipe.model.threads or max(1, choose_threads(0) // ranks.beside))
    device = choose_device(recipe.model.device)
    dtype = number_format(run, device)
    name = str(dtype).removeprefix("torch.")
    run.reporter.say(f"Reading {Path(recipe.model.base).name} and its tokenizer ({name}, {device}).")
    plan, settings = _planned(run, ranks, device)
    # What is shared out comes to the device layer by layer.
    place = "cpu" if ranks.sharding else device
    model = load_model(run.model_path, dtype, place, recipe.model.rope_theta, _bits(run))
    groups = [group for step in plan.steps for group in step]
    run.reporter.say(
        f"Training on {plan.questions} questions in {len(plan.steps)} steps: {plan.tokens:,} tokens packed, "
        f"{sum(len(q.prefix) + len(q.branch) for group in groups for q in group):,} unpacked; up to "
        f"{max(map(len, groups))} questions share a schema, {plan.questions / len(groups):.1f} in the mean."
    )
    result = train(
        model,
        plan,
        settings,
        seed=recipe.seed,
        folder=folder.path,
        progress=lambda done, total, note, losses: run.reporter.progress("train", done, total, note, losses),
        say=run.reporter.say,
        start=run.adapter.weights if run.adapter else None,
        after_phase=lambda phase, trained, weights: write_adapter(run, trained, folder.phases / str(phase), weights),
        ranks=ranks,
        track=track,
        device=device,
    )
    return result, plan, name, device


def number_format(run: Run, device: str) -> torch.dtype:
    """Return the number format in which the run's model is trained."""
    import torch

    from sqlwright.models.device import choose_dtype
    from sqlwright.training.kinds import PLAIN

    # Small steps of AdamW are lost in the rounding of bfloat16 weights.
    return torch.float32 if run.recipe.train.kind in PLAIN else choose_dtype(run.recipe.model.dtype, device)


def with_tokens(run: Run, stage: str, questions: Sequence[Encoded], ranks: Ranks) -> TrainSettings:
    """Return the recipe's training settings; tokens that the memory is to decide are decided once per work.

    A stage that goes on takes those that it began with, whatever memory there is then: other packs would be another
    training.
    """
    from sqlwright.models.device import choose_device, free_memory

    settings = run.recipe.train
    if settings.tokens_per_batch:
        return settings
    memory = free_memory(choose_device(run.recipe.model.device)) / ranks.beside

    def decide() -> int:
        return fit_tokens(Sizes.of_model(run.model_path), settings, questions, memory, widths(run))

    tokens = int(ranks.tell(str(run.folder.keep(stage, "tokens_per_batch", decide)) if ranks.leads else ""))
    run.reporter.say(f"{tokens:,} tokens pass at once, by the memory that was at hand (train.tokens_per_batch = 0).")
    return settings.model_copy(update={"tokens_per_batch": tokens})


def _planned(run: Run, ranks: Ranks, device: str) -> tuple[Plan, TrainSettings]:
    """Return the plan of the training, and the settings with what was decided; refuse what doesn't fit."""
    from sqlwright.models.device import free_memory
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.training.packing import encode
    from sqlwright.training.trainer import make_plan

    tokenizer = load_tokenizer(run.model_path)
    learned, held_out = (prompts_of(run, part, tokenizer) for part in ("train", "validation"))
    if not learned:
        raise DataError("train: expected training questions, found none left after the validation databases.")
    end = tokenizer.eos_token_id
    questions = encode(learned, tokenizer, end)
    settings = with_tokens(run, TRAIN, questions, ranks)
    hardness = {question.id: question.hardness for question in run.questions("train")}
    plan = make_plan(questions, encode(held_out, tokenizer, end), settings, run.recipe.seed, hardness)
    if device == "cpu":
        require_room(
            Sizes.of_model(run.model_path),
            settings,
            plan.largest_pass(settings.tokens_per_batch),
            widths(run),
            memory=free_memory(device),
            disk=shutil.disk_usage(run.folder.path).free,
        )
    return plan, settings


def widths(run: Run) -> Widths:
    """Return the bytes that numbers take in the run's training."""
    from sqlwright.models.device import choose_device
    from sqlwright.models.quantised import BYTES

    device = choose_device(run.recipe.model.device)
    number = float(number_format(run, device).itemsize)
    return Widths(number, BYTES[_bits(run)] if _bits(run) else number, gaps=device != "cuda")


def _bits(run: Run) -> int:
    """Return the bits a weight that bitsandbytes quantises the base to, 0 where it doesn't."""
    return run.recipe.train.bits if run.recipe.train.kind == "qlora" and run.model_path.is_dir() else 0


def _check_kind(run: Run) -> None:
    """Raise `RecipeError` where the kind doesn't fit the base or other settings."""
    import gguf

    recipe = run.recipe
    if recipe.train.kind in ("freeze", "full") and recipe.model.dtype == "bfloat16":
        raise RecipeError(
            f'train.kind = "{recipe.train.kind}" changes the weights themselves: expected model.dtype = "auto" or '
            '"float32", found "bfloat16".'
        )
    if recipe.train.kind == "full" and recipe.train.layers:
        raise RecipeError('train.kind = "full" trains all layers: leave out train.layers, or take "freeze".')
    if run.model_path.is_dir():
        if recipe.train.kind not in ("lora", "rslora", "qlora"):
            raise RecipeError(
                f'train.kind: expected "lora", "rslora" or "qlora" for a base that is a folder of transformers, found '
                f'"{recipe.train.kind}". Other kinds need a GGUF file.'
            )
        return
    matrices = [place for place in run.model_header.tensors.values() if len(place.shape) > 1]
    sizes = {gguf.GGMLQuantizationType(place.kind) for place in matrices}
    bits = max(8 * gguf.GGML_QUANT_SIZES[size][1] / gguf.GGML_QUANT_SIZES[size][0] for size in sizes)
    if recipe.train.kind == "qlora" and bits > 9:  # Q8_0 takes 8.5 with its scales
        raise RecipeError(
            f'train.kind = "qlora": expected a base of 8 bits or fewer a weight, found {bits:g} in '
            f'{run.model_path.name}. Take a quantised file, or "lora".'
        )


def _check_sharding(run: Run, ranks: Ranks) -> None:
    """Raise `RecipeError` where the kind can't be trained with layers that are shared out."""
    kind = run.recipe.train.kind
    if ranks.sharding and (kind == "dora" or _bits(run)):
        raise RecipeError(
            f'train.kind: expected "lora", "rslora", "freeze" or "full" with FSDP, found "{kind}". '
            "Start it without FSDP."
        )


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
