"""What `--plan` says a training run takes, beside what it then takes: minutes and memory, kind by kind.

    python bench/estimates.py [--model NAME_OR_GGUF] [--kinds lora full] [--questions 96] [--set KEY=VALUE ...]

Each kind trains on packaged questions in a process of its own, as `sqlwright train` does, after the plan was made in
another; `recomputed` is LoRA with activation checkpointing, and the last line says what that saves and costs. Exits
with 1 if an estimate is off by more than a quarter of what was measured. Loading counts in both.

Not covered: GPUs; load that comes or goes between the plan and the run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from setting import die_with_children, facts_line, in_own_process, machine, peak_memory_mb, require_model
from sqlwright import pipeline
from sqlwright.recipe_file import read_recipe

GOAL = 0.25
# What a kind sets beside its name: what is measured has to differ from the others.
KINDS = {
    "lora": 'kind = "lora"',
    "recomputed": 'kind = "lora"\nactivation_checkpointing = true',
    "rslora": 'kind = "rslora"',
    "dora": 'kind = "dora"',
    "qlora": 'kind = "qlora"',
    "freeze": 'kind = "freeze"\nlayers = 10',
    "full": 'kind = "full"',
}
DEFAULT = ["lora", "recomputed", "dora", "freeze", "full"]
_RECIPE = """
name = "{kind}"
[model]
base = "{model}"
dtype = "float32"
[data]
train = ["package:quickstart/train.json"]
databases = "package:quickstart/database"
tables = "package:quickstart/tables.json"
max_train = {questions}
max_validation = 4
[train]
{settings}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="catalogue name or GGUF file")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=DEFAULT)
    parser.add_argument("--questions", type=int, default=96)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--recipe", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        options.json.write_text(json.dumps(measured(options.measure, options.recipe)), encoding="utf-8")
        return 0
    die_with_children()
    require_model(options.model)
    print(facts_line(machine(("torch", "peft", "sqlwright"))))
    print(f"\n{options.model}, {options.questions} questions\n")
    print(
        "| kind | minutes, planned | taken | ratio | GB, planned | taken | ratio |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    missed, taken_by = False, {}
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as folder:
            recipe = Path(folder) / "recipe.toml"
            text = _RECIPE.format(kind=kind, settings=KINDS[kind], model=options.model, questions=options.questions)
            recipe.write_text(text, encoding="utf-8")
            (Path(folder) / "overrides.json").write_text(json.dumps(options.overrides), encoding="utf-8")
            found = [in_own_process(__file__, what, {"recipe": recipe}) for what in ("plan", "run")]
        taken_by[kind] = found[1]
        ratios = [found[0][key] / found[1][key] for key in ("minutes", "gigabytes")]
        cells = [(f"{p[key]:.2f}", f"{t[key]:.2f}") for p, t in [found] for key in ("minutes", "gigabytes")]
        lines = [f"{planned} | {taken} | {ratio:.2f}" for (planned, taken), ratio in zip(cells, ratios, strict=True)]
        print(f"| {kind} | " + " | ".join(lines) + " |", flush=True)
        missed = missed or any(abs(ratio - 1) > GOAL for ratio in ratios)
    if {"lora", "recomputed"} <= taken_by.keys():
        plain, saving = taken_by["lora"], taken_by["recomputed"]
        print(
            f"\nActivation checkpointing: {saving['gigabytes'] / plain['gigabytes']:.2f} of the memory, "
            f"{saving['cpu'] / plain['cpu']:.2f} times the processor time"
        )
    print(f"\n{'MISSED' if missed else 'met'}: within a quarter")
    return 1 if missed else 0


def measured(what: str, recipe_path: Path) -> dict[str, Any]:
    """Return minutes and gigabytes: as the plan has them, or as a run of the stage `train` took them."""
    overrides = json.loads((recipe_path.parent / "overrides.json").read_text(encoding="utf-8"))
    recipe = read_recipe(recipe_path, overrides)
    runs = recipe_path.parent / "runs"
    if what == "plan":
        plan = pipeline.plan(recipe, recipe_path, runs)
        return {"minutes": plan.minutes["train"], "gigabytes": plan.memory_mb / 1e3}
    pipeline.run(recipe, recipe_path, runs, only="prepare")
    started, cpu = time.perf_counter(), time.process_time()
    pipeline.run(recipe, recipe_path, runs, only="train")
    return {
        "minutes": (time.perf_counter() - started) / 60,
        "cpu": time.process_time() - cpu,
        "gigabytes": peak_memory_mb() / 1e3,
    }


if __name__ == "__main__":
    sys.exit(main())
