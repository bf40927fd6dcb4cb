"""Answers that can't be run, put right by what the database has: names by its schema (see `sql.repair`).

Repairs are tried in order, and the first that runs is kept. What runs is left alone, so nothing that could be right is
lost. Not covered: values, and queries that run and mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sqlwright.databases import Executor, Outcome, Schema, describe, engine_of
from sqlwright.sql.repair import repair


class Repairer:
    """Repairs queries on the given databases, whose schemas are read once; `repaired` counts them."""

    def __init__(self, databases: Mapping[str, Path | str], executor: Executor) -> None:
        self._databases, self._executor = databases, executor
        self._schemas: dict[str, Schema] = {}
        self.repaired = 0

    def mended(self, sql: str, outcome: Outcome, database: str, question: str) -> tuple[str, Outcome]:
        """Return a query that runs instead of `sql`, and its outcome; `sql` and `outcome` themselves if there is none.

        `outcome` is what came of `sql`, which is left alone if it ran or was stopped at a limit; `database` is a name.
        """
        place = self._databases[database]
        if outcome.status != "error" or engine_of(place).name != "sqlite":
            return sql, outcome
        if database not in self._schemas:
            self._schemas[database] = describe(place, 0, executor=self._executor)
        for text in repair(sql, self._schemas[database], question):
            found = self._executor.run(place, text)
            if found.ok:
                self.repaired += 1
                return text, found
        return sql, outcome
