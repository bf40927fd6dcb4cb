"""The first rows of results, for pages that show a gold's and a prediction's side by side."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlwright.databases import Executor, Limits, Outcome
from sqlwright.runs.report_page import ResultPreview

ROWS = 10
_LIMITS = Limits(seconds=10.0, rows=ROWS + 1, cells=400, bytes=1 << 16)


def previews(executor: Executor, jobs: Iterable[tuple[Path, str]]) -> list[ResultPreview | None]:
    """Return the first rows of each (database, SQL), in order; None where the query doesn't run."""
    return [_preview(outcome) for outcome in executor.map(jobs, limits=_LIMITS)]


def _preview(outcome: Outcome) -> ResultPreview | None:
    if not outcome.ok:
        return None
    total = None if outcome.truncated else len(outcome.rows)
    cut = outcome.truncated or len(outcome.rows) > ROWS
    return ResultPreview(outcome.columns, tuple(outcome.rows[:ROWS]), total, cut)
