"""`sqlwright run RECIPE.toml` and one verb per stage: prepare, train, predict, evaluate, export.

Not covered: the stages themselves; `sqlwright.pipeline` is their map.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sqlwright.cli.options import RUNS, Json, Overrides, RecipeFile, Runs
from sqlwright.cli.tables import print_json, safe

PARTIAL = 6
SCORED = (None, "evaluate", "export")
"""The verbs after which there are scores; `None` is `run`."""

Plan = Annotated[bool, Parameter(name="--plan", help="Only say what would be done, and what it would take.")]


def run(
    recipe: RecipeFile, /, *, set: Overrides = None, runs: Runs = RUNS, plan: Plan = False, json: Json = False
) -> int:
    """Do all stages of a recipe; the same command again continues where the last one stopped."""
    return _do(None, recipe, set, runs, plan, json)


def prepare(
    recipe: RecipeFile, /, *, set: Overrides = None, runs: Runs = RUNS, plan: Plan = False, json: Json = False
) -> int:
    """Read the questions and databases of a recipe, check them, and say what is left out."""
    return _do("prepare", recipe, set, runs, plan, json)


def train(
    recipe: RecipeFile, /, *, set: Overrides = None, runs: Runs = RUNS, plan: Plan = False, json: Json = False
) -> int:
    """Fine-tune the model of a recipe; continues from the last checkpoint."""
    return _do("train", recipe, set, runs, plan, json)


def predict(
    recipe: RecipeFile, /, *, set: Overrides = None, runs: Runs = RUNS, plan: Plan = False, json: Json = False
) -> int:
    """Write SQL for the evaluation questions of a recipe."""
    return _do("predict", recipe, set, runs, plan, json)


def evaluate(
    recipe: RecipeFile, /, *, set: Overrides = None, runs: Runs = RUNS, plan: Plan = False, json: Json = False
) -> int:
    """Score the predictions of a recipe's run."""
    return _do("evaluate", recipe, set, runs, plan, json)


def export(
    recipe: RecipeFile, /, *, set: Overrides = None, runs: Runs = RUNS, plan: Plan = False, json: Json = False
) -> int:
    """Write the adapter of a recipe's run as GGUF and check that it answers as it did in training."""
    return _do("export", recipe, set, runs, plan, json)


def _do(only: str | None, path: Path, overrides: list[str] | None, runs: Path, plan_only: bool, as_json: bool) -> int:
    from sqlwright import pipeline
    from sqlwright.cli.terminal import continuing
    from sqlwright.recipe_file import read_recipe

    recipe = read_recipe(path, overrides or ())
    if plan_only:
        planned = pipeline.plan(recipe, path, runs)
        if as_json:
            print_json(planned.to_json())
        else:
            print(safe(planned.text(), keep_lines=True))
        return 0
    with continuing() as reporter:
        outcome = pipeline.run(recipe, path, runs, reporter, only=only)
    if outcome.elsewhere:
        return 0
    if as_json:
        print_json(outcome.to_json())
    else:
        page = Path(outcome.folder) / "report.html"
        table = outcome.table() if only in SCORED else ""
        last = f"report: {page}" if table and page.is_file() else f"run: {outcome.folder}"
        print(safe(f"{table}\n\n{last}".strip(), keep_lines=True))
    return PARTIAL if outcome.partial else 0
