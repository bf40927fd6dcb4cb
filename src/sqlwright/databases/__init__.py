"""Open databases, describe them, and run SQL on them: read-only, in a killable worker process.

`Executor` runs queries; `describe` and `sample_values` tell what a database holds. `ENGINES` has the engines by the
scheme of a database's URL; a path is a SQLite file.
"""

from sqlwright.databases.engines import ENGINES, at_server, database_name, engine_of, is_url, shown
from sqlwright.databases.executor import Executor
from sqlwright.databases.outcome import ErrorClass, Limits, Outcome, Status
from sqlwright.databases.schema import Column, ForeignKey, Schema, Table, describe, quoted_name, sample_values

__all__ = [
    "ENGINES",
    "Column",
    "ErrorClass",
    "Executor",
    "ForeignKey",
    "Limits",
    "Outcome",
    "Schema",
    "Status",
    "Table",
    "at_server",
    "database_name",
    "describe",
    "engine_of",
    "is_url",
    "quoted_name",
    "sample_values",
    "shown",
]
