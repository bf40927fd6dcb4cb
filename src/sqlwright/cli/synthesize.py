"""`sqlwright synthesize`: question files out of a database alone.

Not covered: how questions are made (`sqlwright.datasets.synthesis`) and judged (`sqlwright.runs.synthesis`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sqlwright.cli.options import Json
from sqlwright.cli.tables import print_json, safe
from sqlwright.cli.terminal import continuing
from sqlwright.errors import RecipeError

if TYPE_CHECKING:
    from sqlwright.runs.synthesis import Synthesised

PARTIAL = 6


def synthesize(
    database: Annotated[Path, Parameter(metavar="DB")],
    /,
    *,
    questions: int = 300,
    seed: int = 0,
    out: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    no_model: bool = False,
    model: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    adapter: Annotated[str | None, Parameter(metavar="ADAPTER")] = None,
    json: Json = False,
) -> int:
    """Make questions with SQL from a database alone, as training data; the same command again continues.

    SQL is sampled from the schema and its values, run, filtered and put into words by rules; then a model words it
    anew, and what the model itself leads back to the same result is kept. Questions that the database can't answer
    go to a second file, FILE with `.unanswerable` in its name.

    Args:
        database: A SQLite file. It is only read.
        questions: How many question/SQL pairs to make.
        seed: Another seed gives other questions.
        out: The JSON-lines file to write; NAME.synthetic.jsonl in this folder if left out.
        no_model: Words by rules alone, without round trips: takes seconds and needs no model.
        model: A model of `sqlwright models list`, or the path of a GGUF file.
        adapter: The folder of a run or adapter that fine-tunes the model that answers; none if left out.
    """
    from sqlwright.runs.synthesis import synthesise_file

    if questions < 1 or seed < 0:
        raise RecipeError(f"expected --questions of at least 1 and --seed of at least 0, found {questions} and {seed}.")
    if no_model and (model or adapter):
        raise RecipeError("expected either --no-model or a --model and --adapter, found both.")
    target = out or Path(f"{database.stem}.synthetic.jsonl")
    with continuing() as reporter:
        found = synthesise_file(
            database,
            target,
            questions=questions,
            seed=seed,
            use_model=not no_model,
            model=model,
            adapter=adapter,
            reporter=reporter,
        )
    if json:
        print_json(found.document())
    else:
        print(safe(_table(found), keep_lines=True))
    return PARTIAL if found.partial else 0


def _table(found: Synthesised) -> str:
    """Return the counts of every filter and what was written, as lines."""
    lines = [f"{count:8,}  {name}" for name, count in found.counts.items() if count]
    for title, groups in (("hardness", found.hardness), ("category", found.category)):
        lines.append(f"{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(groups.items())))
    wrote = f"{found.accepted} pairs in {found.files[0]}, {found.unanswerable} questions without an answer in "
    if found.partial:
        lines.append(f"{found.accepted} of the {found.asked_for} pairs asked for: this database has no more to ask.")
    return "\n".join([*lines, wrote + str(found.files[1])])
