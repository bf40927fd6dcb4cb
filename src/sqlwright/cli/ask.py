"""`sqlwright ask`: one question, the SQL a model writes for it, and the rows that the database gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from sqlwright.cli.options import Json
from sqlwright.cli.tables import print_json, print_rows, safe
from sqlwright.cli.terminal import say

FAILED = 4
_SHOWN = 100

KEYS = ("question", "sql", "columns", "rows", "truncated", "seconds", "model", "adapter")
"""The keys of the JSON document, in order; with `--correct`, `correction` follows."""


def ask(
    question: str,
    /,
    *,
    database: Annotated[str, Parameter(metavar="FILE_OR_URL")],
    model: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    adapter: Annotated[str | None, Parameter(metavar="ADAPTER")] = None,
    samples: Annotated[int, Parameter(metavar="N", validator=validators.Number(gte=1, lte=32))] = 8,
    correct: Annotated[list[str] | None, Parameter(consume_multiple=(0, 1), metavar="SQL")] = None,
    corrections: Annotated[Path, Parameter(metavar="FILE")] = Path("corrections.jsonl"),
    json: Json = False,
) -> int:
    """Answer a question from a database: print the SQL, then its rows. Nothing is ever written to the database.

    Args:
        question: The question, in quotes.
        database: A SQLite or DuckDB file, or a URL such as postgresql://reader@localhost/shop.
        model: A model of `sqlwright models list`, or the path of a GGUF file.
        adapter: A run folder or a GGUF adapter that fine-tunes the model.
        samples: Answers to vote among where the likeliest SQL is in doubt; 1 leaves it at that.
        correct: Store the SQL that would have been right, as data to train on; without SQL it is asked for.
        corrections: The file of corrections, JSON lines that `prepare` reads.
    """
    from sqlwright.cli.correct import check_possible, store
    from sqlwright.serving.ask import ask as answer

    if correct is not None:
        check_possible(correct)
    found = answer(question, database, model=model, adapter=adapter, samples=samples, say=say)
    if not json:
        print(safe(found.sql, keep_lines=True))
        sys.stdout.flush()
    if found.error:
        print(f"sqlwright: {safe(found.error, keep_lines=True)}", file=sys.stderr)
    elif not json:
        _print_result(found.columns, found.rows, bool(found.truncated))
    sys.stdout.flush()
    stored = store(correct, question, database, found.sql, corrections) if correct is not None else None
    if json:
        document = {key: getattr(found, key) for key in KEYS}
        if correct is not None:
            kept = stored and {"id": stored.id, "sql": stored.sql, "file": str(stored.path), "added": stored.added}
            document["correction"] = kept
        print_json(document)
    return FAILED if found.error and not stored else 0


def _print_result(columns: object, rows: object, truncated: bool) -> None:
    """Print the rows; on a terminal only the first ones, and always what is left out."""
    names, every = list(columns), list(rows)  # type: ignore[call-overload]
    shown = every[:_SHOWN] if sys.stdout.isatty() else every
    print()
    print_rows(names, shown)
    count = "1 row" if len(every) == 1 else f"{len(every):,} rows"
    left = f"; the first {len(shown)} are shown" if len(shown) < len(every) else ""
    cut = " at least: the result was cut here" if truncated else ""
    print(f"{count}{cut}{left}", file=sys.stderr)
