"""Open databases, describe them, and run SQL on them: read-only, in a killable worker process.

`Executor` runs queries; `describe` and `sample_values` tell what a database holds. SQLite so far.
"""

from sqlwright.databases.executor import Executor
from sqlwright.databases.outcome import ErrorClass, Limits, Outcome, Status
from sqlwright.databases.schema import Column, ForeignKey, Schema, Table, describe, sample_values

__all__ = [
    "Column",
    "ErrorClass",
    "Executor",
    "ForeignKey",
    "Limits",
    "Outcome",
    "Schema",
    "Status",
    "Table",
    "describe",
    "sample_values",
]
