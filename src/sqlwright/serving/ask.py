"""Ask a database a question: the model writes SQL, the safe executor runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Limits, Outcome, Schema
from sqlwright.databases.notes import describe_with_notes
from sqlwright.datasets.locate import cache_folder
from sqlwright.decoding import Repairer, vote
from sqlwright.decoding.confidence import Confidence, read_confidence, signals, unknown_words
from sqlwright.decoding.repair import telling
from sqlwright.errors import DatabaseError, DataError
from sqlwright.models.choose import choose_model
from sqlwright.models.gguf import GgufEngine
from sqlwright.models.tokenizer import chat_template
from sqlwright.prompts import STYLES, PromptFormat, PromptWriter
from sqlwright.records import Prompt, Question
from sqlwright.sql.extract import extract_sql

MAX_TOKENS = 300
SHOWN_ROWS = 1000
SAMPLES = 8
TEMPERATURE = 0.8


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with the SQL the model wrote and the rows it gave.

    `error` says why the query could not be run or the question not be answered, and is empty otherwise. `seconds` is
    the time from the loaded model to the rows. `adapter` is the folder of the adapter, or None.

    `confidence` is the probability (0 to 1) that the answer is right, None where nothing is known about the adapter's;
    `guess` says that it is too low to rely on, and `unknown` has the words of the question that neither the schema nor
    the data knows (see `decoding.confidence`).
    """

    question: str
    sql: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool
    seconds: float
    model: str
    adapter: str | None
    error: str = ""
    confidence: float | None = None
    guess: bool = False
    unknown: tuple[str, ...] = ()


def ask(
    question: str,
    database: str,
    *,
    model: str | None = None,
    adapter: str | None = None,
    samples: int = SAMPLES,
    runs: Path = Path("runs"),
    say: Callable[[str], None] = lambda _: None,
) -> Answered:
    """Return the answer to `question` about `database`, a file or a URL.

    `model` is a catalogue name or a GGUF file; `adapter` the folder of an adapter or of a finished run, or `none`.
    Without `model`, the adapter's own base is taken; without `adapter`, the newest one for the model in `runs`, or
    else the one that SQLWright ships. The likeliest SQL is put right by the schema and the rows where it can't be run,
    finds nothing or links tables wrongly (see `decoding.repair`); where it still can't be run, `samples` - 1 others are
    drawn, and the vote on their results decides (see `decoding.vote`). Where the answer is likelier wrong than right,
    `say` is told so.

    Raises:
        DataError: the question is empty.
        DatabaseError: the database is missing, unreadable or empty.
        ModelError: the model or adapter is missing, or they don't belong together.
    """
    if not question.strip():
        raise DataError("Expected a question, found an empty text.")
    schema = _schema(database)
    chosen = choose_model(model, adapter, runs)
    name, path, found = chosen.name, chosen.path, chosen.adapter
    sure = read_confidence(found.folder) if found else None
    fmt = found.prompt_format(path) if found else PromptFormat(STYLES["ddl"], 0, 4096, chat_template(path))
    say(f"Loading {path.name}" + (f" with the adapter of {found.folder}" if found else ""))
    shots = found.shots() if found else []
    context = fmt.max_schema_tokens + fmt.own_tokens + 512
    with (
        GgufEngine(
            *(found.files(path) if found else (path, None)),
            context=context,
            parallel=max(1, samples - 1),
            cache=cache_folder() / "prompts",
        ) as engine,
        Executor(workers=1, limits=Limits(rows=SHOWN_ROWS)) as executor,
    ):
        started = time.perf_counter()
        with PromptWriter(fmt, engine.count_tokens, shots=shots, cache=cache_folder() / "values") as writer:
            prompt = writer.write(Question("", schema.name, question), database)
        if prompt.omitted:
            say(f"The schema is too long for the model; not shown to it: {', '.join(prompt.omitted)}")
        ladder = _Ladder(engine, executor, prompt, question, database, schema, sure, say)
        answer = ladder.greedy()
        if samples > 1 and ladder.doubts(answer):
            answer = ladder.voted(samples)
        guess = sure is not None and answer.confidence is not None and answer.confidence < sure.threshold
        unknown = tuple(unknown_words(question, schema, answer.sql)[0]) if guess else ()
        if guess:
            said = f" Nothing in the database is known by: {', '.join(unknown)}." if unknown else ""
            say(f"This is a guess: the answer is right with a probability of {answer.confidence:.0%}.{said}")
    outcome = answer.outcome
    return Answered(
        question=question,
        sql=answer.sql,
        columns=outcome.columns,
        rows=outcome.rows,
        truncated=outcome.truncated,
        seconds=round(time.perf_counter() - started, 3),
        model=name,
        adapter=str(found.folder) if found else None,
        error="" if outcome.ok else outcome.message,
        confidence=None if answer.confidence is None else round(answer.confidence, 3),
        guess=guess,
        unknown=unknown,
    )


