"""Stage `export`: the adapter checked against the model it was trained on, and put into one folder to take away."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from pathlib import Path
from typing import Any

from sqlwright.models.adapter import Adapter, read_adapter
from sqlwright.records import Prompt
from sqlwright.runs.folder import hash_path, hash_values, write_text
from sqlwright.runs.run import Run
from sqlwright.runs.stages.prefer import made, prefers

CHECK = "check.json"
"""The figures of the check, in the export's folder, and a hash of them and of all that they depend on."""


def inputs(run: Run) -> dict[str, str]:
    """Return the adapter, the base, how many prompts are checked, and the scores, which the model card shows."""
    return _checked(run) | ({"scores": hash_values(_scores(run))} if made(run) else {})


def _checked(run: Run) -> dict[str, str]:
    """Return what the check depends on."""
    export = run.recipe.export
    values = {"export.check_prompts": str(export.check_prompts), "model": run.model_hash}
    values |= {"export.merged": export.merged} if export.merged else {}
    own = made(run)
    return values | ({"adapter": hash_path(own)} if own else {})


def _scores(run: Run) -> dict[str, Any]:
    """Return scores and notes of the report, nothing where there is none."""
    path = run.folder.report
    report = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {key: report[key] for key in ("scores", "notes") if key in report}


def outputs(run: Run) -> list[Path]:
    """Return the export folder, if there is an adapter."""
    return [run.folder.path / "export"] if made(run) else []


def execute(run: Run, _going_on: bool) -> dict[str, Any]:
    """Write `export/` (GGUF, prompt settings, PEFT's own files, model card) if the check holds; return its figures."""
    own = made(run)
    if own is None:
        return {"adapter": "none: nothing was trained"}
    target, aside = run.folder.path / "export", run.folder.path / "export.partial"
    facts = _earlier_check(run, target / CHECK)
    for stale in (target, aside):
        shutil.rmtree(stale, ignore_errors=True)
    known = bool(facts)
    facts = facts or _check(run, own)
    shutil.copytree(own, aside)
    if run.recipe.export.merged:
        facts |= _merge(run, aside, check=not known)
    write_text(aside / CHECK, json.dumps({"figures": facts, "of": hash_values(_checked(run), facts)}) + "\n")
    write_text(aside / "README.md", _card(run, facts))
    aside.rename(target)
    gguf = read_adapter(target).weights
    size = gguf.stat().st_size
    run.reporter.say(f"Exported to {target} ({gguf.name} {size / 1e6:.1f} MB).")
    return facts | {"bytes": size}


