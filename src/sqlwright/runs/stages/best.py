"""Stage `predict.best`: the answers after repair, vote and retry, beside the greedy ones, which stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Limits
from sqlwright.decoding import Repairer, Wave, predict_voted
from sqlwright.decoding.ranker import Ranker, read_ranker
from sqlwright.models.engines import Engine
from sqlwright.records import Completion, read_records, write_records
from sqlwright.runs.folder import hash_path
from sqlwright.runs.run import Run
from sqlwright.runs.stages import predict
from sqlwright.runs.stages.prefer import made
from sqlwright.runs.stages.retry import second_answers


def inputs(run: Run) -> dict[str, str]:
    """Return the greedy predictions and their inputs, the settings of repair and vote, and what was asked once more."""
    settings = run.recipe.predict
    values = {"predict.samples": str(settings.samples), "predict.temperature": str(settings.temperature)}
    values |= {"predict.repair": str(settings.repair), "seconds": str(run.recipe.evaluate.seconds)}
    values |= {"seed": str(run.recipe.seed), "greedy predictions": hash_path(run.folder.completions)}
    values |= {"second answers": hash_path(run.folder.retried)} if settings.retry else {}
    return predict.inputs_after(run) | values


def execute(run: Run, going_on: bool) -> dict[str, Any]:
    """Write the best predictions; return counts and speed."""
    settings = run.recipe.evaluate
    with Executor(settings.workers, Limits(seconds=settings.seconds)) as executor:
        repairer = Repairer(run.databases, executor) if run.recipe.predict.repair else None
        questions = {question.id: question.text for question in run.questions("evaluate")}
        again = _Again(run.databases, executor, repairer, questions, second_answers(run))
        if run.recipe.predict.samples > 1:
            facts = predict.decode(
                run,
                going_on,
                run.folder.best,
                lambda engine, waves, progress: _winners(
                    run, engine, waves, progress, executor, repairer, questions, again
                ),
                samples=run.recipe.predict.samples,
            )
        else:
            greedy = list(read_records(run.folder.completions, Completion))
            mended = _repaired(run, greedy, executor, repairer, questions) if repairer else greedy
            write_records(run.folder.best, map(again.better, mended))
            facts = {"questions": len(greedy)}
        facts |= {"repaired": repairer.repaired} if repairer else {}
        return facts | ({"run after a retry": again.taken} if run.recipe.predict.retry else {})


@dataclass
class _Again:
    """Second answers to questions whose first one couldn't be run; `taken` counts those that were better."""

    databases: Mapping[str, Path]
    executor: Executor
    repairer: Repairer | None
    questions: Mapping[str, str]
    answers: Mapping[str, Completion]
    taken: int = 0

    def better(self, one: Completion) -> Completion:
        """Return `one`, with the second answer's SQL where its own can't be run and that of the second can."""
        place = self.databases.get(one.database)
        if place is None or one.id not in self.answers or self.executor.run(place, one.sql).ok:
            return one
        sql = self.answers[one.id].sql
        outcome = self.executor.run(place, sql)
        if self.repairer:
            sql, outcome = self.repairer.mended(sql, outcome, one.database, self.questions[one.id])
        if not outcome.ok:
            return one
        self.taken += 1
        return replace(one, sql=sql, candidates=tuple(dict.fromkeys((sql, *one.candidates, one.sql))))


def _winners(
    run: Run,
    engine: Engine,
    waves: list[Wave],
    progress: Callable[[int], None],
    executor: Executor,
    repairer: Repairer | None,
    questions: dict[str, str],
    again: _Again,
) -> Iterator[list[Completion]]:
    """Yield the winners of the votes on each wave."""
    settings = run.recipe.predict
    own = made(run) or (run.adapter.folder if run.adapter else None)
    weights = read_ranker(own) if own else None
    done = 0
    for wave in predict_voted(
        engine,
        waves,
        settings.max_tokens,
        databases=run.databases,
        executor=executor,
        samples=settings.samples,
        temperature=settings.temperature,
        seed=run.recipe.seed,
        repairer=repairer,
        questions=questions,
        ranker=Ranker(weights, run.databases, executor) if weights else None,
        grammars=predict.grammars(run),
    ):
        done += len(wave)
        progress(done)
        yield [again.better(one.winner) for one in wave]


def _repaired(
    run: Run, greedy: list[Completion], executor: Executor, repairer: Repairer, questions: dict[str, str]
) -> Iterator[Completion]:
    """Yield the greedy completions, with queries that run in the place of those that don't."""
    databases = run.databases
    outcomes = executor.map([(databases[one.database], one.sql) for one in greedy])
    for place, (one, outcome) in enumerate(zip(greedy, outcomes, strict=True), 1):
        sql, _ = repairer.mended(one.sql, outcome, one.database, questions[one.id])
        run.reporter.progress("repair", place, len(greedy))
        yield replace(one, sql=sql, candidates=tuple(dict.fromkeys((sql, one.sql))))
