"""Stage `predict.retry`: what can't be run, even after repair, is shown to the model with its error, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlwright.databases import Executor, Limits
from sqlwright.decoding import Repairer, Wave, predict
from sqlwright.decoding.retry import AGAIN, asked_again
from sqlwright.models.engines import Engine
from sqlwright.records import Completion, Question, read_records
from sqlwright.runs.folder import hash_path
from sqlwright.runs.run import Run
from sqlwright.runs.stages.predict import decode, grammars, inputs_after


def inputs(run: Run) -> dict[str, str]:
    """Return the greedy predictions and their inputs, and what decides whether they can be run."""
    values = {"predict.repair": str(run.recipe.predict.repair), "seconds": str(run.recipe.evaluate.seconds)}
    return inputs_after(run) | values | {"greedy predictions": hash_path(run.folder.completions)}


def execute(run: Run, going_on: bool) -> dict[str, Any]:
    """Write the second answers to the questions whose first one can't be run; return counts and speed."""
    held = grammars(run)

    def greedy(engine: Engine, waves: list[Wave], progress: Callable[[int], None]) -> Iterator[list[Completion]]:
        return predict(engine, waves, run.recipe.predict.max_tokens, progress, held)

    return decode(run, going_on, run.folder.retried, greedy, questions=_failed(run), label="retry")


def second_answers(run: Run) -> dict[str, Completion]:
    """Return the second answers by the ids of their questions; none where the recipe asks for no retry."""
    if not run.recipe.predict.retry:
        return {}
    return {one.id.removesuffix(AGAIN): one for one in read_records(run.folder.retried, Completion)}


def _failed(run: Run) -> list[Question]:
    """Return the questions whose greedy answer can't be run, repaired if the recipe says so, to be asked again."""
    settings, databases = run.recipe.evaluate, run.databases
    first = {one.id: one for one in read_records(run.folder.completions, Completion)}
    asked = [question for question in run.questions("evaluate") if question.database]
    with Executor(settings.workers, Limits(seconds=settings.seconds)) as executor:
        repairer = Repairer(databases, executor) if run.recipe.predict.repair else None
        outcomes = executor.map([(databases[one.database], first[one.id].sql) for one in asked])
        again = []
        for question, outcome in zip(asked, outcomes, strict=True):
            sql = first[question.id].sql
            mended = repairer.mended(sql, outcome, question.database, question.text)[1] if repairer else outcome
            if not mended.ok:
                again.append(asked_again(question, sql, outcome))
    return again
