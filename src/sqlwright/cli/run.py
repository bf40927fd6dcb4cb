"""`sqlwright run RECIPE.toml` and one verb per stage: prepare, train, predict, evaluate, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sqlwright.cli.tables import print_json, safe

PARTIAL = 6

Set = Annotated[list[str] | None, Parameter(name="--set")]
Json = Annotated[bool, Parameter(name="--json")]
_RUNS = Path("runs")


def run(recipe: Path, *, set: Set = None, runs: Path = _RUNS, plan: bool = False, json: Json = False) -> int:
    """Do all stages of a recipe; the same command again continues where the last one stopped.

    Args:
        recipe: The recipe file.
        set: Change a setting for this run: KEY=VALUE; may be given several times.
        runs: Folder of run folders.
        plan: Only say what would be done, and what it would take.
        json: Print one JSON document.
    """
    return _do(None, recipe, set, runs, plan, json)


def prepare(recipe: Path, *, set: Set = None, runs: Path = _RUNS, plan: bool = False, json: Json = False) -> int:
    """Read the questions and databases of a recipe and check them.

    Args:
        recipe: The recipe file.
        set: Change a setting for this run: KEY=VALUE; may be given several times.
        runs: Folder of run folders.
        plan: Only say what would be done, and what it would take.
        json: Print one JSON document.
    """
    return _do("prepare", recipe, set, runs, plan, json)


def train(recipe: Path, *, set: Set = None, runs: Path = _RUNS, plan: bool = False, json: Json = False) -> int:
    """Fine-tune the model of a recipe.

    Args:
        recipe: The recipe file.
        set: Change a setting for this run: KEY=VALUE; may be given several times.
        runs: Folder of run folders.
        plan: Only say what would be done, and what it would take.
        json: Print one JSON document.
    """
    return _do("train", recipe, set, runs, plan, json)


def predict(recipe: Path, *, set: Set = None, runs: Path = _RUNS, plan: bool = False, json: Json = False) -> int:
    """Write SQL for the evaluation questions of a recipe.

    Args:
        recipe: The recipe file.
        set: Change a setting for this run: KEY=VALUE; may be given several times.
        runs: Folder of run folders.
        plan: Only say what would be done, and what it would take.
        json: Print one JSON document.
    """
    return _do("predict", recipe, set, runs, plan, json)


def evaluate(recipe: Path, *, set: Set = None, runs: Path = _RUNS, plan: bool = False, json: Json = False) -> int:
    """Score the predictions of a recipe's run.

    Args:
        recipe: The recipe file.
        set: Change a setting for this run: KEY=VALUE; may be given several times.
        runs: Folder of run folders.
        plan: Only say what would be done, and what it would take.
        json: Print one JSON document.
    """
    return _do("evaluate", recipe, set, runs, plan, json)


def export(recipe: Path, *, set: Set = None, runs: Path = _RUNS, plan: bool = False, json: Json = False) -> int:
    """Write the adapter of a recipe's run as GGUF.

    Args:
        recipe: The recipe file.
        set: Change a setting for this run: KEY=VALUE; may be given several times.
        runs: Folder of run folders.
        plan: Only say what would be done, and what it would take.
        json: Print one JSON document.
    """
    return _do("export", recipe, set, runs, plan, json)


def _do(only: str | None, path: Path, overrides: list[str] | None, runs: Path, plan_only: bool, as_json: bool) -> int:
    from sqlwright import pipeline
    from sqlwright.cli.terminal import TerminalReporter
    from sqlwright.recipe import read_recipe

    recipe = read_recipe(path, overrides or ())
    if plan_only:
        planned = pipeline.plan(recipe, path, runs)
        if as_json:
            print_json(planned.to_json())
        else:
            print(safe(planned.text(), keep_lines=True))
        return 0
    reporter = TerminalReporter()
    try:
        outcome = pipeline.run(recipe, path, runs, reporter, only=only)
    finally:
        reporter.finish()
    if as_json:
        print_json(outcome.to_json())
    else:
        print(safe(outcome.table(), keep_lines=True))
    return PARTIAL if outcome.partial else 0
