"""Self-instruct for SQL: a question about the user's database, checks of its answer, a query that passes them.

A check is one SELECT over the table `answer`, the rows of the solution, that gives 1 if the answer can be right:
`SELECT count(*) > 0 FROM answer`. A check that an empty answer passes shows nothing and is dropped. A solution passes
if it runs, reads a table, returns something, and every check gives 1, all by the same executor as everywhere.

Not covered: engines other than SQLite.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlwright.databases import Executor, describe
from sqlwright.datasets import package_path
from sqlwright.errors import DatabaseError
from sqlwright.models.gguf import STOP
from sqlwright.prompts import STYLES, ChatTemplate, schema_text
from sqlwright.runs.folder import hash_path
from sqlwright.runs.self_instruct import Attempt
from sqlwright.sql.extract import extract_sql

MAX_SCHEMA_TOKENS = 2048
MOST_CHECKS = 5
_INSTRUCTION = (
    "You prepare practice for analysts: questions about a database, checks of their answers, and SQLite queries. "
    "Write what is asked for and nothing else."
)
_EXAMPLE = """

Question: Which customer has paid most?
Checks of its answer, the table answer:
SELECT count(*) = 1 FROM answer
SELECT count(*) > 0 FROM answer

"""
_EMPTY = "SELECT NULL AS value WHERE 0"


class SqlProblems:
    """Questions about one SQLite database."""

    name = "sql"
    stop = STOP
    tests_start = "SELECT "
    solution_start = ""

    def __init__(
        self, database: Path, chat: ChatTemplate, executor: Executor, count_tokens: Callable[[str], int]
    ) -> None:
        self.database, self._chat, self._executor = database.resolve(), chat, executor
        schema = describe(self.database, 2)
        self._tables = [table.name for table in schema.tables if table.columns]
        if not self._tables:
            raise DatabaseError(f"{database}: expected a database with tables, found none in it.")
        shown = schema_text(schema, STYLES["compact"], MAX_SCHEMA_TOKENS, count_tokens)
        self.omitted = shown.omitted
        self._shared = shown.text + _EXAMPLE
        self._shapes = package_path("self_instruct/sql_shapes.txt").read_text(encoding="utf-8").splitlines()

    def inputs(self) -> dict[str, str]:
        """Return the hash of the database."""
        return {"database": hash_path(self.database)}

    def ask_problem(self, number: int, seed: int) -> tuple[str, str]:
        """Return the prompt for a question about a table and of a shape that the number draws."""
        draw = random.Random(f"{seed}:{number}")
        table, shape = draw.choice(self._tables), draw.choice(self._shapes)
        return self._prompt(
            f"Write one question that an analyst asks about this data, in one sentence. It should {shape} and be "
            f"about the table {table}. No SQL, no table names."
        )

    def ask_tests(self, problem: str) -> tuple[str, str]:
        """Return the prompt for checks over the table `answer`."""
        return self._prompt(
            f"Question: {problem}\nWrite checks of its answer, the table answer: up to three, one to a line. "
            "Each is a SELECT from answer that gives 1 if the answer can be right."
        )

    def ask_solution(self, problem: str, tests: Sequence[str]) -> tuple[str, str]:
        """Return the prompt for a query; it doesn't show the checks, which the query should pass unseen."""
        return self._prompt(f"Question: {problem}\nWrite one SQLite SELECT statement that answers it.")

    def read_problem(self, text: str) -> str:
        """Return the first line that is a question of a sensible length."""
        for line in text.splitlines():
            found = re.sub(r'^[\s\d.)*"-]*(?:question\s*:)?[\s"*]*', "", line, flags=re.IGNORECASE).strip(' "*')
            if 3 <= len(found.split()) <= 60 and "select " not in found.lower():
                return found
        return ""

    def read_tests(self, text: str, problem: str) -> tuple[str, ...]:
        """Return the checks that run over an answer and that an empty answer doesn't pass."""
        found: dict[str, None] = {}
        for line in text.splitlines():
            check = re.search(r"\bSELECT\b.*\bFROM\s+answer\b[^;`]*", line, re.IGNORECASE)
            if check:
                found[check[0].strip()] = None
        return tuple(check for check in found if self._checked(_EMPTY, check) != 1)[:MOST_CHECKS]

    def read_solution(self, text: str) -> str:
        """Return the statement in what the model wrote."""
        return extract_sql(text)

    def fault(self, solution: str, tests: Sequence[str]) -> str:
        """Return why the query doesn't pass: an error class of the executor, or what was found."""
        outcome = self._executor.run(self.database, solution)
        if not outcome.ok:
            return outcome.error_class or outcome.status
        if not outcome.rows or all(value is None for value in outcome.rows[0]):
            return "empty result"
        if not re.search(r"\bFROM\b", solution, re.IGNORECASE):
            return "reads no table"
        return "" if all(self._checked(solution, test) == 1 for test in tests) else "check fails"

    def line(self, attempt: Attempt) -> dict[str, Any]:
        """Return the question as `prepare` reads it, with its checks."""
        values = {"id": attempt.id, "database": str(self.database), "question": attempt.problem}
        return values | {"sql": attempt.solution, "checks": list(attempt.tests)}

    def _checked(self, solution: str, check: str) -> Any:
        """Return the value that a check gives over a solution, None where it doesn't run."""
        outcome = self._executor.run(self.database, f"WITH answer AS (\n{solution}\n) {check}")
        one = outcome.ok and len(outcome.rows) == 1 and len(outcome.rows[0]) == 1
        return outcome.rows[0][0] if one else None

    def _prompt(self, own: str) -> tuple[str, str]:
        return self._chat.split(_INSTRUCTION, self._shared, own)
