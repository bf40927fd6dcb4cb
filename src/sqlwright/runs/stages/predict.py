"""Stage `predict`: questions in, completions out, flushed group by group; with the base model and with the adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlwright.decoding import predict, prompt_groups
from sqlwright.models.gguf import GgufEngine
from sqlwright.prompts import build_prompts
from sqlwright.records import Prompt
from sqlwright.runs.folder import append_records, hash_path, read_appended, write_text
from sqlwright.runs.run import Run
from sqlwright.runs.stages.train import trains


def inputs(run: Run) -> dict[str, str]:
    """Return what completions depend on, without the adapter: model, prompts, questions, decoding settings."""
    recipe = run.recipe
    values = run.prompt_inputs
    values |= {"predict.max_tokens": str(recipe.predict.max_tokens), "predict.parallel": str(recipe.predict.parallel)}
    values |= {"model": run.model_hash, "questions": hash_path(run.folder.questions)}
    return values | run.database_inputs


def inputs_after(run: Run) -> dict[str, str]:
    """Return the inputs of the predictions with the adapter."""
    return inputs(run) | ({"adapter": hash_path(run.folder.adapter)} if trains(run) else {})


def execute(run: Run, going_on: bool, *, adapter: bool) -> dict[str, Any]:
    """Predict all evaluation questions into the completions file; return counts and speed."""
    target = run.folder.completions if adapter or not trains(run) else run.folder.baseline
    gguf = run.folder.adapter / "adapter.gguf" if adapter and trains(run) else None
    questions = run.questions("evaluate")
    if not questions:
        target.write_text("", encoding="utf-8")
        return {"questions": 0}
    recipe = run.recipe
    context = recipe.prompt.max_schema_tokens + run.format.own_tokens + recipe.predict.max_tokens
    with GgufEngine(
        run.model_path, gguf, context=context, parallel=recipe.predict.parallel, threads=recipe.model.threads
    ) as engine:
        prompts = build_prompts(
            questions, run.databases, run.format, engine.count_tokens, shots=run.shots, cache=run.value_indexes
        )
        groups = prompt_groups(prompts, recipe.predict.parallel)
        waiting = _waiting(target, groups, going_on, run)
        already = len(questions) - sum(map(len, waiting))
        label = "predict" if gguf else "predict (base model)"
        run.reporter.progress(label, already, len(questions))
        seconds = 0.0
        tokens = 0
        for completions in predict(
            engine,
            waiting,
            recipe.predict.max_tokens,
            lambda done: run.reporter.progress(label, already + done, len(questions)),
        ):
            append_records(target, completions)
            seconds += sum(one.seconds for one in completions)
            tokens += sum(one.tokens for one in completions)
    return {
        "questions": len(questions),
        "seconds per question": round(seconds / max(1, len(questions) - already), 3),
        "tokens": tokens,
    }


def _waiting(target: Path, groups: list[list[Prompt]], going_on: bool, run: Run) -> list[list[Prompt]]:
    """Return the groups that are not complete in `target`, and leave only complete ones there.

    What is decoded side by side can differ in the last bits from what is decoded alone; a group that was cut off is
    therefore done again as a whole, and the result is that of an undisturbed run.
    """
    lines, torn = read_appended(target) if going_on else ([], False)
    if torn:
        run.reporter.say(f"{target.name}: the last line was torn; it is done again.")
    known = {line["id"]: line for line in lines}
    waiting, kept = [], []
    for group in groups:
        if all(prompt.id in known for prompt in group):
            kept += [known[prompt.id] for prompt in group]
        else:
            waiting.append(group)
    write_text(target, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
    return waiting