def _earlier_check(run: Run, path: Path) -> dict[str, Any]:
    """Return the figures of an earlier check of the same adapter; nothing where there was none, or it was edited."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        figures: dict[str, Any] = found["figures"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return figures if found["of"] == hash_values(_checked(run), figures) else {}


def _check(run: Run, adapter: Path) -> dict[str, Any]:
    if run.model_path.is_dir():
        run.reporter.say("No GGUF adapter: the base is a folder of transformers, which llama.cpp doesn't read.")
        return {"checked": 0}
    chosen = _prompts(run)
    if not chosen:
        return {"checked": 0}
    from sqlwright.export.check import compare_engines

    own = read_adapter(adapter)
    model, gguf_adapter = own.files(run.model_path)
    agreement = compare_engines(
        chosen,
        base=model,
        adapter=own.folder if gguf_adapter else None,
        gguf_adapter=gguf_adapter,
        **_settings(run, "check the export"),
    )
    run.reporter.say(
        f"GGUF and torch: {agreement.agree} of {agreement.prompts} greedy answers agree, mean log-probability "
        f"{agreement.exported_log_probability:.4f} and {agreement.trained_log_probability:.4f}."
    )
    agreement.require()
    return {
        "checked": agreement.prompts,
        "agree": agreement.agree,
        "log-probability difference": round(agreement.difference, 5),
    }


def _merge(run: Run, folder: Path, *, check: bool) -> dict[str, Any]:
    """Write base and adapter as one file, and a Modelfile, into `folder`; return the figures of the check.

    In 4 bits the answers may differ: that is what the format costs, so they are counted and nothing is refused.
    """
    from sqlwright.export.check import compare_merged
    from sqlwright.export.merged import write_merged

    kind = run.recipe.export.merged
    path = folder / f"model-{kind}.gguf"
    model, gguf_adapter = read_adapter(folder).files(run.model_path)
    size = write_merged(
        model,
        [gguf_adapter] if gguf_adapter else [],
        path,
        kind,
        lambda done, total: run.reporter.progress("merge", done, total, unit="tensors"),
    )
    write_text(folder / "Modelfile", _modelfile(run, path.name))
    run.reporter.say(f"Merged into {path.name} ({size / 1e6:,.0f} MB).")
    chosen = _prompts(run) if check else []
    if not chosen:
        return {"merged": kind}
    agreement = compare_merged(
        chosen,
        base=model,
        adapter=gguf_adapter,
        merged=path,
        **_settings(run, "check the merged file"),
    )
    run.reporter.say(
        f"Merged file and adapter: {agreement.agree} of {agreement.prompts} greedy answers agree, mean "
        f"log-probability {agreement.exported_log_probability:.4f} and {agreement.trained_log_probability:.4f}."
    )
    if kind != "q4_0":
        agreement.require()
    return {"merged": kind, "merged agree": agreement.agree}


def _prompts(run: Run) -> list[Prompt]:
    """Return the prompts that are checked, without targets."""
    wanted = run.recipe.export.check_prompts
    if not wanted:
        return []
    from sqlwright.models.tokenizer import load_tokenizer
    from sqlwright.runs.stages.train import prompts_of

    tokenizer = load_tokenizer(run.model_path)
    prompts = prompts_of(run, "evaluate", tokenizer) or prompts_of(run, "train", tokenizer)
    # Whole databases first: prompts that share a schema are checked for the price of one.
    names = sorted({prompt.database for prompt in prompts})
    random.Random(run.recipe.seed).shuffle(names)
    chosen = sorted(prompts, key=lambda prompt: names.index(prompt.database))[:wanted]
    return [dataclasses.replace(prompt, target="") for prompt in chosen]


def _settings(run: Run, label: str) -> dict[str, Any]:
    """Return how prompts are answered for a check; `label` says in the progress which one."""
    return {
        "max_tokens": run.recipe.predict.max_tokens,
        "context": _context(run),
        "threads": run.recipe.model.threads,
        "progress": lambda done, total: run.reporter.progress(label, done, total),
    }


def _context(run: Run) -> int:
    recipe = run.recipe
    return recipe.prompt.max_schema_tokens + run.format.own_tokens + recipe.predict.max_tokens


def _modelfile(run: Run, name: str) -> str:
    """Return what Ollama needs to serve the merged file; the chat template is in the file itself."""
    return (
        f"# ollama create {run.recipe.name} -f Modelfile\n"
        f"FROM ./{name}\n"
        "PARAMETER temperature 0\n"
        f"PARAMETER num_ctx {_context(run)}\n"
        f'SYSTEM """{run.format.style.instruction}"""\n'
    )


def _card(run: Run, facts: dict[str, Any]) -> str:
    """Return the model card: base, data, prompt, scores with intervals, the check, and how to use it."""
    recipe = run.recipe
    adapter = read_adapter(made(run) or run.folder.adapter)
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
library_name: {"peft" if _by_peft(adapter) else "gguf"}
tags: [text-to-sql, {recipe.train.kind}, sqlwright]
---
# {recipe.name}

{_what(run)} {adapter.base}, fine-tuned with SQLWright.

- Base: {adapter.base}, SHA-256 `{adapter.base_hash}`.{"" if adapter.whole else " The adapter fits no other file."}
- Data: {data}; the licence of the data applies to the adapter.
- Prompt style: `{adapter.style}`, {adapter.sample_values} sample values per text column, {adapter.few_shot} solved
  questions and up to {adapter.matched_values} matched values per question (`prompt.json`).
- Files: {_files(adapter)}.
- Check: {facts.get("agree", 0)} of {facts.get("checked", 0)} greedy answers agree between llama.cpp and torch.
{_preference_line(run)}{_merged_line(facts)}

## Scores

{table if rows else "Not scored."}

{" ".join(scores.get("notes", []))}

## Use

    sqlwright ask "How many rows are there?" --database my.sqlite --adapter PATH_OF_THIS_FOLDER
"""


def _preference_line(run: Run) -> str:
    found = run.folder.facts("prefer")
    if not found or not prefers(run):
        return ""
    method = {"rejection": "rejection sampling", "dpo": "DPO", "grpo": "GRPO"}[run.recipe.prefer.method]
    return f"- Then {method} on {found['answers']:,} of its own answers, {found['right']:.0%} of them right.\n"


def _by_peft(adapter: Adapter) -> bool:
    return (adapter.folder / "adapter_config.json").is_file()


def _what(run: Run) -> str:
    train = run.recipe.train
    if train.kind == "full":
        return "All weights of"
    if train.kind == "freeze":
        return f"The last {train.layers} layers of" if train.layers else "All layers of"
    names = {"rslora": "An rsLoRA adapter", "dora": "A DoRA adapter", "qlora": "A QLoRA adapter"}
    return f"{names.get(train.kind, 'A LoRA adapter')} (rank {train.rank}, alpha {train.alpha:g}) for"


def _files(adapter: Adapter) -> str:
    peft = "`adapter_model.safetensors` and `adapter_config.json` for PEFT"
    if adapter.weights.suffix != ".gguf":
        return peft
    gguf = (
        f"`{adapter.weights.name}`, a model of its own for llama.cpp"
        if adapter.whole
        else "`adapter.gguf` for llama.cpp"
    )
    return gguf + (f", {peft}" if _by_peft(adapter) else "")


def _merged_line(facts: dict[str, Any]) -> str:
    if "merged" not in facts:
        return ""
    kind = facts["merged"]
    agree = (
        f"{facts['merged agree']} of {facts['checked']} greedy answers are the adapter's."
        if facts.get("checked")
        else "Not checked."
    )
    return (
        f"- `model-{kind}.gguf`: base and adapter in one file, for programs that take no adapters (`Modelfile` for "
        f"Ollama). {agree}"
    )
