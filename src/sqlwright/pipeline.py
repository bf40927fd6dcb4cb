"""The map of SQLWright: stages from question files to a scored, usable model, and the loop that runs them.

    question files ─prepare─▶ questions.jsonl ─train─▶ adapter/ ─predict─▶ completions.jsonl ─evaluate─▶ report.html
                                                              └─export─▶ export/adapter.gguf

A stage names what it depends on (`inputs`), does its work (`execute`) and names what it wrote (`outputs`). The loop
runs every stage whose inputs changed since it was last done and says why; a stage that was interrupted goes on where
it stopped. `prefer` learns on from the model's own answers, where the recipe asks for it, and belongs to the command
`train`. `predict` comes up to five times: with the base model alone, for the comparison, with the adapter after each
phase of a curriculum, with the adapter, and, where the recipe asks for them, with the adapter once more for what can't
be run, and by repair and vote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlwright.errors import RecipeError
from sqlwright.models.threads import let_threads_wait
from sqlwright.recipe import Recipe
from sqlwright.recipe_file import to_toml
from sqlwright.runs.folder import RunFolder, write_text
from sqlwright.runs.outcome import Outcome
from sqlwright.runs.plan import PlanReport, make_plan_report
from sqlwright.runs.reporter import Reporter, Silent
from sqlwright.runs.run import Run
from sqlwright.runs.stages import best, evaluate, export, predict, prefer, prepare, retry, train
from sqlwright.training.ranks import Ranks, join


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of a run.

    `inputs(run)` are texts by name: if one changes, the stage is done again. `execute(run, going_on)` does the work
    (`going_on`: the same work was begun before) and returns facts for the manifest. `outputs(run)` are its files.
    `verb` is the command that runs it, `after` names the stages whose results it reads; `wanted(run)` says whether
    the recipe asks for it.
    """

    name: str
    verb: str
    inputs: Callable[[Run], dict[str, str]]
    execute: Callable[[Run, bool], dict[str, Any]]
    outputs: Callable[[Run], Sequence[Path]]
    after: frozenset[str] = frozenset()
    wanted: Callable[[Run], bool] = lambda _: True


STAGES: tuple[Stage, ...] = (
    Stage("prepare", "prepare", prepare.inputs, prepare.execute, prepare.outputs),
    Stage("train", "train", train.inputs, train.execute, train.outputs, frozenset({"prepare"})),
    Stage(
        "prefer", "train", prefer.inputs, prefer.execute, prefer.outputs, frozenset({"prepare", "train"}), prefer.wanted
    ),
    Stage(
        "predict.base",
        "predict",
        predict.inputs,
        partial(predict.execute, adapter=False),
        lambda run: [run.folder.baseline],
        frozenset({"prepare"}),
        lambda run: bool(prefer.made(run)) and run.recipe.predict.baseline,
    ),
    Stage(
        "predict.phases",
        "predict",
        predict.inputs_phases,
        predict.execute_phases,
        lambda run: list(predict.phase_files(run).values()),
        frozenset({"prepare", "train"}),
        lambda run: bool(predict.phase_files(run)),
    ),
    Stage(
        "predict",
        "predict",
        predict.inputs_after,
        partial(predict.execute, adapter=True),
        lambda run: [run.folder.completions],
        frozenset({"prepare", "train", "prefer"}),
    ),
    Stage(
        "predict.retry",
        "predict",
        retry.inputs,
        retry.execute,
        lambda run: [run.folder.retried],
        frozenset({"prepare", "train", "prefer", "predict"}),
        lambda run: run.recipe.predict.retry,
    ),
    Stage(
        "predict.best",
        "predict",
        best.inputs,
        best.execute,
        lambda run: [run.folder.best],
        frozenset({"prepare", "train", "prefer", "predict", "predict.retry"}),
        lambda run: run.recipe.predict.ladder,
    ),
    Stage(
        "evaluate",
        "evaluate",
        evaluate.inputs,
        evaluate.execute,
        evaluate.outputs,
        frozenset({"prepare", "predict.base", "predict.phases", "predict", "predict.best"}),
    ),
    Stage(
        "export",
        "export",
        export.inputs,
        export.execute,
        export.outputs,
        frozenset({"prepare", "train", "prefer", "evaluate"}),
    ),
)


