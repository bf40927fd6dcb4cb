"""What a query may use (`Limits`) and what came of it (`Outcome`).

Not covered here: how the limits are enforced (see `sqlwright.databases.executor`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sqlwright.errors import DatabaseError

Status = Literal["ok", "refused", "error", "time_limit", "memory_limit"]
ErrorClass = Literal[
    "",
    "unparsable",
    "unknown_table",
    "unknown_column",
    "runtime_error",
    "refused",
    "time_limit",
    "memory_limit",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use.

    `seconds` is wall time, from sending the query to a running worker until its whole answer has arrived.
    `memory_mb` is address space in MiB on top of what an idle worker uses. `rows`, `cells` (rows times
    columns) and `bytes` (the answer as encoded by the worker) cap what comes back: a longer answer is cut at
    a row and marked `truncated`. `sql_bytes` is the longest statement accepted, in UTF-8.
    """

    seconds: float = 10.0
    memory_mb: int = 1024
    rows: int = 100_000
    cells: int = 2_000_000
    bytes: int = 64 * 1024 * 1024
    sql_bytes: int = 1_000_000

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_mb", "rows", "cells", "bytes", "sql_bytes"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ValueError(f"Limits.{name}: expected a finite number above 0, found {value!r}.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one query: its rows, or why there are none.

    `status` says how it ended and `error_class` what kind of mistake it was ("" when ok); `message` is for a
    reader. `rows` holds str, int, float, bytes and None as SQLite returned them. `truncated` says that the
    query had more rows than the limits let through. `seconds` is the time the worker spent on it.
    """

    status: Status
    columns: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    truncated: bool = False
    seconds: float = 0.0
    message: str = ""
    error_class: ErrorClass = ""

    @property
    def ok(self) -> bool:
        """Whether the query ran to its end or to the cap on its rows."""
        return self.status == "ok"

    def require(self) -> Outcome:
        """Return the outcome itself; raise `DatabaseError` with the message when it isn't ok."""
        if self.status != "ok":
            raise DatabaseError(self.message)
        return self
