"""The end of `sqlwright ask --correct`: the corrected SQL, given or asked for on the terminal, is stored.

Not covered: an editor for the SQL; several lines can be typed or pasted, a semicolon ends them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlwright.cli.terminal import say
from sqlwright.errors import DatabaseError, RecipeError

if TYPE_CHECKING:
    from sqlwright.datasets import Correction


def check_possible(given: list[str]) -> None:
    """Raise `RecipeError` where no SQL is given and there is nobody to ask, before a model is loaded in vain."""
    if not given and not sys.stdin.isatty():
        raise RecipeError('expected --correct "SELECT …", or a terminal to type the corrected SQL on; found neither.')


def store(given: list[str], question: str, database: str, wrong: str, path: Path) -> Correction | None:
    """Store the correction and return it; None where the user typed nothing.

    SQL that is typed and doesn't run is asked for again, with the reason; SQL that was given is an error.
    """
    from sqlwright.databases import Executor
    from sqlwright.datasets import add_correction

    with Executor(workers=1) as executor:
        while True:
            sql = given[0] if given else _typed()
            if not given and not sql:
                say("Nothing was stored.")
                return None
            try:
                found = add_correction(question, database, wrong=wrong, sql=sql, path=path, executor=executor)
            except DatabaseError as error:
                if given:
                    raise
                say(str(error))
            else:
                say(f"Stored in {path} as {found.id}." if found.added else f"It was in {path} already ({found.id}).")
                return found


def _typed() -> str:
    """Return the lines typed up to a semicolon, an empty line or the end of input."""
    say("Corrected SQL (a semicolon or an empty line ends it; nothing leaves all as it is):")
    lines: list[str] = []
    while line := sys.stdin.readline().rstrip():
        lines.append(line)
        if line.endswith(";"):
            break
    return "\n".join(lines)