def run(
    recipe: Recipe, recipe_path: Path, runs: Path, reporter: Reporter | None = None, only: str | None = None
) -> Outcome:
    """Run the recipe's stages (or only those of the verb `only`) in `runs/NAME`, and return how they came out.

    Stages before `only` must be up to date, or are run first. The same call again does only what is left to do.

    Raises:
        RunLockedError: another process works on this run.
        SQLWrightError: whatever a stage finds wrong; what is done stays done.
    """
    let_threads_wait()
    reporter = reporter or Silent()
    folder = RunFolder(runs / recipe.name)
    ranks = join()
    if not ranks.leads:
        return _follow(Run(recipe, recipe_path, folder, Silent()), ranks)
    last = len(STAGES)
    if only:
        verbs = [stage.verb for stage in STAGES]
        if only not in verbs:
            raise RecipeError(f"Expected one of the stages {', '.join(dict.fromkeys(verbs))}, found {only!r}.")
        last = len(verbs) - verbs[::-1].index(only)
    with folder.locked():
        hand = Run(recipe, recipe_path, folder, reporter)
        write_text(folder.recipe, to_toml(hand.recipe))
        if hand.adapter_note:
            reporter.say(hand.adapter_note)
        for stage in STAGES[:last]:
            if stage.wanted(hand):
                _bring_up_to_date(stage, hand)
        reporter.finish()
        ranks.tell()
        return Outcome(folder)


def _follow(hand: Run, ranks: Ranks) -> Outcome:
    """Train with rank 0 whenever it does, until it is through with the run; it alone writes."""
    while ranks.tell() == train.TRAIN:
        train.learn(hand, ranks)
    return Outcome(hand.folder, elsewhere=True)


def plan(recipe: Recipe, recipe_path: Path, runs: Path) -> PlanReport:
    """Return what a run would do: stages, questions, tokens, estimated minutes and memory, and one marked prompt.

    Reads questions, schemas and the tokenizer, never the weights; writes nothing. A base on the hub needn't be here.
    """
    with TemporaryDirectory() as outlines:
        return _plan(Run(recipe, recipe_path, RunFolder(runs / recipe.name), Silent(), Path(outlines)))


def _plan(hand: Run) -> PlanReport:
    folder = hand.folder
    states = []
    redone: set[str] = set()
    for stage in STAGES:
        if not stage.wanted(hand):
            continue
        # What follows a stage that has to run depends on results that are not there yet.
        follows = stage.after & redone
        reasons = (
            ["it follows " + ", ".join(sorted(follows))] if follows else folder.changed(stage.name, stage.inputs(hand))
        )
        states.append((stage.name, reasons))
        redone |= {stage.name} if reasons else set()
    return make_plan_report(hand, states)


def _bring_up_to_date(stage: Stage, hand: Run) -> None:
    """Run the stage unless it is up to date, and record it in the manifest."""
    folder, inputs = hand.folder, stage.inputs(hand)
    reasons = folder.changed(stage.name, inputs)
    if not reasons:
        hand.reporter.stage(stage.name, "up to date")
        return
    first = stage.name not in folder.manifest["stages"]
    going_on = folder.begin(stage.name, inputs)
    why = "; ".join(reasons[:4]) + (f" and {len(reasons) - 4} more" if len(reasons) > 4 else "")
    hand.reporter.stage(stage.name, "continue" if going_on else "run" if first else "redo", "" if first else why)
    facts = stage.execute(hand, going_on)
    folder.done(stage.name, stage.outputs(hand), facts)
