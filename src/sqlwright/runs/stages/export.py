"""Stage `export`: the adapter checked against the model it was trained on, and put into one folder to take away."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from pathlib import Path
from typing import Any

from sqlwright.models.adapter import read_adapter
from sqlwright.runs.folder import hash_path, hash_values, write_text
from sqlwright.runs.run import Run
from sqlwright.runs.stages.train import trains

CHECK = "check.json"
"""The figures of the check, in the export's folder, and a hash of them and of all that they depend on."""


def inputs(run: Run) -> dict[str, str]:
    """Return the adapter, the base, how many prompts are checked, and the scores, which the model card shows."""
    return _checked(run) | ({"scores": hash_values(_scores(run))} if trains(run) else {})


def _checked(run: Run) -> dict[str, str]:
    """Return what the check depends on."""
    values = {"export.check_prompts": str(run.recipe.export.check_prompts), "model": run.model_hash}
    return values | ({"adapter": hash_path(run.folder.adapter)} if trains(run) else {})


def _scores(run: Run) -> dict[str, Any]:
    """Return scores and notes of the report, nothing where there is none."""
    path = run.folder.report
    report = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {key: report[key] for key in ("scores", "notes") if key in report}


def outputs(run: Run) -> list[Path]:
    """Return the export folder, if there is an adapter."""
    return [run.folder.path / "export"] if trains(run) else []


def execute(run: Run, _going_on: bool) -> dict[str, Any]:
    """Write `export/` (GGUF, prompt settings, PEFT's own files, model card) if the check holds; return its figures."""
    if not trains(run):
        return {"adapter": "none: nothing was trained"}
    target, aside = run.folder.path / "export", run.folder.path / "export.partial"
    facts = _earlier_check(run, target / CHECK)
    for stale in (target, aside):
        shutil.rmtree(stale, ignore_errors=True)
    facts = facts or _check(run)
    shutil.copytree(run.folder.adapter, aside)
    write_text(aside / CHECK, json.dumps({"figures": facts, "of": hash_values(_checked(run), facts)}) + "\n")
    write_text(aside / "README.md", _card(run, facts))
    aside.rename(target)
    size = (target / "adapter.gguf").stat().st_size
    run.reporter.say(f"Exported to {target} (adapter.gguf {size / 1e6:.1f} MB).")
    return facts | {"bytes": size}


def _earlier_check(run: Run, path: Path) -> dict[str, Any]:
    """Return the figures of an earlier check of the same adapter; nothing where there was none, or it was edited."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        figures: dict[str, Any] = found["figures"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return figures if found["of"] == hash_values(_checked(run), figures) else {}


def _check(run: Run) -> dict[str, Any]:
    wanted = run.recipe.export.check_prompts
    if not wanted:
        return {"checked": 0}
    from sqlwright.export.check import compare_engines
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.runs.stages.train import prompts_of

    tokenizer = load_tokenizer(run.model_path)
    prompts = prompts_of(run, "evaluate", tokenizer) or prompts_of(run, "train", tokenizer)
    # Whole databases first: prompts that share a schema are checked for the price of one.
    names = sorted({prompt.database for prompt in prompts})
    random.Random(run.recipe.seed).shuffle(names)
    chosen = sorted(prompts, key=lambda prompt: names.index(prompt.database))[:wanted]
    recipe = run.recipe
    agreement = compare_engines(
        [dataclasses.replace(prompt, target="") for prompt in chosen],
        base=run.model_path,
        adapter=run.folder.adapter,
        gguf_adapter=run.folder.adapter / "adapter.gguf",
        max_tokens=recipe.predict.max_tokens,
        context=recipe.prompt.max_schema_tokens + run.format.own_tokens + recipe.predict.max_tokens,
        threads=recipe.model.threads,
        progress=lambda done, total: run.reporter.progress("check the export", done, total),
    )
    run.reporter.say(
        f"GGUF and torch: {agreement.agree} of {agreement.prompts} greedy answers agree, mean log-probability "
        f"{agreement.gguf_log_probability:.4f} and {agreement.torch_log_probability:.4f}."
    )
    agreement.require()
    return {
        "checked": agreement.prompts,
        "agree": agreement.agree,
        "log-probability difference": round(agreement.difference, 5),
    }


def _card(run: Run, facts: dict[str, Any]) -> str:
    """Return the model card: base, data, prompt, scores with intervals, the check, and how to use it."""
    recipe = run.recipe
    adapter = read_adapter(run.folder.adapter)
    scores = _scores(run)
    rows = []
    for label, metrics in scores.get("scores", {}).items():
        for name, one in metrics.items():
            overall = one["overall"]
            rows.append(
                f"| {label} | {name} | {overall['value']:.3f} | {overall['low']:.3f} to {overall['high']:.3f} "
                f"| {overall['total']} of {one['expected']} |"
            )
    table = "\n".join(["| predictions | metric | value | 95 % interval | questions |", "|---|---|---|---|---|", *rows])
    data = ", ".join(recipe.data.train)
    return f"""---
base_model: {adapter.base}
library_name: peft
tags: [text-to-sql, lora, sqlwright]
---
# {recipe.name}

A LoRA adapter (rank {recipe.train.rank}, alpha {recipe.train.alpha:g}) for {adapter.base}, fine-tuned with SQLWright.

- Base: {adapter.base}, SHA-256 `{adapter.base_hash}`. The adapter fits no other file.
- Data: {data}; the licence of the data applies to the adapter.
- Prompt style: `{adapter.style}`, {adapter.sample_values} sample values per text column, {adapter.few_shot} solved
  questions and up to {adapter.matched_values} matched values per question (`prompt.json`).
- Files: `adapter.gguf` for llama.cpp, `adapter_model.safetensors` and `adapter_config.json` for PEFT.
- Check: {facts.get("agree", 0)} of {facts.get("checked", 0)} greedy answers agree between llama.cpp and torch.

## Scores

{table if rows else "Not scored."}

{" ".join(scores.get("notes", []))}

## Use

    sqlwright ask "How many rows are there?" --database my.sqlite --adapter PATH_OF_THIS_FOLDER
"""
