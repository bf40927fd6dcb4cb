"""Ask a database a question: the model writes SQL, the safe executor runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, Limits, Schema
from sqlwright.databases.notes import describe_with_notes
from sqlwright.datasets.locate import cache_folder
from sqlwright.decoding import Repairer, vote
from sqlwright.decoding.confidence import read_confidence, signals, unknown_words
from sqlwright.decoding.repair import telling
from sqlwright.errors import DatabaseError, DataError
from sqlwright.models.choose import choose_model
from sqlwright.models.gguf import GgufEngine
from sqlwright.models.tokenizer import chat_template
from sqlwright.prompts import STYLES, PromptFormat, PromptWriter
from sqlwright.records import Question
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
            path,
            found.gguf if found else None,
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
        answers = engine.answer(prompt.prefix, [prompt.suffix], MAX_TOKENS)
        sql = extract_sql(answers[0].text)
        outcome = executor.run(database, sql)
        repairer = Repairer({schema.name: database}, executor)
        why = f"can't be run ({outcome.message})" if not outcome.ok else "finds nothing"
        if outcome.ok and telling(outcome):
            why = "links tables by columns that don't belong together"
        written = sql
        sql, outcome = repairer.mended(sql, outcome, schema.name, question)
        if sql != written:
            say(f"The model's SQL {why} and was put right by what the database has. It was: {written}")
        logs = answers[0].log_probabilities
        chance = sure.of(signals(logs, sql, outcome, sql != written, question, schema)) if sure else None
        unsure = sure is not None and chance is not None and chance < sure.vote_below
        if samples > 1 and (not outcome.ok or unsure):
            doubt = why if not outcome.ok else f"is right with a probability of {chance:.0%} only"
            say(f"The likeliest SQL {doubt}; {samples - 1} others vote on it.")
            answers += engine.draw(prompt.suffix, MAX_TOKENS, samples - 1, TEMPERATURE)
            voted = vote(prompt, answers, database, executor, repairer, question)
            sql = voted.winner.sql
            outcome = executor.run(database, sql)
            made = sql not in {extract_sql(one.text) for one in answers}
            chance = sure.of(signals(logs, sql, outcome, made, question, schema, voted.share)) if sure else None
    guess = sure is not None and chance is not None and chance < sure.threshold
    unknown = tuple(unknown_words(question, schema, sql)[0]) if guess else ()
    if guess:
        said = f" Nothing in the database is known by: {', '.join(unknown)}." if unknown else ""
        say(f"This is a guess: the answer is right with a probability of {chance:.0%}.{said}")
    return Answered(
        question=question,
        sql=sql,
        columns=outcome.columns,
        rows=outcome.rows,
        truncated=outcome.truncated,
        seconds=round(time.perf_counter() - started, 3),
        model=name,
        adapter=str(found.folder) if found else None,
        error="" if outcome.ok else outcome.message,
        confidence=None if chance is None else round(chance, 3),
        guess=guess,
        unknown=unknown,
    )


def _schema(database: str) -> Schema:
    """Return the schema of the database; raise `DatabaseError` where there is nothing to ask."""
    schema = describe_with_notes(database, 0)
    if not any(table.columns for table in schema.tables):
        raise DatabaseError(f"{database}: expected a database with tables, found none in it.")
    return schema
