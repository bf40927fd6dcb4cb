"""`sqlwright self-instruct`: a local model makes problems with solutions; only those that pass their tests are kept.

Not covered: the loop itself (see `sqlwright.runs.self_instruct`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from sqlwright.cli.options import Json
from sqlwright.cli.tables import print_json
from sqlwright.cli.terminal import continuing, say
from sqlwright.errors import RecipeError

if TYPE_CHECKING:
    from sqlwright.models.gguf import GgufEngine
    from sqlwright.runs.self_instruct import Kind

NOTHING = 1


def self_instruct(
    kind: Literal["sql", "python"],
    /,
    *,
    out: Annotated[Path, Parameter(metavar="DIR")],
    database: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    count: int = 100,
    model: Annotated[str, Parameter(metavar="MODEL")] = "qwen2.5-coder-0.5b-instruct",
    solutions: int = 10,
    temperature: float = 0.8,
    max_tokens: int = 300,
    seed: int = 0,
    json: Json = False,
) -> int:
    """Let a model set problems, tests and solutions, and keep the first solution that passes.

    The same command again continues, with a larger --count too. Exit code 1 if nothing was accepted.

    Args:
        kind: sql (questions about a database) or python (exercises).
        out: Folder for attempts.jsonl (every attempt) and accepted.jsonl (what passed).
        database: The SQLite file that the questions are about; needed for sql.
        count: Attempts, those already made included.
        model: A model of `sqlwright models list`, or the path of a GGUF file.
        solutions: Solutions that are tried at most for a problem.
        temperature: How freely texts are drawn; 0 always takes the likeliest token.
        max_tokens: Longest text in tokens.
        seed: Seed of all texts.
    """
    from sqlwright.models.verify import find_model, model_hash
    from sqlwright.runs.folder import RunFolder
    from sqlwright.runs.self_instruct import ACCEPTED, InstructSettings
    from sqlwright.runs.self_instruct import self_instruct as work

    for name, value, least in (("--count", count, 1), ("--solutions", solutions, 1), ("--max-tokens", max_tokens, 8)):
        if value < least:
            raise RecipeError(f"{name}: expected at least {least}, found {value}.")
    if not 0 <= temperature <= 5:
        raise RecipeError(f"--temperature: expected 0 to 5, found {temperature:g}.")
    if (kind == "sql") != (database is not None):
        needed = "needs" if kind == "sql" else "takes no"
        raise RecipeError(f"self-instruct {kind} {needed} --database FILE.")
    path = find_model(model)
    settings = InstructSettings(solutions, temperature, max_tokens, seed)
    with continuing() as reporter, _opened(path, database, max_tokens) as (engine, problems):
        facts = work(
            engine,
            problems,
            RunFolder(out),
            count,
            settings,
            model_hash=model_hash(path),
            progress=lambda done, total, kept: reporter.progress("self-instruct", done, total, f"{kept} accepted"),
            say=reporter.say,
        )
    if json:
        print_json(facts)
    else:
        print("\n".join(f"{name}: {number:,}" for name, number in facts["outcomes"].items()))
        shown = ", ".join(f"{fault} {number:,}" for fault, number in facts["faults"].items())
        print(f"{facts['solutions run']:,} solutions run" + (f"; failed: {shown}" if shown else ""))
    return 0 if facts["outcomes"][ACCEPTED] else NOTHING


@contextmanager
def _opened(path: Path, database: Path | None, max_tokens: int) -> Iterator[tuple[GgufEngine, Kind]]:
    """Yield the engine with the model, and what problems are about."""
    from sqlwright.databases import Executor
    from sqlwright.models.gguf import GgufEngine
    from sqlwright.models.tokenizer import chat_template
    from sqlwright.runs.instruct_python import PythonProblems
    from sqlwright.runs.instruct_sql import MAX_SCHEMA_TOKENS, SqlProblems

    chat = chat_template(path)
    # Beside the schema: the instruction, the question with its checks, and the text itself.
    context = (MAX_SCHEMA_TOKENS if database else 0) + 512 + 2 * max_tokens
    with GgufEngine(path, context=context) as engine, Executor(workers=1) as executor:
        if database is None:
            yield engine, PythonProblems(chat)
        else:
            problems = SqlProblems(database, chat, executor, engine.count_tokens)
            if problems.omitted:
                say(f"The schema is too long for the model; not shown to it: {', '.join(problems.omitted)}")
            yield engine, problems