@dataclass(frozen=True, slots=True)
class _Rung:
    """Where a rung of the ladder ends: SQL, what came of it, and how likely it is right (None: unknown)."""

    sql: str
    outcome: Outcome
    confidence: float | None


class _Ladder:
    """The rungs of one question: the likeliest SQL put right, and a vote where that is in doubt."""

    def __init__(
        self,
        engine: GgufEngine,
        executor: Executor,
        prompt: Prompt,
        question: str,
        database: str,
        schema: Schema,
        sure: Confidence | None,
        say: Callable[[str], None],
    ) -> None:
        self._engine, self._executor, self._prompt = engine, executor, prompt
        self._question, self._database, self._schema, self._sure, self._say = question, database, schema, sure, say
        self._repairer = Repairer({schema.name: database}, executor)
        self._answers = engine.answer(prompt.prefix, [prompt.suffix], MAX_TOKENS)

    def greedy(self) -> _Rung:
        """Return the likeliest SQL, put right by what the database has."""
        written = extract_sql(self._answers[0].text)
        outcome = self._executor.run(self._database, written)
        why = _why(outcome)
        sql, outcome = self._repairer.mended(written, outcome, self._schema.name, self._question)
        if sql != written:
            self._say(f"The model's SQL {why} and was put right by what the database has. It was: {written}")
        return _Rung(sql, outcome, self._chance(sql, outcome, sql != written))

    def doubts(self, rung: _Rung) -> bool:
        """Return whether others should vote on it."""
        unlikely = self._sure is not None and rung.confidence is not None and rung.confidence < self._sure.vote_below
        if not rung.outcome.ok:
            self._say(f"The likeliest SQL {_why(rung.outcome)}; others vote on it.")
        elif unlikely:
            self._say(f"The likeliest SQL is right with a probability of {rung.confidence:.0%}; others vote on it.")
        return unlikely or not rung.outcome.ok

    def voted(self, samples: int) -> _Rung:
        """Return the winner of a vote among the likeliest SQL and `samples` - 1 others."""
        answers = self._answers + self._engine.draw(self._prompt.suffix, MAX_TOKENS, samples - 1, TEMPERATURE)
        found = vote(self._prompt, answers, self._database, self._executor, self._repairer, self._question)
        sql = found.winner.sql
        outcome = self._executor.run(self._database, sql)
        repaired = sql not in {extract_sql(one.text) for one in answers}
        return _Rung(sql, outcome, self._chance(sql, outcome, repaired, found.share))

    def _chance(self, sql: str, outcome: Outcome, repaired: bool, votes: float | None = None) -> float | None:
        if self._sure is None:
            return None
        logs = self._answers[0].log_probabilities
        return self._sure.of(signals(logs, sql, outcome, repaired, self._question, self._schema, votes))


def _why(outcome: Outcome) -> str:
    """Return what is wrong with a query, in words."""
    if not outcome.ok:
        return f"can't be run ({outcome.message})"
    return "links tables by columns that don't belong together" if telling(outcome) else "finds nothing"


def _schema(database: str) -> Schema:
    """Return the schema of the database; raise `DatabaseError` where there is nothing to ask."""
    schema = describe_with_notes(database, 0)
    if not any(table.columns for table in schema.tables):
        raise DatabaseError(f"{database}: expected a database with tables, found none in it.")
    return schema
